package plan_test

import (
	"errors"
	"fmt"
	"slices"

	"quorate/kvserver"
	"quorate/plan"
)

// actions are those that a step is made of; each may be the last before a cut.
// One that returns false has failed, and the run ends.
func (r *reality) actions(s plan.Step) []func(*reality) bool {
	var out []func(*reality) bool
	part := func(a plan.Action) {
		one := s
		one.Action = a
		out = append(out, func(r *reality) bool { r.do(one); return true })
	}
	switch s.Action.(type) {
	case *plan.Push, *plan.Files, *plan.Certificates, *plan.Record:
		if r.still || r.coarse { // what lies on the disks has scenarios of its own
			part(s.Action)
			return out
		}
	}
	switch a := s.Action.(type) {
	case *plan.Push:
		for i := range a.Binaries {
			b := *a
			b.Binaries = a.Binaries[i : i+1]
			part(&b)
		}
	case *plan.Files:
		for i := range a.Files {
			b := *a
			b.Files, b.Absent, b.Enable, b.Reload = a.Files[i:i+1], nil, false, false
			part(&b)
		}
		b := *a
		b.Files = nil
		part(&b)
	case *plan.Certificates:
		b := *a
		b.Issue = nil
		part(&b)
		for i := range a.Issue {
			b := *a
			b.Issue = a.Issue[i : i+1]
			part(&b)
		}
	case *plan.Start:
		for _, m := range a.Members {
			if m.Restart {
				out = append(out, func(r *reality) bool {
					return (r.noGate || r.spared(r.seat(m.Member))) && r.away(r.seat(m.Member), a.Learner, false)
				})
			}
		}
		for _, m := range a.Members {
			out = append(out, func(r *reality) bool {
				if on := r.seat(m.Member); !on.host.Unit.Running() || on.host.Unit.Looping() {
					r.lives(on)
					r.start(on)
				}
				return true
			})
		}
		out = append(out, func(r *reality) bool {
			return !slices.ContainsFunc(a.Members, func(m plan.StartMember) bool {
				on := r.seat(m.Member)
				u := on.host.Unit
				return !r.serves(on) || m.ExeDigest != "" && u.ExeDigest != m.ExeDigest || m.ConfigDigest != "" && u.ConfigDigest != m.ConfigDigest
			})
		})
	case *plan.Restart:
		out = restarted(s, a)
	case *plan.Add, *plan.Promote, *plan.Expel:
		out = r.changes(s)
	case *plan.Update:
		out = r.changes(s)
		if a.Restart != nil {
			out = append(out, restarted(s, a.Restart)...)
		}
	case *plan.Relocate:
		if a.Update != nil {
			one := s
			one.Action = a.Update
			out = r.changes(one)
		}
		var moves []func(*reality) bool
		for _, t := range a.Moves {
			moves = append(moves, func(r *reality) bool {
				f := r.seat(s.Member).host.Former
				if !slices.ContainsFunc(f.Moves, func(m plan.SeenMove) bool { return m.To == t.To && (m.Here || m.There) }) {
					return false // neither is there: its disk was lost
				}
				r.lies(s.Member, t.To.Path(), "there")
				if on := r.seat(s.Member); on.host.Unit.Looping() { // its unit tries again and again
					r.start(on)
				}
				return true
			})
		}
		if a.Restart == nil {
			out = append(out, func(r *reality) bool {
				on := r.seat(s.Member)
				if r.serves(on) {
					return false // it came back: plan again
				}
				r.stop(on)
				return true
			})
			return append(out, moves...)
		}
		away := restarted(s, a.Restart)
		out = slices.Concat(out, away[:1], moves, away[1:])
	case *plan.Aside, *plan.Remove:
		out = append(out, func(r *reality) bool {
			on := r.seat(s.Member)
			r.spare(on)
			r.do(s)
			delete(r.lag, on.url)
			r.vote()
			return true
		})
	case *plan.Stop:
		for _, m := range a.Members {
			out = append(out, func(r *reality) bool {
				on := r.seat(m.Member)
				if _, listed := r.listed(on); listed {
					panic(broken{"I1", m.Member + " is stopped for good, and it is listed"})
				}
				r.do(s)
				r.vote()
				return true
			})
		}
	case *plan.Record:
		if !r.noRecord {
			part(a)
		} else {
			out = append(out, func(*reality) bool { return true })
		}
	default:
		part(s.Action)
	}
	return out
}

// restarted are the actions of a restart.
func restarted(s plan.Step, a *plan.Restart) []func(*reality) bool {
	return []func(*reality) bool{
		// Nobody can see a death between the last look and the stop.
		func(r *reality) bool {
			up, total := r.count()
			return (r.noGate || up == total) && r.away(r.seat(s.Member), false, true)
		},
		func(r *reality) bool { r.start(r.seat(s.Member)); return true },
		func(r *reality) bool {
			u := r.seat(s.Member).host.Unit
			return r.serves(r.seat(s.Member)) && u.ExeDigest == a.ExeDigest && u.ConfigDigest == a.ConfigDigest
		},
	}
}

