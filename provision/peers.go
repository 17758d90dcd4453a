package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"quorate/kvserver"
	"quorate/plan"
)

// peers has all hosts shake hands at once, and names what does not work with both ends.
func (r *run) peers(ctx context.Context, _ plan.Step, a *plan.Peers) (outcome, error) {
	answers := make([]kvserver.HandshakesAnswer, len(a.Members))
	errs := make([]error, len(a.Members))
	parallel(len(a.Members), func(i int) {
		me := a.Members[i]
		ask := kvserver.Handshakes{CA: me.CA, Cert: me.Cert, Key: me.Key, CommonName: a.CommonName, TimeoutMS: a.Wait.Milliseconds()}
		for _, o := range a.Members {
			if o.Member != me.Member {
				ask.Peers = append(ask.Peers, kvserver.ProbePeer{Name: o.Member, Address: o.Address})
			}
		}
		h, err := r.session.Host(ctx, me.Member)
		if err == nil {
			err = helper(ctx, h, me.Helper, "handshakes", ask, &answers[i])
		}
		errs[i] = err
	})
	if err := errors.Join(errs...); err != nil {
		return outcome{}, err
	}
	var broken []error
	for i, m := range a.Members {
		names := sortedNames(answers[i].Failed)
		slices.Sort(names)
		for _, peer := range names {
			broken = append(broken, fmt.Errorf("%s with %s: %s", m.Member, peer, answers[i].Failed[peer]))
		}
	}
	if len(broken) > 0 {
		return outcome{}, fmt.Errorf("members would refuse one another if they were told to know each other by name, so they are not:\n%w", errors.Join(broken...))
	}
	return outcome{detail: "all of them do"}, nil
}
