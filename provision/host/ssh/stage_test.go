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
	if err := c.Stage(t.Context(), path, strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "content" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestDistance: how far a host is, by the fastest answer, decides what is sent ahead, and how.
func TestDistance(t *testing.T) {
	t.Parallel()
	k := &Conn{}
	if k.Near() || k.ahead() != reserved {
		t.Error("a host of which nothing is known counts as near, or as far")
	}
	for _, step := range []struct {
		took  time.Duration
		ahead int
		near  bool
	}{
		{farAway, reservedFar, false},
		{time.Second, reservedFar, false}, // a busy moment
		{farAway - 1, reserved, false},
		{lan, reserved, false},
		{lan / 2, reserved, true},
		{0, reserved, true}, // a coarse clock
	} {
		k.travelled(step.took)
		if k.ahead() != step.ahead || k.Near() != step.near {
			t.Errorf("after %s: %d ahead, near %t", step.took, k.ahead(), k.Near())
		}
	}
	k.c.Reads = true
	if k.ahead() != 1 {
		t.Error("who only looks keeps more than one session ahead")
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
