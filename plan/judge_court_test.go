package plan_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/plan/spec"
)

// novel lists the members that have on disk what is not what they had at
// first, as long as nobody has served with such a thing.
func (r *reality) novel() []string {
	if r.proven {
		return nil
	}
	var holds []string
	for _, s := range r.seats() {
		if s.seen.Problem != "" || r.disk(s) == r.had[s.url] || r.still {
			continue
		}
		if r.serves(s) && r.runs(s) == r.disk(s) {
			r.proven = true
			return nil
		}
		holds = append(holds, r.name(s))
	}
	return holds
}

// court walks a scenario breadth-first until nothing is left to try.
type court struct {
	plans  map[string]*plan.Plan
	runs   map[*plan.Plan]int
	states int
	ends   map[string]int
	off    string                    // an invariant that is not looked at
	most   int                       // states after which the walk ends; 0: when nothing is left to try
	tell   func(states, waiting int) // now and then; may be nil
}

// hear walks from a state; the first break is returned with the shortest way to it.
func (c *court) hear(first *reality) (_ *broken, trace string) {
	c.plans, c.runs, c.ends = map[string]*plan.Plan{}, map[*plan.Plan]int{}, map[string]int{}
	first.had = map[string]string{}
	for _, s := range first.seats() {
		first.had[s.url] = first.disk(s)
	}
	seen := map[[sha256.Size]byte]bool{first.key(c.runs): true}
	queue := []*reality{first}
	for len(queue) > 0 && (c.most == 0 || c.states < c.most) {
		r := queue[0]
		queue[0], queue = nil, queue[1:]
		if c.states++; c.tell != nil && c.states%100_000 == 0 {
			c.tell(c.states, len(queue))
		}
		for _, next := range c.moves(r) {
			n, b := c.make(r, next)
			if b != nil {
				return b, n.trace.String()
			}
			if n == nil {
				continue
			}
			if k := n.key(c.runs); !seen[k] {
				seen[k] = true
				n.share(r)
				queue = append(queue, n)
			}
		}
	}
	return nil, ""
}

type move struct {
	what string
	do   func(r *reality)
}

// make makes a move; breaks that are not looked at end the way silently.
func (c *court) make(r *reality, m move) (n *reality, b *broken) {
	n = r.clone(m.what)
	defer func() {
		if p := recover(); p != nil {
			found, ok := p.(broken)
			if !ok {
				panic(fmt.Sprintf("%v\n%s", p, n.trace))
			}
			if found.invariant == c.off {
				n = nil
				return
			}
			b = &found
		}
	}()
	m.do(n)
	// A quorum that comes back under a run that was planned without one finds what that run puts there.
	// A member that is down is repaired with what is new: it takes nobody's quorum away.
	holds, held := n.novel(), r.novel()
	risked := slices.ContainsFunc(holds, func(m string) bool { return !slices.Contains(held, m) && r.serves(r.seat(m)) })
	if n.ran && n.leader != "" && len(holds) > 1 && risked {
		panic(broken{"I9", strings.Join(holds, ", ") + " have on disk what nobody serves with"})
	}
	n.kept()
	return n, nil
}

// kept is broken where a quorum of those that can vote could do without what has been acknowledged.
func (r *reality) kept() {
	behind, total := 0, 0
	for _, m := range r.list {
		if m.Learner {
			continue
		}
		total++
		if on, known := r.whose(m); known && r.lag[on.url] > 0 {
			behind++
		}
	}
	if r.acked && behind > total/2 {
		panic(broken{"I3", fmt.Sprintf("%d of %d voters lack what has been acknowledged", behind, total)})
	}
}

