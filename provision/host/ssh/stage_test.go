package ssh

import (
	"testing"
	"time"
)

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
