package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"quorate/kvserver"
	"quorate/plan"
)

// reach runs the probe on all hosts at once, and names what does not work with both ends.
func (r *run) reach(ctx context.Context, _ plan.Step, a *plan.Reach) (outcome, error) {
	answers := make([]kvserver.PeerProbeAnswer, len(a.Members))
	errs := make([]error, len(a.Members))
	parallel(len(a.Members), func(i int) {
		me := a.Members[i]
		ask := kvserver.PeerProbe{Name: me.Member, Listen: me.Listen, TimeoutMS: a.Wait.Milliseconds()}
		for _, o := range a.Members {
			if o.Member != me.Member {
				ask.Peers = append(ask.Peers, kvserver.ProbePeer{Name: o.Member, Address: o.Address})
			}
		}
		h, err := r.session.Host(ctx, me.Member)
		if err == nil {
			err = helper(ctx, h, me.Helper, "probe", ask, &answers[i])
		}
		errs[i] = err
	})
	if err := errors.Join(errs...); err != nil {
		return outcome{}, err
	}
	at := map[string]string{}
	for i, m := range a.Members {
		at[m.Member] = m.Address
		if why := answers[i].ListenError; why != "" {
			errs[i] = fmt.Errorf("%s cannot listen on %s: %s\n  give it an address that its host has, and a peer_port that is free", m.Member, m.Listen, why)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return outcome{}, err // the others could not reach them for that reason
	}
	var broken []error
	for i, m := range a.Members {
		names := sortedNames(answers[i].Unreached)
		slices.Sort(names)
		for _, peer := range names {
			broken = append(broken, fmt.Errorf("%s cannot reach %s at %s: %s", m.Member, peer, at[peer], answers[i].Unreached[peer]))
		}
	}
	if len(broken) > 0 {
		return outcome{}, fmt.Errorf("the members would not find each other, and nothing was started:\n%w\n  open their peer ports between the hosts (firewall, routes), or correct the addresses", errors.Join(broken...))
	}
	return outcome{detail: "every one reaches the others"}, nil
}
