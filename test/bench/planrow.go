package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"quorate/test/lab"
)

// emptyPlan plans a cluster that is as its spec says, beside three `ssh HOST
// true` at the same time. Before and after, the hosts are compared file by
// file, and their sshd is asked how often somebody logged in.
func emptyPlan(ctx context.Context, s *stage) ([]Result, error) {
	dir, err := s.spec("")
	if err != nil {
		return nil, err
	}
	if _, err := s.quorate(ctx, dir, "apply", "-y"); err != nil {
		return nil, err
	}
	plan := func(int) (float64, error) { return s.quorate(ctx, dir, "plan", "--detailed-exitcode") }
	bare := func(int) (float64, error) { return s.bareSSH(ctx) }
	if _, err := alternate(2, plan, bare); err != nil {
		return nil, err
	}
	changed, logins, err := s.watched(ctx, func() error { _, err := plan(0); return err })
	if err != nil {
		return nil, err
	}
	p, err := alternate(s.turns(15), plan, bare)
	if err != nil {
		return nil, err
	}
	r := against(p.ours, p.theirs)
	r.Work, r.Limit = "plan with nothing to change, 3 hosts: quorate plan ÷ three parallel ssh HOST true", 0.9
	r.Notes = []string{spread("quorate plan", p.ours, "s"), spread("ssh HOST true", p.theirs, "s")}
	w := Result{Work: "the same plan: files changed on the hosts", Unit: "files", Measured: float64(len(changed)), Rounds: 1,
		Notes: append([]string{"compared before and after: name, type, mode, owner, size, mtime, ctime and content below " + watchedTrees}, changed...)}
	c := Result{Work: "the same plan: logins per host, by sshd's log", Limit: 1, Unit: "connections", Measured: logins, Rounds: 1}
	return []Result{r, w, c}, nil
}

// bareSSH is what nobody can do without: a login on each host, all at once.
func (s *stage) bareSSH(ctx context.Context) (float64, error) {
	args := []string{"-euc", `for h; do ssh -F "$0" -o BatchMode=yes "$h" true & done; wait`, s.op.SSHConfig()}
	for _, h := range s.lab.Hosts() {
		args = append(args, h.Addr())
	}
	return timed(s.op.Command(ctx, "sh", args...))
}

// watchedTrees are all that a tool has to do with; what is in the data
// directory changes by itself, since the member runs.
const watchedTrees = "/etc /opt /usr /root /home /srv /tmp /var/tmp /var/lib (but for the member's data and what a login itself leaves in /var/lib/systemd)"

const fingerprint = `
	find /etc /opt /usr /root /home /srv /tmp /var/tmp /var/lib /run/quorate /run/systemd/system \
		\( -path /var/lib/etcd/lab/member -o -path /var/lib/systemd/linger -o -path '/tmp/systemd-private-*' -o -path '/var/tmp/systemd-private-*' \) -prune -o \
		-printf '%p %y %m %u %g %s %T@ %C@\n' | sort
	find /etc /opt /var/lib/systemd -type f -exec sha256sum {} + | sort
	systemctl list-unit-files --no-legend --no-pager
	systemctl show --property=MainPID,NRestarts quorate-lab.service`

// watched runs f and tells what changed on the hosts meanwhile, and the most
// logins that any of them saw.
func (s *stage) watched(ctx context.Context, f func() error) (changed []string, logins float64, err error) {
	hosts := s.lab.Hosts()
	before, seen := make([]string, len(hosts)), make([]int, len(hosts))
	look := func(i int) (string, int, error) {
		text, err := hosts[i].Shell(ctx, fingerprint)
		if err != nil {
			return "", 0, err
		}
		n, err := loginsOf(ctx, hosts[i])
		return text, n, err
	}
	var g errgroup.Group
	for i := range hosts {
		g.Go(func() (err error) { before[i], seen[i], err = look(i); return err })
	}
	if err := g.Wait(); err != nil {
		return nil, 0, err
	}
	if err := f(); err != nil {
		return nil, 0, err
	}
	for i, h := range hosts {
		after, n, err := look(i)
		if err != nil {
			return nil, 0, err
		}
		for _, line := range difference(before[i], after) {
			changed = append(changed, h.Name()+" "+line)
		}
		logins = max(logins, float64(n-seen[i]))
	}
	return changed, logins, nil
}

func loginsOf(ctx context.Context, h *lab.Host) (int, error) {
	out, err := h.Shell(ctx, `journalctl --sync; journalctl --quiet --no-pager --boot --output=cat | grep -c '^Accepted ' || true`)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		return 0, fmt.Errorf("cannot count the logins on host %q: %w", h.Name(), err)
	}
	return n, nil
}

// difference lists the lines that only one of two texts has.
func difference(was, now string) []string {
	only := func(a, b string) (out []string) {
		in := map[string]bool{}
		for l := range strings.Lines(b) {
			in[l] = true
		}
		for l := range strings.Lines(a) {
			if !in[l] {
				out = append(out, strings.TrimSpace(l))
			}
		}
		return out
	}
	var out []string
	for _, l := range only(was, now) {
		out = append(out, "- "+l)
	}
	for _, l := range only(now, was) {
		out = append(out, "+ "+l)
	}
	return out
}
