package provision

import (
	"context"
	"fmt"

	"quorate/kvserver"
	"quorate/plan"
)

// peers has all hosts shake hands at once, and names what does not work with both ends.
func (r *run) peers(ctx context.Context, _ plan.Step, a *plan.Peers) (outcome, error) {
	answers := make([]kvserver.HandshakesAnswer, len(a.Members))
	ends := make([]end, len(a.Members))
	for i, m := range a.Members {
		ends[i] = end{m.Member, m.Helper}
	}
	if err := r.everywhere(ctx, ends, "handshakes", func(i int) any {
		me := a.Members[i]
		ask := kvserver.Handshakes{CA: me.CA, Cert: me.Cert, Key: me.Key, CommonName: a.CommonName, TimeoutMS: a.Wait.Milliseconds()}
		for _, o := range a.Members {
			if o.Member != me.Member {
				ask.Peers = append(ask.Peers, kvserver.ProbePeer{Name: o.Member, Address: o.Address})
			}
		}
		return ask
	}, func(i int) any { return &answers[i] }); err != nil {
		return outcome{}, err
	}
	if err := unmet(ends, func(i int) map[string]string { return answers[i].Failed }, func(me, peer, why string) error {
		return fmt.Errorf("%s with %s: %s", me, peer, why)
	}); err != nil {
		return outcome{}, fmt.Errorf("members would refuse one another if they were told to know each other by name, so they are not:\n%w", err)
	}
	return outcome{detail: "all of them do"}, nil
}
