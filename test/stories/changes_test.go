package stories

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision"
	"quorate/test/lab"
)

// change is something that an operator does to a cluster while clients use it.
type change struct {
	name string
	// hosts is how many machines there are; @1 to @9 in a spec stand for their addresses.
	hosts int
	// before is the cluster's spec at first, more of it than "client".
	before string
	edits  []edit
	// always: also in an ordinary run of the tests, once; the others are for soaks.
	always bool
}

// edit is one change of the spec, applied.
type edit struct {
	name string
	// byHand is done before; nil is nothing.
	byHand func(s *stage)
	after  string
	// removes are voters that answer and go: somebody has to say their names.
	removes []string
	// does are kinds of steps that the plan must have: an edit that asks for nothing proves nothing.
	does []plan.Kind
	// again: the next apply has something to do still, which restarts nobody.
	again bool
}

// members is the text of those on hosts with the numbers, each named after its host.
func members(numbers ...int) string {
	var b strings.Builder
	for _, n := range numbers {
		fmt.Fprintf(&b, "member \"etcd%d\" { address = \"@%d\" }\n", n, n)
	}
	return b.String()
}

// second is an address more for the third host.
const second = "198.18.0.213"

// changes are those of which a client must notice nothing.
func changes() []change {
	three := members(1, 2, 3)
	return []change{
		{name: "a setting rolls", hosts: 3, before: three, always: true, edits: []edit{
			{name: "roll", after: "server { snapshot_count = 5000 }\n" + three, does: []plan.Kind{plan.KindFiles, plan.KindRestart}},
		}},
		{name: "a new unit rolls", hosts: 3, before: three, edits: []edit{
			{name: "roll", after: strings.NewReplacer("{ ", "{\n", " }", "\n metrics_port = 2381\n}").Replace(three), does: []plan.Kind{plan.KindFiles, plan.KindRestart}},
		}},
		{name: "a new kvserver rolls", hosts: 3, before: three, edits: []edit{
			{name: "roll", byHand: (*stage).otherServer, after: "server { binary = \"./bin\" }\n" + three, does: []plan.Kind{plan.KindPush, plan.KindRestart}},
		}},
		{name: "1, 3, 5 members", hosts: 5, before: members(1), edits: []edit{
			{name: "1 to 3", after: three, does: []plan.Kind{plan.KindAdd, plan.KindPromote}},
			{name: "3 to 5", after: members(1, 2, 3, 4, 5), does: []plan.Kind{plan.KindAdd, plan.KindPromote}},
		}},
		{name: "5, 3, 1 members", hosts: 5, before: members(1, 2, 3, 4, 5), edits: []edit{
			{name: "5 to 3", after: three, removes: []string{"etcd4", "etcd5"}, does: []plan.Kind{plan.KindExpel}},
			{name: "3 to 2", after: members(1, 2), removes: []string{"etcd3"}, does: []plan.Kind{plan.KindExpel}},
			{name: "2 to 1", after: members(1), removes: []string{"etcd2"}, does: []plan.Kind{plan.KindExpel}},
		}},
		{name: "a dead member is replaced", hosts: 4, before: impatient + three, edits: []edit{
			{name: "replace", byHand: func(s *stage) { s.check(s.Host(2).PowerCut(s.Context())) }, after: impatient + members(1, 2, 4), does: []plan.Kind{plan.KindExpel, plan.KindAdd, plan.KindPromote}},
		}},
		{name: "a living member is replaced", hosts: 4, before: three, edits: []edit{
			{name: "replace", after: members(1, 2, 4), removes: []string{"etcd3"}, does: []plan.Kind{plan.KindAdd, plan.KindPromote, plan.KindExpel}},
		}},
		{name: "an address changes", hosts: 3, before: three, edits: []edit{
			{name: "address", byHand: func(s *stage) { s.on(s.Host(2), "ip", "address", "add", second+"/24", "dev", "host0") },
				after: members(1, 2) + "member \"etcd3\" {\n address = \"" + second + "\"\n connection { host = \"@3\" }\n}\n",
				does:  []plan.Kind{plan.KindUpdate}, again: true},
		}},
		{name: "a data directory moves", hosts: 3, before: three, edits: []edit{
			{name: "move", after: "server { data_dir = \"/srv/etcd\" }\n" + three, does: []plan.Kind{plan.KindRelocate}},
		}},
	}
}

// otherServer puts a kvserver with another digest into the spec's folder.
func (s *stage) otherServer() {
	s.Helper()
	b, err := os.ReadFile(filepath.Join(workshop, "kvserver"))
	s.check(err)
	s.check(os.MkdirAll(filepath.Join(s.dir, "bin"), 0o755))
	s.check(os.WriteFile(filepath.Join(s.dir, "bin/kvserver"), append(b, '\n'), 0o755))
}

// text is the whole spec.
func (s *stage) text(more string) string {
	names := []string{}
	for i, h := range s.Hosts() {
		names = append(names, "@"+strconv.Itoa(i+1), h.Addr())
	}
	return "cluster \"lab\" {\nclient \"app\" {}\n" + strings.NewReplacer(names...).Replace(more) + "}\n"
}

// confirmed is an apply that asks nothing, also not about voters that go.
func confirmed(removes []string) []string {
	args := []string{"apply", "-y"}
	for _, name := range removes {
		args = append(args, "--remove", name)
	}
	return args
}

// endpoints are where the members of a spec listen for clients.
func (s *stage) endpoints(text string) []string {
	s.Helper()
	sp, diags := spec.Load([]spec.File{{Name: "main.hcl", Bytes: []byte(text)}}, spec.Options{Dir: s.dir, Home: s.op.Home()})
	if diags.HasErrors() {
		s.Fatal(diags)
	}
	var list []string
	for _, m := range sp.Clusters[0].Members {
		list = append(list, "https://"+net.JoinHostPort(m.Address, strconv.Itoa(m.ClientPort)))
	}
	return list
}

