package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision"
)

// CtlOptions of the verb ctl.
type CtlOptions struct {
	specOptions
}

func newCtlCommand(p *process) *cobra.Command {
	var o CtlOptions
	cmd := &cobra.Command{
		Use:   "ctl [flags] [--] COMMAND…",
		Short: "etcdctl itself, through the tunnel, with this run's certificate",
		Long: `Run etcdctl's own commands against a cluster of the spec. Members are reached
through the connections to their hosts, so neither open ports nor bastions are in
the way, with a short-lived certificate made for this run. Everything from the
first word, or from --, belongs to etcdctl; its exit code is passed on.

ETCDCTL_* variables are not read: endpoints and certificates are the spec's.`,
		Example: `  quorate ctl put /name xin
  quorate ctl -- get / --prefix --keys-only
  quorate ctl --cluster lab endpoint status --cluster -w table
  quorate ctl snapshot save backup.db
  quorate ctl watch /name`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return runCtl(cmd.Context(), p, o, args)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o.specOptions.AddFlags(p, cmd)
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func runCtl(ctx context.Context, p *process, o CtlOptions, args []string) error {
	l, err := loadSpec(p, o.specOptions, false)
	if err != nil {
		return err
	}
	cluster, err := l.one(o.Cluster)
	if err != nil {
		return err
	}
	j := &job{cluster: cluster, dir: l.dir}
	if err := j.open(p); err != nil {
		return err
	}
	defer closeAll([]*job{j})
	// Hosts that are still being connected when etcdctl ends are given up.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t, err := j.session.Operator()
	if err != nil {
		return fmt.Errorf("cannot talk to cluster %q: %w", cluster.Name, err)
	}
	dir, err := os.MkdirTemp(p.env("XDG_RUNTIME_DIR"), "quorate-ctl-") // mode 0700
	if err != nil {
		return fmt.Errorf("cannot keep the certificate of this run: %w", err)
	}
	defer os.RemoveAll(dir)
	password, err := p.random(16)
	if err != nil {
		return err
	}
	// The tunnel belongs to this process, not to the request that first needs a host.
	tunnel, err := openTunnel(ctx, password, owners(cluster), j.session.Dial)
	if err != nil {
		return err
	}
	defer tunnel.Close()
	members := cluster.Members
	if oneEndpoint(args) {
		m, err := anyHealthy(ctx, j.session, cluster)
		if err != nil {
			return err
		}
		members = []*spec.Member{m}
	}
	endpoints, err := endpointsFor(ctx, members, tunnel)
	if err != nil {
		return err
	}
	ca, err := j.world.Authority.Look()
	if err != nil {
		return err
	}
	if err := writeCtlFiles(dir, t.Certificates[0], []byte(ca.PEM), tunnel.proxyURL(), endpoints); err != nil {
		return err
	}
	return p.spawn(dir, args)
}

// owners says which member a member's own address belongs to.
func owners(c *spec.Cluster) map[string]string {
	out := map[string]string{}
	for _, m := range c.Members {
		out[plan.HostPort(m.Address, m.ClientPort)] = m.Name
	}
	return out
}

// endpointsFor are the members' real addresses. Proxies are never asked for a
// loopback address; where that means another machine's, a port here stands for it.
func endpointsFor(ctx context.Context, members []*spec.Member, t *tunnel) ([]string, error) {
	var out []string
	for _, m := range members {
		address := plan.HostPort(m.Address, m.ClientPort)
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
	admin, err := s.Admin()
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

// spawn runs etcdctl as a child with our standard streams and passes its exit code on.
func (p *process) spawn(dir string, args []string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	child := &exec.Cmd{
		Path: exe, Args: append([]string{p.args[0], etcdctlArgument, dir}, args...),
		Env: childEnvironment(p.environ), Stdin: p.in, Stdout: p.out, Stderr: p.err,
	}
	// Ctrl-C reaches the child from the terminal by itself; the others are passed
	// on. Either way the child ends first, and we clean up.
	signals := make(chan os.Signal, 4)
	signal.Reset(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := child.Start(); err != nil {
		return fmt.Errorf("cannot start etcdctl: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- child.Wait() }()
	for {
		select {
		case s := <-signals:
			// SIGTERM, since a shell has its background jobs ignore an interrupt.
			if s != os.Interrupt || !p.inTerminal {
				_ = child.Process.Signal(syscall.SIGTERM) // it may be gone already
			}
		case err := <-done:
			return childExit(err)
		}
	}
}

// childExit passes the exit code on.
func childExit(err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &exit):
		return fmt.Errorf("etcdctl: %w", err)
	case exit.ExitCode() < 0: // ended by a signal
		return said(exitInterrupted)
	}
	return said(exit.ExitCode())
}

// childEnvironment leaves out what would point etcdctl elsewhere.
func childEnvironment(environ []string) []string {
	var out []string
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		upper := strings.ToUpper(name)
		if strings.HasPrefix(upper, "ETCDCTL_") || strings.HasSuffix(upper, "_PROXY") || upper == "REQUEST_METHOD" {
			continue
		}
		out = append(out, kv)
	}
	return out
}
