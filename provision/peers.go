package provision

import (
	"context"
	"fmt"

	"quorate/kvserver"
	"quorate/plan"
)

// peers has all hosts shake hands at once, and names what does not work with both ends.
func (r *run) peers(ctx context.Context, _ plan.Step, a *plan.Peers) (outcome, error) {
	ends := make([]end, len(a.Members))
	for i, m := range a.Members {
		ends[i] = end{m.Member, m.Helper, m.Address}
	}
	answers, err := everywhere[kvserver.HandshakesAnswer](ctx, r, ends, "handshakes", func(i int, others []kvserver.ProbePeer) any {
		me := a.Members[i]
		return kvserver.Handshakes{CA: me.CA, Cert: me.Cert, Key: me.Key, CommonName: a.CommonName, TimeoutMS: a.Wait.Milliseconds(), Peers: others}
	})
	if err != nil {
		return outcome{}, err
	}
	if err := unmet(ends, func(i int) map[string]string { return answers[i].Failed }, func(me, peer, why string) error {
		return fmt.Errorf("%s with %s: %s", me, peer, why)
	}); err != nil {
		return outcome{}, fmt.Errorf("members would refuse one another if they were told to know each other by name, so they are not:\n%w", err)
	}
	return outcome{detail: "all of them do"}, nil
}
