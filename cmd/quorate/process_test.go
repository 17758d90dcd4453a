package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
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
	for _, c := range []struct {
		name     string
		carrying carrying
		terminal bool
		typed    string
		want     int
	}{
		{"yes", carrying{}, true, "yes\n", exitDone},
		{"y is not enough", carrying{}, true, "y\n", exitFailed},
		{"no", carrying{}, true, "\n", exitFailed},
		{"the name", carrying{confirm: "lab"}, true, "lab\n", exitDone},
		{"not the name", carrying{confirm: "lab"}, true, "yes\n", exitFailed},
		{"nobody there", carrying{}, false, "yes\n", exitUsage},
		{"json cannot ask", carrying{json: true}, true, "yes\n", exitUsage},
		{"auto", carrying{run: runOptions{AutoApprove: true}}, false, "", exitDone},
	} {
		c.carrying.p = &process{in: strings.NewReader(c.typed), out: io.Discard, inTerminal: c.terminal}
		if got := exitCode(c.carrying.approve(t.Context())); got != c.want {
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
