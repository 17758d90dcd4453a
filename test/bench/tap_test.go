package main

import (
	"context"
	"io"
	"net"
	"testing"
	"time"
)

func at(ms int) time.Time { return time.UnixMilli(int64(ms)) }

// Questions in a row, at once, out of step, beside a stream, around login and end.
func TestTrips(t *testing.T) {
	t.Parallel()
	const rtt = 100 * time.Millisecond
	sent := func(ms, n int) note { return note{at: at(ms), n: n} }
	got := func(ms int) note { return note{at: at(ms), read: true} }
	for name, c := range map[string]struct {
		notes    []note
		from, to int
		want     int
		stream   int
	}{
		"nothing":                 {nil, 0, 1000, 0, 0},
		"one":                     {[]note{sent(0, 1), got(100)}, 0, 1000, 1, 0},
		"one with long thinking":  {[]note{sent(0, 1), got(900)}, 0, 1000, 1, 0},
		"no answer to anything":   {[]note{sent(0, 1), got(20)}, 0, 1000, 0, 0},
		"three in a row":          {[]note{sent(0, 1), got(100), sent(101, 1), got(230), sent(240, 1), got(340)}, 0, 1000, 3, 0},
		"waiting for others":      {[]note{sent(0, 1), got(100), sent(700, 1), got(800)}, 0, 1000, 2, 0},
		"two at once":             {[]note{sent(0, 1), sent(1, 1), got(100), got(101)}, 0, 1000, 1, 0},
		"two chains out of step":  {[]note{sent(0, 1), sent(30, 1), got(100), sent(100, 1), got(130), sent(130, 1), got(200), got(230)}, 0, 1000, 2, 0},
		"before the login":        {[]note{sent(0, 1), got(100), sent(200, 1), got(300)}, 150, 1000, 1, 0},
		"after the end":           {[]note{sent(0, 1), got(100), sent(200, 1), got(300)}, 0, 250, 1, 0},
		"a window and what comes": {[]note{sent(0, 1<<20), sent(1, 1<<20), got(100), sent(101, 9), got(200)}, 0, 1000, 2, 1},
	} {
		trips := trips(c.notes, at(c.from), at(c.to), rtt)
		stream := 0
		for _, x := range trips {
			if x.stream() {
				stream++
			}
		}
		if len(trips) != c.want || stream != c.stream {
			t.Errorf("%s: %d trips, %d of them of a stream; want %d and %d", name, len(trips), stream, c.want, c.stream)
		}
	}
}

// What goes through the proxy is whole, in order, as late as it should be, and
// not held up by what is on its way already.
func TestProxy(t *testing.T) {
	t.Parallel()
	const delay = 50 * time.Millisecond
	back, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	go func() {
		c, err := back.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(c, c) // echo
		c.Close()
	}()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := newProxy(t.Context(), front, delay, func(context.Context) (net.Conn, error) { return net.Dial("tcp", back.Addr().String()) })
	defer p.close()
	c, err := net.Dial("tcp", p.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := make([]byte, 4<<20)
	for i := range want {
		want[i] = byte(i * 7 >> 3)
	}
	began := time.Now()
	go func() {
		_, _ = c.Write(want)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	took := time.Since(began)
	if err != nil || string(got) != string(want) {
		t.Fatalf("%d of %d bytes came back, %v", len(got), len(want), err)
	}
	if took < 2*delay {
		t.Errorf("there and back took %s, less than twice %s", took, delay)
	}
	// In parcels of 64 KiB, one after another's arrival, it would take 64 round trips.
	if took > 32*2*delay {
		t.Errorf("there and back took %s: parcels wait for one another", took)
	}
}
