package view

import (
	"bytes"
	"errors"
	"testing"

	"quorate/plan"
	"quorate/provision"
)

func events() []provision.Event {
	e := func(t provision.EventType, title string, seconds float64) provision.Event {
		return provision.Event{Type: t, Step: title, Title: title, Member: "etcd1", Seconds: seconds}
	}
	failed := e(provision.StepFailed, "restart etcd1", 301)
	failed.Error = "host \"etcd1\": cannot restart quorate-lab.service: failed"
	done := e(provision.StepDone, "restart etcd2", 2.25)
	done.Detail = "leadership moved to etcd1"
	part := e(provision.StepFailed, "start dependents nodes again on worker1", 90)
	part.Result = provision.Partly
	return []provision.Event{
		{Type: provision.RunStarted, Title: "apply lab: 4 steps"},
		e(provision.StepStarted, "push kvserver to etcd1", 0),
		{Type: provision.Progress, Step: "push kvserver to etcd1", Title: "kvserver", Member: "etcd1", Sent: 1 << 20, Total: 8 << 20},
		{Type: provision.Progress, Step: "push kvserver to etcd1", Title: "kvserver", Member: "etcd1", Sent: 8 << 20, Total: 8 << 20},
		{Type: provision.Progress, Step: "push kvserver to etcd1", Title: "etcd", Member: "etcd1", Sent: 1, Total: 2},
		e(provision.StepDone, "push kvserver to etcd1", 0.61),
		e(provision.StepSkipped, "write configuration and unit on etcd1", 0.004),
		done, failed, part,
		e(provision.NotReached, "restart etcd3", 0),
		{Type: provision.RunFinished, Seconds: 304},
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	p := Lines(&b, Options{})
	for _, e := range events() {
		p.Event(e)
	}
	p.Close()
	golden(t, "lines.txt", b.Bytes())
}

// The bars draw by the clock; what must hold is that every step that ended has
// its line, in order, and that Close returns whatever is still under way.
func TestBars(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	p := Bars(&b, Options{})
	p.Event(provision.Event{Type: provision.StepStarted, Step: "s", Title: "never ends"})
	for _, e := range events() {
		p.Event(e)
	}
	p.Close()
	rest := b.Bytes()
	for _, want := range []string{"push kvserver to etcd1 (0.6 s)", "as it is", "leadership moved to etcd1", "failed    restart etcd1 (5m1s)", "not begun restart etcd3"} {
		i := bytes.Index(rest, []byte(want))
		if i < 0 {
			t.Fatalf("%q is not there, or not in its place:\n%s", want, b.String())
		}
		rest = rest[i:]
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	good := &provision.Report{Cluster: "lab", Seconds: 1.44, Journal: "/j", Counts: map[provision.Result]int{provision.Changed: 1, provision.Unchanged: 2}}
	bad := &provision.Report{Cluster: "lab", Seconds: 301, Journal: ".quorate/lab/runs/1.jsonl",
		Counts: map[provision.Result]int{provision.Changed: 2, provision.Failed: 1, provision.Unreached: 1, provision.Incomplete: 1},
		Steps: []provision.StepReport{{Title: "restart etcd1", Result: provision.Failed,
			Error: "host \"etcd1\": cannot restart quorate-lab.service: failed (failed/exit-code)\n  last lines of its log:\n    no space left on device"}}}
	partly := &provision.Report{Cluster: "lab", Verb: plan.Restore, Seconds: 12, Journal: ".quorate/lab/runs/2.jsonl", Counts: map[provision.Result]int{provision.Changed: 14, provision.Partly: 1},
		Steps: []provision.StepReport{{Title: "start dependents nodes again on worker1", Result: provision.Partly,
			Error: "worker1: kube-proxy.service has not started: failed\n  on worker1: systemctl start kube-proxy.service"}}}
	var b bytes.Buffer
	for _, r := range []*provision.Report{good, bad, partly} {
		if err := Report(&b, r, Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := Reach(&b, seen(2), " --cluster lab", Options{}); err != nil {
		t.Fatal(err)
	}
	told := seen(3)
	told.Consumers = &provision.ConsumersReport{EtcdServers: "https://a:2379,https://b:2379,https://c:2379",
		HandOver:  []provision.HandOver{{Client: "backup", Certificate: "pki/lab/clients/backup.pem", Key: "pki/lab/clients/backup-key.pem", CA: "pki/lab/clients/ca.pem", Endpoints: "pki/lab/clients/backup/endpoints"}},
		Installed: []provision.InstalledReport{{Client: "apiserver", Host: "control1", Dir: "/etc/kubernetes/pki/etcd", Detail: "kube-apiserver.service is back"}, {Client: "apiserver", Host: "control2", Dir: "/etc/kubernetes/pki/etcd"}}}
	if err := Reach(&b, told, "", Options{}); err != nil {
		t.Fatal(err)
	}
	if err := Reach(&b, seen(1), " --cluster lab", Options{}); err != nil { // no quorum: nothing serves
		t.Fatal(err)
	}
	if err := StillHeld(&b, held(false), Options{}); err != nil {
		t.Fatal(err)
	}
	var moved []string
	for range 22 {
		moved = append(moved, "host etcd1 data: was exists=false, is exists=true")
	}
	if err := Moved(&b, "lab", moved, Options{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.txt", b.Bytes())
}

type fullDisk struct{ left int }

func (f *fullDisk) Write(b []byte) (int, error) {
	if f.left--; f.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

// What cannot be written is an error, wherever it happens.
func TestBrokenWriter(t *testing.T) {
	t.Parallel()
	for _, p := range []*plan.Plan{bootstrap(), roll(), held(true), destroy()} {
		for n := 0; ; n++ {
			w := &fullDisk{left: n}
			if err := Plan(w, p, Options{Now: now}); err == nil {
				if n == 0 {
					t.Error("nothing was written")
				}
				break
			}
		}
	}
	c := trio()
	if err := StatusText(&fullDisk{left: 1}, StatusOf(c, observed(c), now), Options{Now: now}); err == nil {
		t.Error("a status that was cut passes")
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	for s, want := range map[float64]string{0: "0 ms", 0.0123: "12 ms", 0.0999: "0.1 s", 1.44: "1.4 s", 99.9: "99.9 s", 301.7: "5m1s"} {
		if got := Seconds(s); got != want {
			t.Errorf("%v s: %s, want %s", s, got, want)
		}
	}
}

// seen is a run after which n of three members served.
func seen(n int) *provision.Report {
	r := &provision.Report{Cluster: "lab", Voters: &plan.Voters{Total: 3, Healthy: n}}
	for i, name := range []string{"a", "b", "c"} {
		r.Members = append(r.Members, provision.MemberReport{Name: name, Endpoint: name + ":2379", Healthy: i < n})
		if i >= n {
			r.Members[i].Problem = "connection refused"
		}
	}
	return r
}
