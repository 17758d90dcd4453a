package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/plan/spec"
	"quorate/provision"
)

// owners says which member a member's own address belongs to.
func owners(c *spec.Cluster) map[string]string {
	out := map[string]string{}
	for _, m := range c.Members {
		out[node.HostPort(m.Address, m.ClientPort)] = m.Name
	}
	return out
}

// endpointsFor are the members' real addresses. Proxies are never asked for a
// loopback address; where that means another machine's, a port here stands for it.
func endpointsFor(ctx context.Context, members []*spec.Member, t *tunnel) ([]string, error) {
	var out []string
	for _, m := range members {
		address := node.HostPort(m.Address, m.ClientPort)
		if m.Connection.Type != "local" && loopback(m.Address) {
			var err error
			if address, err = t.forward(ctx, m.Name, address); err != nil {
				return nil, err
			}
		}
		out = append(out, "https://"+address)
	}
	return out, nil
}

// oneEndpoint reports whether one member is enough for a command. With many,
// etcdctl's client balances over them; but behind a proxy gRPC forgets which
// server name belongs to which address and holds every member against the name
// of the first. The commands that take the endpoints one by one, a client each,
// get all of them.
func oneEndpoint(args []string) bool {
	if given(args, "endpoints") {
		return false
	}
	if slices.Contains(args, "--cluster") {
		return true // etcdctl asks one member for the others
	}
	switch etcdctlCommand(args) {
	case "endpoint", "defrag", "move-leader", "help", "version", "completion", "":
		return false
	}
	return !slices.Contains(args, "--help") && !slices.Contains(args, "-h")
}

// etcdctlCommand is the first word that is neither a global flag of etcdctl nor its value.
func etcdctlCommand(args []string) string {
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
		case !strings.HasPrefix(a, "-"):
			return a
		case strings.Contains(a, "="), strings.HasPrefix(a, "-w") && len(a) > 2:
		case slices.Contains([]string{"--debug", "--hex", "--help", "-h", "--insecure-transport", "--insecure-discovery", "--insecure-skip-tls-verify"}, a):
		default:
			i++ // the flag's value
		}
	}
	return ""
}

// anyHealthy picks a member that serves: the first follower that answers, so
// that the leader is spared and a dead host is not waited for; the leader if
// no follower answers soon after it; one that knows no leader only if nobody does.
func anyHealthy(ctx context.Context, s *provision.Session, c *spec.Cluster) (*spec.Member, error) {
	admin, err := s.Admin(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	type answer struct {
		member *spec.Member
		status kvserver.Status
		err    error
	}
	answers := make(chan answer, len(c.Members))
	for _, m := range c.Members {
		go func() {
			st, err := admin.Status(ctx, m.Name)
			answers <- answer{m, st, err}
		}()
	}
	var leader, lost *spec.Member
	var soon <-chan time.Time
	var errs []error
	for range c.Members {
		select {
		case a := <-answers:
			switch {
			case a.err != nil:
				errs = append(errs, a.err)
			case a.status.Leader == 0:
				lost = a.member
			case a.status.Leader != a.status.MemberID:
				return a.member, nil
			default:
				leader, soon = a.member, time.After(300*time.Millisecond)
			}
		case <-soon:
			return leader, nil
		}
	}
	if m := cmp.Or(leader, lost); m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("cannot find a member of cluster %q that answers: %w", c.Name, errors.Join(errs...))
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
