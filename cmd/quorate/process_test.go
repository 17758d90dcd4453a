package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"quorate/plan"
)

func TestAsk(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &process{in: strings.NewReader("  yes \nleft"), out: &out}
	if got, err := p.ask(t.Context(), "Apply? "); err != nil || got != "yes" || out.String() != "Apply? " {
		t.Errorf("%q, %v, asked %q", got, err, out.String())
	}
	if rest, _ := io.ReadAll(p.in); string(rest) != "left" {
		t.Errorf("%q is left of the input", rest)
	}
	if _, err := p.ask(t.Context(), "?"); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	// Who walks away while the question stands.
	r, w := io.Pipe()
	defer w.Close()
	p.in = r
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	if _, err := p.ask(ctx, "?"); !errors.Is(err, errInterrupted) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestApprove(t *testing.T) {
	t.Parallel()
	expel := func(name, id string, answers bool) plan.Step {
		return plan.Step{Action: &plan.Expel{Target: plan.Ref{Name: name, ID: id}, Answers: answers}}
	}
	jobs := func(steps ...plan.Step) []*job { return []*job{{plan: &plan.Plan{Steps: steps}}} }
	auto := func(remove ...string) carrying { return carrying{run: runOptions{AutoApprove: true, Remove: remove}} }
	a, b, dead, nameless := expel("a", "1f", true), expel("b", "2f", true), expel("c", "3f", false), expel("", "4f", true)
	for _, c := range []struct {
		name     string
		carrying carrying
		terminal bool
		typed    string
		want     int
		plans    []*job
	}{
		{"yes", carrying{}, true, "yes\n", exitDone, nil},
		{"y is not enough", carrying{}, true, "y\n", exitFailed, nil},
		{"no", carrying{}, true, "\n", exitFailed, nil},
		{"the name", carrying{confirm: "lab"}, true, "lab\n", exitDone, nil},
		{"not the name", carrying{confirm: "lab"}, true, "yes\n", exitFailed, nil},
		{"nobody there", carrying{}, false, "yes\n", exitUsage, nil},
		{"json cannot ask", carrying{json: true}, true, "yes\n", exitUsage, nil},
		{"auto", carrying{run: runOptions{AutoApprove: true}}, false, "", exitDone, nil},
		{"dead", carrying{}, true, "yes\n", exitDone, jobs(dead)},
		{"dead, auto", auto(), false, "", exitDone, jobs(dead)},
		{"its name", carrying{}, true, "a\n", exitDone, jobs(a, dead)},
		{"yes is no name", carrying{}, true, "yes\n", exitFailed, jobs(a)},
		{"both names", carrying{}, true, "a\nb\n", exitDone, jobs(a, b)},
		{"one of two names", carrying{}, true, "a\na\n", exitFailed, jobs(a, b)},
		{"an id", carrying{}, true, "4f\n", exitDone, jobs(nameless)},
		{"auto is not enough", auto(), false, "", exitUsage, jobs(a)},
		{"auto and another name", auto("b"), false, "", exitUsage, jobs(a, b)},
		{"auto and the names", auto("a", "2f"), false, "", exitDone, jobs(a, b)},
		{"said already", carrying{run: runOptions{Remove: []string{"a"}}}, true, "yes\n", exitDone, jobs(a)},
		{"said already, no yes", carrying{run: runOptions{Remove: []string{"a"}}}, true, "a\n", exitFailed, jobs(a)},
		{"nobody there to say it", carrying{}, false, "a\n", exitUsage, jobs(a)},
	} {
		c.carrying.p = &process{in: strings.NewReader(c.typed), out: io.Discard, inTerminal: c.terminal}
		if got := exitCode(c.carrying.approve(t.Context(), c.carrying.unnamed(c.plans))); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestPrompt(t *testing.T) {
	t.Parallel()
	answers := []string{"one", "one", "two"}
	p := &process{askSecret: func(string) (string, error) {
		a := answers[0]
		answers = answers[1:]
		return a, nil
	}}
	if got, err := p.prompt("Passphrase", false); got != "one" || err != nil || len(answers) != 2 {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := p.prompt("New passphrase", true); err == nil {
		t.Error("two different ones were taken")
	}
}

// Which run was the latest is decided by the ids, also of runs that follow each other within a second.
func TestRunIDsSortByTime(t *testing.T) {
	t.Parallel()
	second := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	last := ""
	for _, after := range []time.Duration{0, time.Millisecond, 2 * time.Millisecond, 100 * time.Millisecond, time.Second - time.Nanosecond, time.Second} {
		p := &process{now: func() time.Time { return second.Add(after) }}
		id := p.runID()
		if id <= last || len(id) != len("20260301T120000Z-000000") {
			t.Errorf("%s after %s", id, last)
		}
		last = id
	}
}
