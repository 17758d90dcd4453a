package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"
)

const (
	// near is how far the proxy is for the confirmation, in each direction: 50 ms there and back.
	near = 25 * time.Millisecond
	// far is how far it is for the count: so far that all the time that the
	// hosts take to think is short beside it.
	far = 500 * time.Millisecond
)

// rounds counts the round trips that follow one another on each host's
// connection in a fresh apply and in an empty plan, after the login; and
// confirms them by what the same work takes longer through a proxy that is a
// known time away.
func rounds(ctx context.Context, b *bench) ([]Result, error) {
	s, err := b.open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	rtt := map[time.Duration]time.Duration{}
	for _, away := range []time.Duration{near, far} {
		if rtt[away], err = s.calibrate(ctx, away); err != nil {
			return nil, err
		}
	}
	var results []Result
	for _, w := range []struct {
		apply bool
		limit float64
		what  string
		turns int
	}{{true, 15, "fresh apply", b.turns(3)}, {false, 4, "plan with nothing to change", b.turns(3)}} {
		r, err := s.countTrips(ctx, w.apply, w.turns, rtt)
		if err != nil {
			return results, err
		}
		r.Work, r.Limit, r.Unit = w.what+": sequential round trips per host after login", w.limit, "round trips"
		results = append(results, r)
	}
	return results, nil
}

// countTrips does one verb several times here, near and far. Measured is the
// most round trips on any host, by the median of the rounds.
func (s *stage) countTrips(ctx context.Context, apply bool, turns int, rtt map[time.Duration]time.Duration) (Result, error) {
	var r Result
	dir, err := s.settled(ctx, apply)
	if err != nil {
		return r, err
	}
	drives := map[time.Duration][]*drive{}
	took := map[time.Duration][]float64{}
	for range turns {
		for _, away := range []time.Duration{0, near, far} {
			if apply {
				if dir, err = s.settled(ctx, apply); err != nil {
					return r, err
				}
			}
			d := &drive{apply: apply, delay: away}
			if err := d.run(ctx, s, dir); err != nil {
				return r, err
			}
			drives[away] = append(drives[away], d)
			took[away] = append(took[away], d.took.Seconds())
		}
	}
	var counts, streams []float64
	conns := 0
	for _, d := range drives[far] {
		var most, stream float64
		for member, t := range d.taps {
			var n, m float64
			for _, t := range trips(t.all(), d.login[member], d.ended, 2*far) {
				if t.stream() {
					m++
				} else {
					n++
				}
			}
			most, stream = max(most, n), max(stream, m)
			conns = max(conns, d.conns[member])
		}
		counts, streams = append(counts, most), append(streams, stream)
	}
	r.Measured, r.Low, r.High, r.Rounds = median(counts), slices.Min(counts), slices.Max(counts), len(counts)
	r.Notes = []string{fmt.Sprintf("connections per host: %d", conns)}
	if apply {
		r.Notes = append(r.Notes, fmt.Sprintf("counted beside them: %s windows of the binary on its way, which are a matter of its size", number(median(streams))))
	}
	for _, away := range []time.Duration{near, far} {
		more := median(took[away]) - median(took[0])
		r.Notes = append(r.Notes, fmt.Sprintf("confirmed: with a round trip of %.1f ms it takes %.0f ms instead of %.0f, which is %.1f round trips for all hosts together, windows and waiting for one another included",
			rtt[away].Seconds()*1e3, median(took[away])*1e3, median(took[0])*1e3, more/rtt[away].Seconds()))
	}
	r.Notes = append(r.Notes, account(drives[0], drives[far], rtt[far])...)
	return r, nil
}

// settled makes the hosts ready for a round: new ones for an apply, or ones
// that a plan finds nothing to do on.
func (s *stage) settled(ctx context.Context, apply bool) (dir string, err error) {
	if err := s.reset(ctx); err != nil {
		return "", err
	}
	if dir, err = s.spec(""); err != nil || apply {
		return dir, err
	}
	if _, err := s.quorate(ctx, dir, "apply", "-y"); err != nil {
		return "", err
	}
	return dir, (&drive{}).run(ctx, s, dir) // remembers the digests
}

// account tells, call by call on each host, how many round trips it costs: by
// how much longer it takes far away.
func account(here, there []*drive, rtt time.Duration) []string {
	times := func(drives []*drive, member string) (order []string, by map[string][]float64) {
		by = map[string][]float64{}
		for _, d := range drives {
			seen := map[string]int{}
			spans := slices.SortedFunc(slices.Values(d.spans[member]), func(a, b span) int { return a.begin.Compare(b.begin) })
			for _, sp := range spans {
				what := sp.what
				if seen[what]++; seen[what] > 1 {
					what = fmt.Sprintf("%s (%d)", what, seen[what])
				}
				if !slices.Contains(order, what) {
					order = append(order, what)
				}
				by[what] = append(by[what], sp.end.Sub(sp.begin).Seconds())
			}
		}
		return order, by
	}
	var out []string
	for _, member := range slices.Sorted(maps.Keys(there[0].taps)) {
		var list []string
		order, by := times(there, member)
		_, before := times(here, member)
		for _, what := range order {
			list = append(list, fmt.Sprintf("%s %.1f (%.0f ms)", what, (median(by[what])-median(before[what]))/rtt.Seconds(), median(before[what])*1e3))
		}
		out = append(out, fmt.Sprintf("%s, round trips by call, and how long it takes from here: %s", member, strings.Join(list, ", ")))
	}
	return out
}

// calibrate measures a round trip through the proxy: timers are late, too.
func (s *stage) calibrate(ctx context.Context, away time.Duration) (time.Duration, error) {
	echo, err := s.lab.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer echo.Close()
	go func() {
		c, err := echo.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		buf := make([]byte, 1)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}()
	l, err := s.lab.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	p := newProxy(ctx, l, away, func(ctx context.Context) (net.Conn, error) {
		return s.lab.DialContext(ctx, "tcp", echo.Addr().String())
	})
	defer p.close()
	c, err := s.lab.DialContext(ctx, "tcp", p.addr())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var took []float64
	for range 10 {
		began := time.Now()
		if _, err := c.Write([]byte("x")); err != nil {
			return 0, err
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began).Seconds())
	}
	return time.Duration(median(took) * float64(time.Second)), nil
}