// moves are all that can happen next.
func (c *court) moves(r *reality) []move {
	var out []move
	if r.run == nil {
		out = append(out, move{"plan", c.plan})
	} else {
		out = append(out, c.steps(r)...)
		if r.cuts > 0 {
			out = append(out, move{"cut", func(r *reality) { r.cuts--; r.wrong(); r.over(false) }})
		}
	}
	for _, on := range r.seats() {
		u, url, name := on.host.Unit, on.url, r.name(on)
		if r.deaths > 0 && u.Running() {
			out = append(out, move{name + " dies", func(r *reality) {
				r.deaths, r.down[url] = r.deaths-1, true
				r.wrong()
				r.stop(r.where(url))
			}})
		}
		if _, data := r.lag[url]; r.losses > 0 && data && on.seen.Problem == "" {
			out = append(out, move{name + " loses its disk", func(r *reality) {
				r.losses--
				r.wrong()
				r.lose(r.where(url))
			}})
		}
		if m, listed := r.listed(on); r.others > 0 && listed && r.serves(on) {
			out = append(out, move{"somebody removes " + name, func(r *reality) {
				up, total := r.count()
				if up < kvserver.VotersToRemove(total) {
					return
				}
				r.others--
				r.wrong()
				r.list = slices.DeleteFunc(slices.Clone(r.list), func(o kvserver.Member) bool { return o.ID == m.ID })
				r.vote()
			}})
		}
		if r.down[url] && u.Enabled {
			out = append(out, move{name + " boots", func(r *reality) { r.wrong(); r.start(r.where(url)) }})
		}
	}
	return out
}

// where is the seat of a peer URL, none for "".
func (r *reality) where(url string) seat {
	s, _ := r.at([]string{url})
	return s
}

// wrong notes that something has gone wrong that is not the tool's doing.
func (r *reality) wrong() { r.clean, r.calm, r.round = false, false, 0 }

// rounds is in how many plans everything has to be done once nothing goes wrong any more.
const rounds = 3

// over ends a run.
func (r *reality) over(clean bool) {
	r.run, r.done, r.quiet, r.loud, r.clean, r.ran = nil, 0, place{}, place{}, clean, false
}

// plan looks and plans. What is planned after a run without a fault must be nothing.
func (c *court) plan(r *reality) {
	k := r.sight() + r.leader
	p := c.plans[k]
	if p == nil {
		var err error
		if p, err = plan.Build(r.spec, r.obs, options().Without(r.without)); err != nil {
			panic(broken{"I1", err.Error()}) // a membership refuses what the rules would do
		}
		c.plans[k], c.runs[p] = p, len(c.runs)+1
	}
	switch {
	case p.Blocked() || p.Empty():
		c.end(r, p)
	case r.clean:
		panic(broken{"I6", fmt.Sprintf("a run without a fault left %s to do", p.Steps[0].ID)})
	}
	if !p.Blocked() && !p.Empty() {
		able, total := r.able()
		r.round = min(r.round+1, rounds+1) // who cannot get on plans the same again and again
		if r.round > rounds && !r.bad() && able > total/2 {
			panic(broken{"I6", fmt.Sprintf("planned %d times, and there is still %s to do", r.round, p.Steps[0].ID)})
		}
		_, r.had0 = r.count()
		r.calm, r.began = true, r.tolerance()
		r.run, r.clean, r.ran, r.led = p, len(p.Held) == 0 && (r.leader != "" || !r.still), r.leader != "", ""
		if on := r.where(r.leader); r.leader != "" && r.runs(on) == r.disk(on) {
			r.led = r.leader
		}
	}
}

// end judges where nothing can be done any more.
func (c *court) end(r *reality, p *plan.Plan) {
	c.ends[strings.Join(reasonsOf(p), ", ")]++
	if len(p.Held) == 0 {
		for _, m := range r.spec.Members {
			if !r.serves(r.seat(m.Name)) {
				panic(broken{"I10", "no changes, and " + m.Name + " does not serve"})
			}
		}
		for _, m := range r.list {
			if m.Learner {
				panic(broken{"I2", "no changes, and a learner is left"})
			}
		}
		if len(r.list) != len(r.spec.Members) {
			panic(broken{"I6", fmt.Sprintf("no changes, and %d members are listed instead of %d", len(r.list), len(r.spec.Members))})
		}
		return
	}
	able, total := r.able()
	known := slices.ContainsFunc(r.spec.Members, func(m *spec.Member) bool {
		in, listed := r.listed(r.seat(m.Name))
		return listed && !in.Learner // a learner gives no list
	})
	// Nobody serves who could be told of other addresses: until one boots as it was there is no way on.
	moved := slices.ContainsFunc(p.Held, func(h plan.Held) bool { return h.Reason == plan.AddressesMoved })
	if able > total/2 && r.acked && known && !r.bad() && !r.stuck && !moved {
		panic(broken{"I6", fmt.Sprintf("%d of %d voters have their data, and the way is held: %s", able, total, strings.Join(reasonsOf(p), ", "))})
	}
}