// Clients put, get and compare-and-swap through all members while the cluster is changed: no acknowledged write is lost, and
// what they saw is linearizable. The longest times without an acknowledged write are printed; alone on a machine
// (-parallel 1) they are what docs/reliability.md has.
func TestChangesAreLinearizable(t *testing.T) {
	t.Parallel()
	runs := 1
	if os.Getenv("QUORATE_SOAK") != "" {
		runs = 5
	}
	for _, c := range changes() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if runs == 1 && !c.always {
				t.Skip("only in a soak: QUORATE_SOAK is not set")
			}
			s := open(t, lab.Options{Hosts: c.hosts})
			worst := make([]gaps, len(c.edits))
			for run := range runs {
				if run > 0 {
					s.check(s.Reset(s.Context()))
				}
				s.dir = s.folder(fmt.Sprintf("spec%d", run+1))
				for i, g := range s.underClients(c) {
					worst[i] = gaps{max(worst[i].all, g.all), max(worst[i].nine, g.nine), max(worst[i].one, g.one)}
				}
			}
			for i, e := range c.edits {
				t.Logf("%s, %s, worst of %d: %s", c.name, e.name, runs, worst[i])
			}
		})
	}
}

// gaps are the longest times without an acknowledged write while a change is applied.
type gaps struct {
	all  time.Duration // of anybody's: the cluster took none
	nine time.Duration // of those who wait for their answer before they ask again: the clients and the one writer
	one  time.Duration // of the one writer, who waits for each write, for a second at most before it is repeated
}

func (g gaps) String() string {
	ms := time.Millisecond
	return fmt.Sprintf("no write of anybody was acknowledged for %s, none of the nine who wait for %s, none of one writer for %s", g.all.Round(ms), g.nine.Round(ms), g.one.Round(ms))
}

// writeBudget is how long no write may be acknowledged while a cluster of three and more voters is changed. It is
// for a machine that does nothing else, so a test does not fail by it: it says what the clients waited for.
const writeBudget = 100 * time.Millisecond

// did lists the calls that runs made in a time, a line each.
func (s *stage) did(began time.Time, pause time.Duration) string {
	s.Helper()
	var b strings.Builder
	for _, file := range slices.Sorted(maps.Keys(s.journals())) {
		text, err := os.ReadFile(file)
		s.check(err)
		for line := range strings.Lines(string(text)) {
			var e provision.Event
			s.check(json.Unmarshal([]byte(line), &e))
			to := e.At.Sub(began)
			if from := to - time.Duration(e.Seconds*float64(time.Second)); e.Type == provision.HostCall && to > 0 && from < pause {
				fmt.Fprintf(&b, "%6d to %5d ms: %s, %s: %s\n", from.Milliseconds(), to.Milliseconds(), e.Member, e.Step, e.Call)
			}
		}
	}
	return b.String()
}

// underClients makes the change on new hosts, and returns the longest gaps in each edit. The one writer and the pulse
// are beside the clients; the writer knows every member and repeats a write until it is acknowledged, and all that it wrote is there in the end.
func (s *stage) underClients(c change) []gaps {
	s.Helper()
	text := s.text(c.before)
	s.write("main.hcl", text)
	s.must("apply", "-y")
	known := s.endpoints(text)
	writer := s.consumer(known)
	everybody := s.startClients(known)
	l, beat := s.startLoad(writer, time.Minute), s.startPulse(writer)
	s.await(everybody, 1000)
	spans := make([][2]time.Time, len(c.edits))
	for i, e := range c.edits {
		text = s.text(e.after)
		next := s.endpoints(text)
		if e.byHand != nil {
			e.byHand(s)
			s.await(everybody, everybody.acknowledged()+100)
		}
		// Those who are about to come are tried from now on, and those who go as long as they are there.
		everybody.know(slices.Compact(slices.Sorted(slices.Values(slices.Concat(known, next)))))
		s.write("main.hcl", text)
		p := s.plan(pending)
		for _, kind := range e.does {
			if !slices.ContainsFunc(p.Steps, func(step plan.Step) bool { return step.Kind == kind }) {
				s.Errorf("%s, %s: the plan has no step of kind %q: %q", c.name, e.name, kind, steps(p))
			}
		}
		args := confirmed(e.removes)
		spans[i][0] = time.Now()
		s.must(args...)
		spans[i][1] = time.Now()
		writer.SetEndpoints(next...)
		everybody.know(next)
		known = next
		if e.again {
			s.must("apply", "-y")
		}
		s.settled()
		s.await(everybody, everybody.acknowledged()+1000)
	}
	s.await(everybody, leastOperation)
	s.end(l, writer)
	beats := s.endPulse(beat, writer)
	s.judge(everybody, writer)
	closed := slices.SortedFunc(slices.Values(slices.Concat(everybody.writes(), l.acknowledged)), time.Time.Compare)
	all := slices.SortedFunc(slices.Values(slices.Concat(closed, beats)), time.Time.Compare)
	longest := make([]gaps, len(c.edits))
	for i, e := range c.edits {
		from, to := spans[i][0], spans[i][1]
		pause, _ := gap(all, from, to)
		nine, began := gap(closed, from, to)
		wait, _ := gap(l.acknowledged, from, to)
		longest[i] = gaps{pause, nine, wait}
		s.Logf("%s, %s: %.1fs, %s", c.name, e.name, to.Sub(from).Seconds(), longest[i])
		if nine > writeBudget {
			s.Logf("what everybody waited for:\n%swhile the run did:\n%s", everybody.waits(began, nine), s.did(began, nine))
		}
	}
	return longest
}
