package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// bareRestarts restarts one member after the other and waits until each says that it is healthy: the least
// that anybody does who cares. It looks at nothing, hands nothing over, and has its configuration in place already.
const bareRestarts = `
	for h; do
		ssh -F "$0" -o BatchMode=yes "$h" systemctl restart quorate-lab
		until curl --silent --fail --cacert "$CLIENTS/ca.pem" --cert "$CLIENTS/app.pem" --key "$CLIENTS/app-key.pem" "https://$h:2379/health" | grep -q '"health":"true"'; do
			sleep 0.02
		done
	done`

// roll applies a changed setting to a cluster of three, and restarts its members by a shell script, in turn.
func roll(ctx context.Context, s *stage) ([]Result, error) {
	if err := s.install(ctx, "curl", "curl"); err != nil {
		return nil, err
	}
	const client = "client \"app\" {}\n"
	dir, err := s.spec(client)
	if err != nil {
		return nil, err
	}
	if _, err := s.quorate(ctx, dir, "apply", "-y"); err != nil {
		return nil, err
	}
	count := 5000
	apply := func(int) (float64, error) {
		count++
		if err := s.write(dir, s.lab.Hosts(), fmt.Sprintf("%sserver { snapshot_count = %d }", client, count)); err != nil {
			return 0, err
		}
		return s.quorate(ctx, dir, "apply", "-y")
	}
	args := []string{"-euc", bareRestarts, s.op.SSHConfig()}
	for _, h := range s.lab.Hosts() {
		args = append(args, h.Addr())
	}
	script := func(int) (float64, error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
		defer cancel()
		cmd := s.op.Command(ctx, "sh", args...)
		cmd.Env = append(cmd.Env, "CLIENTS="+filepath.Join(dir, "pki/lab/clients"))
		return timed(cmd)
	}
	if _, err := alternate(1, apply, script); err != nil { // caches, and the leader where chance has it
		return nil, err
	}
	p, err := alternate(s.turns(7), apply, script)
	if err != nil {
		return nil, err
	}
	r := against(p.ours, p.theirs)
	r.Work, r.Limit = "a setting that rolls through three members: quorate apply ÷ three bare restarts one after another with a health check", 1.5
	r.Notes = []string{spread("quorate", p.ours, "s"), spread("script", p.theirs, "s")}
	return []Result{r}, nil
}
