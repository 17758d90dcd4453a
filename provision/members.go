package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"quorate/kvserver"
	"quorate/plan"
)

// errMembers says that a plan was made for other members than there are: somebody else has changed them.
var errMembers = errors.New("the members are not those that the plan was made for: plan again")

// errOther is wrapped by what makes a planned change another one than it was when it was planned: no waiting helps.
var errOther = errors.New("the cluster is not as the plan was made for: plan again")

// reconfiguration is one change of the members, as compare-and-set: it is made if they are those that the plan was
// made for, it is done if they are those that it leads to, and at any other list the run stops.
type reconfiguration struct {
	target plan.Ref
	expect []plan.Ref
	after  []plan.Ref
	wait   time.Duration
	// alone: the target is the only voter, and is asked itself.
	alone bool
	// ask has etcd make it, through a voter that serves and is not the target, of which the list has the id.
	ask func(ctx context.Context, admin Admin, now answers, target kvserver.Member) error
}

// reconfigure makes a change, and is done when a linearizable read says so. What etcd refuses for a moment is asked
// for again until wait is over: it wants voters to have been connected for five seconds. Whether a request whose answer was lost has
// happened, the next list says.
func (r *run) reconfigure(ctx context.Context, c reconfiguration) (outcome, error) {
	admin, err := r.session.Admin(ctx)
	if err != nil {
		return outcome{}, err
	}
	deadline := time.Now().Add(c.wait)
	asked := false
	not := c.target
	if c.alone {
		not = plan.Ref{}
	}
	var refused error
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		now := r.survey(ctx, admin, not)
		switch {
		case now.list == nil && refused == nil:
			refused = fmt.Errorf("no member gives the list of members: %w", now.err)
		case now.list == nil:
		case plan.Lists(now.list, c.after):
			return outcome{changed: asked}, nil
		case !plan.Lists(now.list, c.expect):
			return outcome{}, fmt.Errorf("%w\n  expected: %s\n  listed: %s", errMembers, refs(c.expect), listedAs(now.list))
		default:
			target, _ := c.target.In(now.list)
			asked = true
			one, cancel := context.WithTimeout(ctx, apiTimeout)
			refused = c.ask(one, admin, now, target)
			cancel()
			if refused == nil {
				continue // the list says it
			}
		}
		if ctx.Err() != nil {
			return outcome{}, context.Cause(ctx)
		}
		if gone := r.session.anybody(); gone != nil {
			return outcome{}, gone
		}
		if !passes(refused) || time.Now().After(deadline) {
			return outcome{}, refused
		}
		select {
		case <-ctx.Done():
			return outcome{}, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// passes reports whether an error may be gone in a moment: a refusal that etcd takes back by itself, or an
// answer that did not come. What etcd says of the members themselves, the next list says better.
func passes(err error) bool {
	return !errors.Is(err, kvserver.ErrRefused) && !errors.Is(err, errOther)
}

// short adds the numbers to etcd's refusal to change the members while too few voters are up.
func short(err error, now answers, needs int) error {
	if !errors.Is(err, kvserver.ErrTooFewStarted) {
		return err
	}
	return fmt.Errorf("%w\n  %d of %d voters answer here, and %s wants %d to have been connected with it for %s", err, len(now.voters()), votersIn(now.list), now.via, needs, kvserver.HealthInterval)
}

func votersIn(list []kvserver.Member) int {
	n := 0
	for _, m := range list {
		if !m.Learner {
			n++
		}
	}
	return n
}

// silence is how long those who do not answer are waited for at least, once somebody has given the list of members.
const silence = time.Second

// survey asks everyone at once who they are, and one of them for the members: the leader, unless it is the one that must
// not be asked, else whoever answered. Once somebody has said who the members are, the others have as long again as that
// took, and [silence] at least: one whose process hangs costs that, and not the seven seconds of a question.
func (r *run) survey(ctx context.Context, admin Admin, not plan.Ref) answers {
	names := r.session.everyone()
	all := make([]plan.Answer, len(names))
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	began := time.Now()
	var once sync.Once
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			all[i] = askThrough(ctx, admin, name)
			if all[i].Members != nil && !not.Is(kvserver.Member{ID: all[i].Status.MemberID}) {
				once.Do(func() { time.AfterFunc(max(silence, time.Since(began)), cancel) })
			}
		})
	}
	wg.Wait()
	out := answers{status: map[string]kvserver.Status{}}
	var errs []error
	for i, name := range names {
		a := all[i]
		if a.Asked == plan.NotAsked && ctx.Err() != nil {
			a.Problem = kvserver.ErrSilent.Error()
		}
		if a.Asked != plan.Answered {
			errs = append(errs, fmt.Errorf("%s: %s", name, a.Problem))
			continue
		}
		out.status[name] = *a.Status
		me := kvserver.Member{ID: a.Status.MemberID}
		if in := slices.IndexFunc(a.Members, func(m kvserver.Member) bool { return m.ID == me.ID }); in >= 0 {
			me = a.Members[in]
		}
		if a.Members == nil || not.Is(me) {
			continue
		}
		if out.via == "" || a.Status.Leader == a.Status.MemberID {
			out.via, out.list = name, a.Members
		}
	}
	out.err = errors.Join(errs...)
	return out
}

func refs(list []plan.Ref) string {
	var out []string
	for _, r := range list {
		out = append(out, r.String()+" "+strings.Join(r.PeerURLs, ",")+role(r.Learner))
	}
	return strings.Join(out, "; ")
}

func listedAs(list []kvserver.Member) string {
	var out []string
	for _, m := range list {
		out = append(out, fmt.Sprintf("%s (%s) %s", m.Name, kvserver.ID(m.ID), strings.Join(m.PeerURLs, ","))+role(m.Learner))
	}
	return strings.Join(out, "; ")
}

func role(learner bool) string {
	if learner {
		return " as a learner"
	}
	return ""
}

// with is a list of members with one of them replaced; without one it is appended, without a successor it goes.
func with(list []plan.Ref, old plan.Ref, successor *plan.Ref) []plan.Ref {
	var out []plan.Ref
	found := false
	for _, r := range list {
		if r.ID == old.ID && slices.Equal(r.PeerURLs, old.PeerURLs) {
			found = true
			if successor != nil {
				out = append(out, *successor)
			}
			continue
		}
		out = append(out, r)
	}
	if !found && successor != nil {
		out = append(out, *successor)
	}
	return out
}
