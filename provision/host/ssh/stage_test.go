package ssh

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quorate/provision/host/hosttest"
)

// TestStageFarAway: a far host gets its file without the sftp subsystem, and more sessions ahead.
func TestStageFarAway(t *testing.T) {
	t.Parallel()
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users()})
	c := newBox(t, s, "root").mustDial(t)
	sub := c.subsystem()
	if <-sub.done; sub.err != nil {
		t.Fatal(sub.err)
	}
	sub.client.Close() // who used it would fail
	c.distance.Store(int64(200 * time.Millisecond))
	path := filepath.Join(t.TempDir(), "f")
	if err := c.Stage(t.Context(), path, strings.NewReader("content"), nil); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "content" {
		t.Errorf("%q, %v", got, err)
	}
	if len(c.spares) != reservedFar {
		t.Errorf("%d sessions are kept ahead", len(c.spares))
	}
	if err := c.Stage(t.Context(), path, strings.NewReader("another"), nil); err == nil {
		t.Error("what lay there was overwritten")
	}
	if c.travelled(time.Millisecond); c.ahead() != reserved {
		t.Error("it is near, and counts as far")
	}
}

// TestInFlight: a near host gets little ahead of its answers, a far one the whole window.
func TestInFlight(t *testing.T) {
	t.Parallel()
	for roundTrip, want := range map[time.Duration]int{
		0: leastInFlight, 500 * time.Microsecond: leastInFlight, 10 * time.Millisecond: leastInFlight,
		20 * time.Millisecond: 16, 50 * time.Millisecond: 40, 80 * time.Millisecond: mostInFlight, 300 * time.Millisecond: mostInFlight,
	} {
		if got := inFlight(roundTrip); got != want {
			t.Errorf("%s: %d, want %d", roundTrip, got, want)
		}
	}
}
