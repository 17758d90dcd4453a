package view

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"quorate/plan"
	"quorate/provision"
)

// past is a run of ann's that began some time before now.
func past(id string, ago time.Duration, ending provision.Ending, steps int, counts map[provision.Result]int) *provision.KnownRun {
	began := now.Add(-ago)
	return &provision.KnownRun{ID: id, Verb: plan.Apply, By: "ann@laptop", Began: began, Ending: ending, Here: &provision.PastRun{
		ID: id, Verb: plan.Apply, By: "ann@laptop", Began: began, Ending: ending, Steps: steps, Counts: counts, Seconds: 12.3, Journal: ".quorate/lab/runs/" + id + ".jsonl",
	}}
}

// notedBy has hosts note a run.
func notedBy(r *provision.KnownRun, members ...string) *provision.KnownRun {
	for _, m := range members {
		r.Hosts = append(r.Hosts, provision.HostNote{Member: m, Changed: []plan.Kind{plan.KindFiles, plan.KindRestart}, SpecDigest: "d"})
	}
	return r
}

func elsewhere(id, by string, ending provision.Ending, members ...string) *provision.KnownRun {
	return notedBy(&provision.KnownRun{ID: id, Verb: plan.Apply, By: by, Began: now.Add(-50 * time.Hour), Ending: ending}, members...)
}

// cutOff is a run that was killed at its fifth step of nine.
func cutOff() *provision.KnownRun {
	r := past("20260301T115000Z-5c0ffe", 10*time.Minute, provision.RunCutOff, 9,
		map[provision.Result]int{provision.Changed: 3, provision.Unchanged: 1, provision.CutOff: 1, provision.Unreached: 4})
	r.Here.StoppedAt = "promote etcd4"
	return r
}

// partly is a run of another operator's that one host has not noted.
func partly() *provision.KnownRun {
	r := elsewhere("20260227T100000Z-00beef", "operator@jumphost-01.example.net", provision.RunPartly, "etcd1", "etcd2")
	r.Missing = []string{"etcd3"}
	return r
}

func runs() []*provision.KnownRun {
	failed := notedBy(past("20260301T114000Z-1a2b3c", 20*time.Minute, provision.RunFailed, 17,
		map[provision.Result]int{provision.Changed: 15, provision.Failed: 1, provision.Unreached: 1}), "etcd1", "etcd2")
	interrupted := past("20260301T113000Z-777777", 30*time.Minute, provision.RunInterrupted, 17, map[provision.Result]int{provision.Changed: 16, provision.Unreached: 1})
	interrupted.Verb, interrupted.Here.StoppedBefore = plan.Destroy, "forget the CA"
	done := notedBy(past("20260228T120000Z-abcdef", 24*time.Hour, provision.RunDone, 9, map[provision.Result]int{provision.Changed: 9}), "etcd1", "etcd2", "etcd3")
	old := elsewhere("20260201T080000Z-ffffff", "", provision.RunRecorded, "etcd3")
	broken := past("20260101T000000Z-000000", 59*24*time.Hour, provision.RunUnreadable, 0, nil)
	broken.Verb, broken.By, broken.Here.Error = "", "", "permission denied"
	underWay := past("20260301T115959Z-999999", time.Second, provision.RunUnderWay, 9, map[provision.Result]int{provision.Changed: 2, provision.InFlight: 1, provision.Unreached: 6})
	return []*provision.KnownRun{underWay, cutOff(), failed, interrupted, done, partly(), old, broken}
}

// fits sees that no line is wider than a terminal of 80 columns.
func fits(t *testing.T, text []byte) {
	t.Helper()
	for l := range strings.Lines(string(text)) {
		if n := len([]rune(strings.TrimSuffix(l, "\n"))); n > 80 {
			t.Errorf("%d columns: %s", n, l)
		}
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	three := []string{"etcd1", "etcd2", "etcd3"}
	for name, a := range map[string]Audit{
		"audit.txt":        {Cluster: "lab", Runs: runs(), Asked: three},
		"audit-local.txt":  {Cluster: "lab", Runs: []*provision.KnownRun{cutOff()}, Older: 31},
		"audit-none.txt":   {Cluster: "lab", Asked: three},
		"audit-unseen.txt": {Cluster: "lab", Runs: []*provision.KnownRun{partly()}, Asked: three, Older: 1, Unseen: map[string]string{"etcd3": `cannot reach host "etcd3" at 192.168.7.103:22: dial tcp 192.168.7.103:22: connect: no route to host`}},
	} {
		var b bytes.Buffer
		if err := AuditText(&b, a, Options{Width: 80, Now: now}); err != nil {
			t.Fatal(err)
		}
		fits(t, b.Bytes())
		golden(t, name, b.Bytes())
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	step := func(title string, result provision.Result, seconds float64) *provision.PastStep {
		s := &provision.PastStep{StepReport: provision.StepReport{ID: title, Title: title, Result: result, Seconds: seconds}, Member: "etcd4", Began: now}
		if result == provision.Unreached {
			s.Began = time.Time{}
		}
		return s
	}
	stopped := step("promote etcd4", provision.CutOff, 0)
	stopped.Calls = []provision.PastCall{{Member: "etcd4", Call: "look", Seconds: 0.02}, {Member: "etcd4", Call: "service start quorate-lab.service", Seconds: 61, Error: "context deadline exceeded"}}
	failed := step("start etcd4", provision.Failed, 74.2)
	failed.Error = "host \"etcd4\": cannot start quorate-lab.service: failed (failed/exit-code)\n  last lines of its log:\n    no space left on device"
	failed.Calls, failed.Earlier = stopped.Calls, 40
	detail := step("bootstrap with etcd1, etcd2, etcd3", provision.Changed, 1.3)
	detail.Detail = "cluster 4ae393ab5389b4e1, 3 voters"
	killed := cutOff()
	killed.Here.Unread = 2
	bad := runs()[2]
	bad.Here.Error = "cannot start etcd4: " + failed.Error
	var b bytes.Buffer
	for _, r := range []Run{
		{"lab", killed, []*provision.PastStep{step("write configuration and unit on etcd4", provision.Changed, 0.3), step("issue certificates for etcd4", provision.Unchanged, 0.004), stopped}},
		{"lab", bad, []*provision.PastStep{detail, failed, step("record on etcd4: there is no manifest", provision.Unreached, 0)}},
		{"lab", partly(), nil},
		{"lab", runs()[6], nil},
		{"lab", runs()[7], nil},
	} {
		if err := RunText(&b, r, Options{Width: 80, Now: now}); err != nil {
			t.Fatal(err)
		}
		b.WriteString("----\n")
	}
	fits(t, b.Bytes())
	golden(t, "audit-show.txt", b.Bytes())
}

func TestEarlier(t *testing.T) {
	t.Parallel()
	after := past("20260301T114000Z-1a2b3c", 20*time.Minute, provision.RunFailed, 9, map[provision.Result]int{provision.Changed: 9})
	after.Here.Error = "2 of 3 members do not serve\n  etcd2: timed out"
	var b bytes.Buffer
	for _, r := range append(runs(), after) {
		if r.Ending.Unfinished() && r.Ending != provision.RunUnreadable {
			if err := Earlier(&b, r, Options{Now: now}); err != nil {
				t.Fatal(err)
			}
		}
	}
	golden(t, "earlier.txt", b.Bytes())
}
