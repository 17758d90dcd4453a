package provision_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"quorate/plan"
	"quorate/provision"
)

// journalOf is the journal of the only run in a folder, and its id.
func journalOf(t *testing.T, dir string) (id, text string) {
	t.Helper()
	ids, err := provision.Journals(dir)
	must(t, err)
	if len(ids) != 1 {
		t.Fatalf("journals %v", ids)
	}
	b, err := os.ReadFile(filepath.Join(dir, ids[0]+".jsonl"))
	must(t, err)
	return ids[0], string(b)
}

// written is a folder with one journal.
func written(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "run-1.jsonl"), []byte(text), 0o600))
	return dir
}

func TestReadRunThatFailed(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	r.dir = t.TempDir()
	r.world.Machine("etcd2").Handle("kvserver", nil)
	_, rep, err := r.run(context.Background(), plan.Build, nil)
	if err == nil {
		t.Fatal("the run did not fail")
	}
	id, _ := journalOf(t, r.dir)
	run, steps := provision.ReadSteps(r.dir, id)
	if run.Verb != plan.Apply || run.By != "ana@desk" || !run.Began.Equal(now) || run.Ending != provision.RunFailed || run.Error == "" || run.Unread != 0 {
		t.Errorf("%+v", run)
	}
	if run.Steps != len(rep.Steps) || fmt.Sprint(run.Counts) != fmt.Sprint(rep.Counts) || run.StoppedBefore != "" {
		t.Errorf("%+v, reported %+v", run, rep.Counts)
	}
	// Without its kvserver the keys on etcd2 fail, and seeing who reaches whom may have begun beside them.
	if !slices.ContainsFunc(rep.Steps, func(s provision.StepReport) bool { return s.Title == run.StoppedAt && s.Result == provision.Failed }) {
		t.Errorf("stopped at %q, reported %+v", run.StoppedAt, rep.Steps)
	}
	// Each step as it was reported; calls only with those that failed, and only on the host of their member.
	if len(steps) != len(rep.Steps) {
		t.Fatalf("%d steps, reported %d", len(steps), len(rep.Steps))
	}
	for _, s := range steps {
		i := slices.IndexFunc(rep.Steps, func(o provision.StepReport) bool { return o.ID == s.ID })
		if i < 0 || s.StepReport != rep.Steps[i] || s.Began.IsZero() != (s.Result == provision.Unreached) {
			t.Errorf("%+v", s)
		}
		if (s.Result == provision.Failed) != (len(s.Calls) > 0) {
			t.Errorf("%s has %d calls", s.Title, len(s.Calls))
		}
		for _, c := range s.Calls {
			if s.Member != "" && c.Member != s.Member {
				t.Errorf("%s has a call on %s", s.Title, c.Member)
			}
		}
	}
	if brief := provision.ReadRun(r.dir, id); fmt.Sprintf("%+v", brief) != fmt.Sprintf("%+v", run) {
		t.Errorf("%+v, with its steps %+v", brief, run)
	}
}

// A journal cut anywhere is a run that was cut off, of which everything that was written whole is known.
func TestReadRunCutAnywhere(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	r.dir = t.TempDir()
	must(t, r.apply())
	_, whole := journalOf(t, r.dir)
	full := provision.ReadRun(r.dir, "run-1")
	if full.Ending != provision.RunDone || full.Done() != full.Steps || full.Steps == 0 {
		t.Fatalf("%+v", full)
	}
	dir := t.TempDir()
	for cut := 0; cut < len(whole); cut++ {
		if before := whole[:cut]; cut%97 != 0 && !strings.HasSuffix(before, "\n") && whole[cut] != '\n' {
			continue // at the ends of lines, with and without the line feed, and here and there within them
		}
		must(t, os.WriteFile(filepath.Join(dir, "run-1.jsonl"), []byte(whole[:cut]), 0o600))
		run, steps := provision.ReadSteps(dir, "run-1")
		if cut < len(whole)-1 && run.Ending != provision.RunCutOff || run.Unread != 0 {
			t.Fatalf("cut at %d: %+v", cut, run)
		}
		counted := 0
		for _, n := range run.Counts {
			counted += n
		}
		if counted != run.Steps {
			t.Fatalf("cut at %d: %d steps of %d are counted: %+v", cut, counted, run.Steps, run.Counts)
		}
		ends := strings.Count(whole[:cut], `"type":"step-done"`) + strings.Count(whole[:cut], `"type":"step-skipped"`)
		if n := run.Done(); n > ends || n < ends-1 {
			t.Fatalf("cut at %d: %d steps are done, %d are written", cut, n, ends)
		}
		flying := 0
		for _, s := range steps {
			if s.Result == provision.CutOff {
				flying++
			}
		}
		if flying != run.Counts[provision.CutOff] || (flying > 0) != (run.StoppedAt != "") {
			t.Fatalf("cut at %d: %d steps are cut off: %+v", cut, flying, run)
		}
	}
}

