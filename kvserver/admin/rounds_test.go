package admin_test

import (
	"context"
	"net"
	"testing"
	"time"

	"quorate/kvserver/admin"
	"quorate/kvserver/servertest"
)

// delayed makes each side's words travel for a while, as a proxy far away would.
func delayed(t *testing.T, address string, delay time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	carry := func(to, from net.Conn) {
		type word struct {
			text []byte
			at   time.Time
		}
		words := make(chan word, 1000)
		go func() {
			for w := range words {
				time.Sleep(time.Until(w.at))
				to.Write(w.text)
			}
			to.Close()
		}()
		for {
			b := make([]byte, 64<<10)
			n, err := from.Read(b)
			if n > 0 {
				words <- word{b[:n], time.Now().Add(delay)}
			}
			if err != nil {
				close(words)
				return
			}
		}
	}
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", address)
			if err != nil {
				a.Close()
				continue
			}
			go carry(a, b)
			go carry(b, a)
		}
	}()
	return l.Addr().String()
}

// The first answer takes three round trips on a fresh connection (TLS, HTTP/2's
// settings, which gRPC waits for, and the call), the second one. Words cannot
// arrive early, so the lower bound is exact; a loaded machine may be late, so
// the best of some tries counts.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 1)
	c.Start()
	const trip = 200 * time.Millisecond
	far := delayed(t, c.Members[0].Endpoint().Address, trip/2)
	ctx, cancel := context.WithTimeout(t.Context(), servertest.Wait)
	defer cancel()

	trips := func() (both [2]int) { // of the first and the second call of a client
		a := admin.New(admin.Config{Members: c.Endpoints(), TLS: c.TLS(), Dial: func(ctx context.Context, _, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, far)
		}})
		defer a.Close()
		for i := range both {
			start := time.Now()
			if _, err := a.Status(ctx, "m1"); err != nil {
				t.Fatal(err)
			}
			both[i] = int(time.Since(start) / trip)
		}
		return both
	}
	want := [2]int{3, 1}
	var got [2]int
	for range 10 {
		if got = trips(); got == want {
			break
		}
		if got[0] < want[0] || got[1] < want[1] {
			t.Fatalf("%v round trips: faster than the wire, this test measures nothing", got)
		}
	}
	if got != want {
		t.Errorf("%v round trips, want %v", got, want)
	}
}
