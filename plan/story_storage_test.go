package plan_test

import (
	"strconv"
	"testing"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/plan/spec"
)

// stores lets one line of a story come true that is about what members store; false: it is about something else.
func stores(t *testing.T, w *world, verb string, args []string) bool {
	number := func(i int) int64 {
		if i >= len(args) {
			t.Fatalf("%q wants more words than %q", verb, args)
		}
		n, err := strconv.ParseInt(args[i], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	switch verb {
	case "alarm": // every member raises it, and says so
		w.say(func(_ string, s *kvserver.Status) { s.Alarms = []string{args[0]} })
	case "database": // member or "all", also of those outside the spec: MiB of its file, of them in use, and its quota if it says that
		say := func(name string, s *kvserver.Status) {
			if name == args[0] || args[0] == "all" {
				s.DBSize, s.DBSizeInUse = number(1)<<20, number(2)<<20
				if len(args) > 3 {
					s.DBQuota = number(3) << 20
				}
			}
		}
		w.say(say)
		for _, o := range w.obs.Cluster.Strangers {
			if o.Answer.Status != nil {
				say(o.Member.Name, o.Answer.Status)
			}
		}
	case "revision": // the newest, of one member or "all"
		w.say(func(name string, s *kvserver.Status) {
			if name == args[0] || args[0] == "all" {
				s.Revision = number(1)
			}
		})
	case "compacted": // up to
		w.storage().Compacted = number(0)
	case "stands": // an alarm, by a voter's word: of that member, or of one with that id that is not listed
		id, ok := uint64(0), false
		for _, m := range w.list {
			if m.Name == args[1] {
				id, ok = m.ID, true
			}
		}
		if !ok {
			id = uint64(number(1))
		}
		w.storage().Alarms = append(w.storage().Alarms, kvserver.Alarm{Member: id, Kind: args[0]})
	default:
		return false
	}
	return true
}

// storage is what a voter says for all.
func (w *world) storage() *plan.Storage {
	if w.obs.Cluster.Storage == nil {
		w.obs.Cluster.Storage = &plan.Storage{}
	}
	return w.obs.Cluster.Storage
}

// maintains is what an operator asks for: defrag, by the rule of the command line or with --all or for some, compact or
// disarm with the number of revisions to keep. A cluster of which nobody could be asked has no storage to speak of.
func maintains(t *testing.T, w *world, words []string) func(*spec.Cluster, *plan.Observed, plan.Options) (*plan.Plan, error) {
	if plan.TakeCensus(w.spec, w.obs).Known {
		w.storage()
	}
	keep := int64(0)
	rest := words[1:]
	if words[0] != "defrag" {
		n, err := strconv.ParseInt(rest[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		keep = n
	}
	return func(c *spec.Cluster, o *plan.Observed, opt plan.Options) (*plan.Plan, error) {
		switch words[0] {
		case "defrag":
			d := plan.DefragOptions{Rule: &plan.FreeRule{Free: 0.45, Larger: 100e6}, Members: rest}
			if len(rest) > 0 && rest[0] == "--all" {
				d.Rule, d.Members = nil, rest[1:]
			}
			return plan.BuildDefrag(c, o, opt, d)
		case "compact":
			return plan.BuildCompact(c, o, opt, keep)
		case "disarm":
			return plan.BuildDisarm(c, o, opt, keep)
		}
		t.Fatalf("maintain what? %q", words)
		return nil, nil
	}
}
