package lab

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// Start boots a lab for one test and takes it down when the test ends. Where
// no lab is possible the test is skipped with the reason; with
// QUORATE_LAB=required in the environment it fails instead, and with
// QUORATE_LAB=off it is always skipped.
func Start(t testing.TB, o Options) *Lab {
	t.Helper()
	Need(t)
	if o.Log == nil {
		o.Log = testLog{t}
	}
	l, err := Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			l.tell(t)
		}
		if err := l.Close(); err != nil {
			t.Errorf("cannot take down lab %q: %v", l.ID(), err)
		}
	})
	return l
}

// Need skips the test, or fails it, where no lab is possible: see [Start].
func Need(t testing.TB) {
	t.Helper()
	mode := os.Getenv("QUORATE_LAB")
	if mode == "off" {
		t.Skip("no lab: QUORATE_LAB=off")
	}
	if err := Possible(); err != nil {
		if mode == "required" {
			t.Fatalf("no lab, but QUORATE_LAB=required: %v", err)
		}
		t.Skipf("no lab: %v", err)
	}
}

// tell prints what a person would look at first after a failure.
func (l *Lab) tell(t testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, h := range l.Hosts() {
		if !h.Running() {
			t.Logf("host %s is powered off", h.name)
			continue
		}
		log, err := h.Exec(ctx, "journalctl", "--no-pager", "--quiet", "--boot", "--priority=warning", "--lines=20", "--output=short-precise")
		if err != nil {
			log = err.Error()
		}
		t.Logf("warnings on host %s:\n%s", h.name, log)
	}
}

// testLog sends the lab's own lines to the test.
type testLog struct{ t testing.TB }

func (w testLog) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}
