package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"quorate/test/lab"
)

// sudoTakes is how long sudo takes on the hosts of the row, in seconds.
const sudoTakes = 2.0

// slowSudo applies a fresh cluster, and plans it again, as a user with sudo on hosts whose sudo takes two seconds,
// beside the same on hosts whose sudo takes none. What it takes longer, in such waits, is how often the
// slowest host's sudo was waited for.
func slowSudo(ctx context.Context, s *stage) ([]Result, error) {
	connection := fmt.Sprintf("connection { user = %q }", lab.UserSudo)
	var apply, plan [2][]float64 // without and with the wait
	for range s.turns(3) {
		for i, wait := range []string{"", fmt.Sprintf("echo 'session optional pam_exec.so /bin/sleep %g' >>/etc/pam.d/sudo", sudoTakes)} {
			if err := s.reset(ctx); err != nil {
				return nil, err
			}
			for _, h := range s.lab.Hosts() {
				if out, err := h.Shell(ctx, "true; "+wait); err != nil {
					return nil, fmt.Errorf("%w\n%s", err, out)
				}
			}
			dir, err := s.spec(connection)
			if err != nil {
				return nil, err
			}
			took, err := s.quorate(ctx, dir, "apply", "-y")
			if err != nil {
				return nil, err
			}
			apply[i] = append(apply[i], took)
			if took, err = s.quorate(ctx, dir, "plan"); err != nil {
				return nil, err
			}
			plan[i] = append(plan[i], took)
		}
	}
	var out []Result
	for _, w := range []struct {
		what string
		took [2][]float64
	}{{"fresh apply", apply}, {"plan with nothing to change", plan}} {
		waits := make([]float64, len(w.took[0]))
		for i := range waits {
			waits[i] = (w.took[1][i] - w.took[0][i]) / sudoTakes
		}
		m := median(waits)
		out = append(out, Result{
			Work: w.what + " as a user with sudo, whose sudo takes 2 s: what it takes longer, in such waits", Limit: 1.25, Unit: "waits", Measured: m, Low: slices.Min(waits), High: slices.Max(waits), Rounds: len(waits),
			Notes: []string{spread(strings.TrimSpace(w.what+" with"), w.took[1], "s"), spread(w.what+" without", w.took[0], "s")},
		})
	}
	return out, nil
}
