package admin_test

import (
	"context"
	"net"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

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

// The first answer takes two round trips on a fresh connection (TLS, then the
// call together with HTTP/2's beginning), the second one. gRPC's own client
// needs three for the first. Words cannot arrive early, so the lower bound is
// exact; a loaded machine may be late, so the best of some tries counts.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 1)
	c.Start()
	const trip = 200 * time.Millisecond
	far := delayed(t, c.Members[0].Endpoint().Address, trip/2)
	ctx, cancel := context.WithTimeout(t.Context(), servertest.Wait)
	defer cancel()

	// trips of the first and the second call of a client.
	trips := func(status func() error) (both [2]int) {
		for i := range both {
			start := time.Now()
			if err := status(); err != nil {
				t.Fatal(err)
			}
			both[i] = int(time.Since(start) / trip)
		}
		return both
	}
	ours := func() [2]int {
		a := admin.New(admin.Config{Members: c.Endpoints(), TLS: c.TLS(), Dial: func(ctx context.Context, _, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, far)
		}})
		defer a.Close()
		return trips(func() error { _, err := a.Status(ctx, "m1"); return err })
	}
	want := [2]int{2, 1}
	var got [2]int
	for range 10 {
		if got = ours(); got == want {
			break
		}
		if got[0] < want[0] || got[1] < want[1] {
			t.Fatalf("%v round trips: faster than the wire, this test measures nothing", got)
		}
	}
	if got != want {
		t.Errorf("%v round trips, want %v", got, want)
	}

	config := c.TLS()
	config.ServerName = c.Members[0].Address
	v3, err := clientv3.New(clientv3.Config{Endpoints: []string{"https://" + far}, TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	defer v3.Close()
	theirs := trips(func() error { _, err := v3.Status(ctx, far); return err })
	if theirs[0] < 3 {
		t.Errorf("gRPC's client takes %v: then this package is not needed any more", theirs)
	}
}
