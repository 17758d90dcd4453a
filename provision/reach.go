package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"quorate/kvserver"
	"quorate/plan"
)

// end is a member, kvserver on its host, and where the others meet it.
type end struct{ member, helper, address string }

// everywhere runs a chore of kvserver's on the hosts of several members at once, each with an input of its
// own, which is told of the others, and an answer.
func everywhere[A any](ctx context.Context, r *run, ends []end, chore string, ask func(i int, others []kvserver.ProbePeer) any) ([]A, error) {
	answers := make([]A, len(ends))
	errs := make([]error, len(ends))
	parallel(len(ends), func(i int) {
		var others []kvserver.ProbePeer
		for _, o := range ends {
			if o.member != ends[i].member {
				others = append(others, kvserver.ProbePeer{Name: o.member, Address: o.address})
			}
		}
		h, err := r.session.Host(ctx, ends[i].member)
		if err == nil {
			err = helper(ctx, h, ends[i].helper, chore, ask(i, others), &answers[i])
		}
		errs[i] = err
	})
	return answers, errors.Join(errs...)
}

// unmet says of whom each member told that it could not meet them, with both ends; nil if nobody did.
func unmet(ends []end, failed func(i int) map[string]string, say func(me, peer, why string) error) error {
	var broken []error
	for i, e := range ends {
		for _, peer := range slices.Sorted(maps.Keys(failed(i))) {
			broken = append(broken, say(e.member, peer, failed(i)[peer]))
		}
	}
	return errors.Join(broken...)
}

// reach runs the probe on all hosts at once, and names what does not work with both ends.
func (r *run) reach(ctx context.Context, _ plan.Step, a *plan.Reach) (outcome, error) {
	ends, at := make([]end, len(a.Members)), map[string]string{}
	for i, m := range a.Members {
		ends[i], at[m.Member] = end{m.Member, m.Helper, m.Address}, m.Address
	}
	answers, err := everywhere[kvserver.PeerProbeAnswer](ctx, r, ends, "probe", func(i int, others []kvserver.ProbePeer) any {
		me := a.Members[i]
		return kvserver.PeerProbe{Name: me.Member, Listen: me.Listen, TimeoutMS: a.Wait.Milliseconds(), Peers: others}
	})
	if err != nil {
		return outcome{}, err
	}
	errs := make([]error, len(a.Members))
	for i, m := range a.Members {
		if why := answers[i].ListenError; why != "" {
			errs[i] = fmt.Errorf("%s cannot listen on %s: %s\n  give it an address that its host has, and a peer_port that is free", m.Member, m.Listen, why)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return outcome{}, err // the others could not reach them for that reason
	}
	if err := unmet(ends, func(i int) map[string]string { return answers[i].Unreached }, func(me, peer, why string) error {
		return fmt.Errorf("%s cannot reach %s at %s: %s", me, peer, at[peer], why)
	}); err != nil {
		return outcome{}, fmt.Errorf("the members would not find each other, and nothing was started:\n%w\n  open their peer ports between the hosts (firewall, routes), or correct the addresses", err)
	}
	return outcome{detail: "every one reaches the others"}, nil
}