// able is how many voters have their data, on hosts that can be reached and are the spec's, if they do not run
// anyway; and how many there are.
func (r *reality) able() (able, total int) {
	for _, m := range r.list {
		if m.Learner {
			continue
		}
		total++
		if on, known := r.whose(m); known {
			if _, data := r.lag[on.url]; data && on.seen.Problem == "" && (r.up(on) || r.spec.Member(on.member.Name) != nil && urlOf(r.spec.Member(on.member.Name)) == on.url) {
				able++
			}
		}
	}
	return able, total
}

func reasonsOf(p *plan.Plan) []string {
	var out []string
	for _, h := range p.Held {
		out = append(out, string(h.Reason))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// said is broken where a plan said something else of the voters than is so.
func (r *reality) said(when string, v plan.Voters) {
	up, total := r.count()
	lies := v.Total != total || up < v.Healthy || up > v.Healthy+v.Unknown
	if r.calm && r.ran && total > 0 && !r.noNeeds && r.without == "" && !r.noLook && !r.noAsk && lies {
		panic(broken{"I13", fmt.Sprintf("when %s, %d of %d voters serve, and the plan said %s", when, up, total, v)})
	}
}

// steps are the actions that the graph allows now. Those of quiet steps change
// nothing that another quiet step sees, so they are taken in one order; the
// exclusive ones in every order, beside them.
func (c *court) steps(r *reality) []move {
	var out []move
	ready := func(i int) bool {
		if r.done&(1<<i) != 0 || r.quiet.step == i+1 || r.loud.step == i+1 {
			return false
		}
		return r.noNeeds || !slices.ContainsFunc(r.run.Steps[i].Needs, func(n string) bool {
			j := slices.IndexFunc(r.run.Steps, func(s plan.Step) bool { return s.ID == n })
			return r.done&(1<<j) == 0
		})
	}
	go1 := func(i int, exclusive bool) {
		s := r.run.Steps[i]
		at := r.quiet.at
		if exclusive {
			at = r.loud.at
		}
		if p := map[bool]place{false: r.quiet, true: r.loud}[exclusive]; p.step == 0 {
			at = 0
		}
		actions := r.actions(s)
		out = append(out, move{fmt.Sprintf("%s %d/%d", s.ID, at+1, len(actions)), func(r *reality) {
			if exclusive && at == 0 {
				r.said(s.ID+" begins", s.Quorum.Before)
			}
			if !actions[at](r) && !r.noLook {
				v := s.Quorum.After
				if r.clean && !r.bad() && (v.Unknown == 0 || v.Writable()) {
					panic(broken{"I6", "a run without a fault fails at " + s.ID})
				}
				r.over(false)
				return
			}
			now := place{i + 1, at + 1}
			if at+1 == len(actions) {
				r.done |= 1 << i
				now = place{}
				if exclusive {
					r.said(s.ID+" is done", s.Quorum.After)
				}
			}
			if exclusive {
				r.loud = now
			} else {
				r.quiet = now
			}
		}})
	}
	if r.quiet.step > 0 {
		go1(r.quiet.step-1, false)
	} else {
		for i, s := range r.run.Steps {
			if !s.Action.Exclusive() && ready(i) {
				go1(i, false)
				break
			}
		}
	}
	if r.loud.step > 0 {
		go1(r.loud.step-1, true)
	}
	if r.loud.step == 0 {
		for i, s := range r.run.Steps {
			if s.Action.Exclusive() && ready(i) {
				go1(i, true)
			}
		}
	}
	if len(out) == 0 {
		out = append(out, move{"done", func(r *reality) { r.over(r.clean) }})
	}
	return out
}