// changes are the actions of a change of the members; etcd refuses what kvserver/reconfig.go says that it does.
func (r *reality) changes(s plan.Step) []func(*reality) bool {
	ask := func(r *reality) bool {
		up, total := r.count()
		serves := false // who is to go does
		switch a := s.Action.(type) {
		case *plan.Add:
			if up < kvserver.VotersToAdd(total, r.version()) {
				return false
			}
		case *plan.Promote:
			if !r.serves(r.seat(s.Member)) {
				return false
			}
		case *plan.Update:
			if on := r.seat(s.Member); r.serves(on) && up < total && !r.noGate {
				return false // its restart follows
			}
		case *plan.Expel:
			on, known := r.at(a.Target.PeerURLs)
			m, _ := r.listed(on)
			serves = known && r.serves(on) && !m.Learner
			if serves && !a.Answers {
				return false // it came back, and nobody has said that it may go
			}
			if serves && (up < kvserver.VotersToRemove(total) || up < total && !r.noGate) {
				return false
			}
		}
		if r.leader == "" {
			return false
		}
		if err := r.change(s.Action, r.noExpect); err != nil {
			return false
		}
		r.changed(s, serves, up, total)
		r.vote()
		return true
	}
	switch a := s.Action.(type) {
	case *plan.Update:
		return []func(*reality) bool{func(r *reality) bool {
			r.handAway(r.seat(s.Member))
			r.vote()
			return r.leader != ""
		}, ask}
	case *plan.Promote:
		return []func(*reality) bool{func(r *reality) bool {
			on := r.seat(s.Member)
			if !r.serves(on) {
				return false
			}
			if !r.noCatchUp {
				r.lag[on.url] = 0
			}
			return true
		}, ask}
	case *plan.Expel:
		return []func(*reality) bool{func(r *reality) bool {
			if on, known := r.at(a.Target.PeerURLs); known {
				r.handAway(on)
				r.vote()
			}
			return r.leader != ""
		}, ask}
	}
	return []func(*reality) bool{ask}
}

// changed judges a change of the members that has just been made, when so many of so many voters served.
func (r *reality) changed(s plan.Step, served bool, up, total int) {
	voters, left := r.voting(r.running())
	current := slices.DeleteFunc(voters, func(s seat) bool { return r.lag[s.url] > 0 })
	switch tolerance := len(current) - left/2 - 1; {
	case r.calm && len(current) <= left/2:
		panic(broken{"I2", fmt.Sprintf("%s leaves %d voters that have everything, of %d", s.ID, len(current), left)})
	case served && up < total:
		panic(broken{"I1", fmt.Sprintf("%s takes a voter away while %d of %d serve", s.ID, up, total)})
	case served && left < min(len(r.spec.Members), r.had0):
		panic(broken{"I1", fmt.Sprintf("%s leaves %d voters, and neither is the spec so small, nor was the cluster", s.ID, left)})
	case served && r.calm && tolerance < min(r.began, (len(r.spec.Members)-1)/2):
		panic(broken{"I1", fmt.Sprintf("%s leaves a tolerance of %d, which is less than before and afterwards", s.ID, tolerance)})
	}
}

// lives is broken by a start of a member that was removed.
func (r *reality) lives(s seat) {
	if _, listed := r.listed(s); s.host.Data.Member && r.list != nil && !listed && r.calm && r.ran { // otherwise nobody could know
		panic(broken{"I8", r.name(s) + " is started with the data of a member that was removed"})
	}
}

// spare is broken by a move of data that a member of the cluster may need.
func (r *reality) spare(s seat) {
	if _, listed := r.listed(s); listed && r.lag[s.url] < 2 {
		panic(broken{"I8", r.name(s) + " is listed, and its data is moved away"})
	}
}

// spared is the gate of a start that stops a process first: who serves is touched only while the others are a quorum.
func (r *reality) spared(s seat) bool {
	up, total := r.count()
	m, _ := r.listed(s)
	return !r.serves(s) || m.Learner || up-1 > total/2
}

// handOver gives leadership from a member to another, as etcd does it and refuses it.
func (r *reality) handOver(from seat, to uint64) error {
	if r.leader != from.url {
		return errors.New("etcdserver: not leader")
	}
	voters, _ := r.voting(r.running())
	for _, o := range voters {
		if r.ids[o.url] == to && r.serves(o) {
			r.leader = o.url
			return nil
		}
	}
	return errors.New("etcdserver: bad leader transferee")
}

// handAway gives leadership to somebody else, if there is anybody.
func (r *reality) handAway(from seat) {
	for _, m := range slices.Backward(r.list) {
		if m.ID != r.ids[from.url] && r.leader == from.url {
			_ = r.handOver(from, m.ID) // to who is down it does not go
		}
	}
}

// away stops a member on purpose. In a roll every voter has to serve before;
// leadership is handed over.
func (r *reality) away(s seat, joins, roll bool) bool {
	before, n := r.count()
	if r.serves(s) && roll && before < n {
		panic(broken{"I1", fmt.Sprintf("%s is taken away while %d of %d voters serve", r.name(s), before, n)})
	}
	if r.still && !joins && r.serves(s) {
		panic(broken{"I5", r.name(s) + " is restarted, and nothing of what it runs with has changed"})
	}
	if roll && r.clean && r.leader == s.url && r.led == s.url {
		for _, o := range r.seats() {
			if o.url != s.url && (r.disk(o) == r.had[o.url] || r.runs(o) != r.disk(o)) {
				panic(broken{"I4", fmt.Sprintf("%s leads and is restarted before %s", r.name(s), r.name(o))})
			}
		}
	}
	r.handAway(s)
	r.stop(s)
	if r.leader == "" && before > n/2 && (n > 2 || !roll) {
		panic(broken{"I1", fmt.Sprintf("stopping %s takes the quorum away", r.name(s))})
	}
	return true
}