// A run that lives holds its journal: it is told from one that was killed.
func TestRunUnderWay(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	r.dir = t.TempDir()
	var seen []provision.Ending
	_, _, err := r.run(context.Background(), plan.Build, func(e provision.Event) {
		if e.Type == provision.StepDone {
			run := provision.ReadRun(r.dir, "run-1")
			seen = append(seen, run.Ending)
			if run.Counts[provision.CutOff] > 0 || run.Done() == 0 {
				t.Errorf("%+v", run)
			}
		}
	})
	must(t, err)
	if got := slices.Compact(seen); len(got) != 1 || got[0] != provision.RunUnderWay {
		t.Errorf("seen %v", seen)
	}
	if run := provision.ReadRun(r.dir, "run-1"); run.Ending != provision.RunDone {
		t.Errorf("%+v", run)
	}
}

// Journals of versions before runs said who began them, how they ended and what became of a step.
func TestReadRunOfOlderVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]provision.Ending{
		"":                                  provision.RunDone,
		"cannot start etcd1: no":            provision.RunFailed,
		"interrupted with 2 steps left; so": provision.RunInterrupted,
	} {
		end, err := json.Marshal(text)
		must(t, err)
		run := provision.ReadRun(written(t, `{"at":"2026-11-01T10:00:00Z","run":"r","type":"run-started","title":"apply lab: 3 steps"}
{"at":"2026-11-01T10:00:00Z","run":"r","type":"step-started","step":"files etcd1","title":"write on etcd1","member":"etcd1"}
{"at":"2026-11-01T10:00:01Z","run":"r","type":"step-done","step":"files etcd1","title":"write on etcd1","member":"etcd1","seconds":1}
{"at":"2026-11-01T10:00:01Z","run":"r","type":"step-started","step":"start etcd1","title":"start etcd1"}
{"at":"2026-11-01T10:00:02Z","run":"r","type":"step-skipped","step":"start etcd1","title":"start etcd1","seconds":1}
{"at":"2026-11-01T10:00:02Z","run":"r","type":"not-reached","step":"record etcd1","title":"record on etcd1"}
{"at":"2026-11-01T10:00:03Z","run":"r","type":"run-finished","seconds":3,"error":`+string(end)+"}\n"), "run-1")
		if run.Ending != want || run.Verb != plan.Apply || run.Steps != 3 || run.Done() != 2 || run.Counts[provision.Unchanged] != 1 || run.Seconds != 3 || run.StoppedBefore != "record on etcd1" {
			t.Errorf("%q: %+v", text, run)
		}
	}
}

// What is no journal is said to be none; what is odd in one costs only the line.
func TestReadRunOddities(t *testing.T) {
	t.Parallel()
	begins := `{"at":"2026-11-01T10:00:00Z","type":"run-started","verb":"apply","by":"a@b","steps":1}` + "\n"
	for _, tt := range []struct {
		name, text string
		ending     provision.Ending
		unread     int
	}{
		{"empty", "", provision.RunCutOff, 0},
		{"no journal", "hello\nthere\n", provision.RunUnreadable, 2},
		{"a line of another kind", begins + "{}\n\n\x00\x01\n", provision.RunCutOff, 2},
		{"a line without an end", begins + strings.Repeat("x", 3<<20), provision.RunCutOff, 0},
		{"a long line", begins + strings.Repeat("x", 3<<20) + "\n" + `{"type":"run-finished","ending":"done"}` + "\n", provision.RunDone, 1},
		{"an end without a beginning", begins + `{"type":"step-done","step":"x"}` + "\n", provision.RunCutOff, 0},
	} {
		run := provision.ReadRun(written(t, tt.text), "run-1")
		if run.Ending != tt.ending || run.Unread != tt.unread || run.Done() != 0 {
			t.Errorf("%s: %+v", tt.name, run)
		}
	}
	if run := provision.ReadRun(t.TempDir(), "run-1"); run != nil {
		t.Errorf("%+v", run)
	}
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "folder.jsonl"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600))
	if ids, err := provision.Journals(dir); err != nil || len(ids) != 0 {
		t.Errorf("%v %v", ids, err)
	}
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe.jsonl"), 0o600))
	if ids, err := provision.Journals(dir); err != nil || len(ids) != 0 {
		t.Errorf("%v %v", ids, err)
	}
}

// The calls of a step that waited long are the last ones, however many there were.
func TestReadStepsKeepsTheLastCalls(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	put := func(v provision.Event) { must(t, e.Encode(v)) }
	put(provision.Event{At: now, Type: provision.RunStarted, Verb: plan.Apply, Steps: 1})
	put(provision.Event{At: now, Type: provision.StepStarted, Step: "start etcd1,etcd2", Title: "start"})
	for i := range 5000 {
		put(provision.Event{At: now, Type: provision.HostCall, Member: "etcd1", Call: fmt.Sprint("look ", i)})
	}
	_, steps := provision.ReadSteps(written(t, b.String()), "run-1")
	if len(steps) != 1 || len(steps[0].Calls) != provision.CallsKept || steps[0].Earlier != 5000-provision.CallsKept ||
		steps[0].Calls[provision.CallsKept-1].Call != "look 4999" {
		t.Errorf("%+v", steps)
	}
}
