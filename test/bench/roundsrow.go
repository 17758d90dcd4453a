package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
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
// connection in each errand, after the login; and confirms them by what the same work takes longer through a proxy that is a
// known time away.
func rounds(ctx context.Context, s *stage) ([]Result, error) {
	rtt := map[time.Duration]time.Duration{}
	for _, away := range []time.Duration{near, far} {
		took, err := s.calibrate(ctx, away)
		if err != nil {
			return nil, err
		}
		rtt[away] = took
	}
	var results []Result
	for _, e := range errands() {
		r, err := s.countTrips(ctx, e, s.turns(3), rtt)
		if err != nil {
			return results, err
		}
		r.Work, r.Limit, r.Unit = e.what+": sequential round trips per host after login", e.limit, "round trips"
		results = append(results, r)
	}
	return results, nil
}

// errand is something that a verb does to a cluster, the same in every turn.
type errand struct {
	what  string
	limit float64 // of round trips
	apply bool    // else it is planned
	// ready makes the hosts and the spec's folder ready for a turn.
	ready func(ctx context.Context, s *stage) (dir string, err error)
}

func errands() []errand {
	return []errand{
		{"fresh apply", 11, true, func(ctx context.Context, s *stage) (string, error) {
			if err := s.reset(ctx); err != nil {
				return "", err
			}
			return s.spec("")
		}},
		{"plan with nothing to change", 4, false, func(ctx context.Context, s *stage) (string, error) { return s.settled(ctx) }},
		{"a setting that rolls", 20, true, func(ctx context.Context, s *stage) (string, error) {
			dir, err := s.settled(ctx)
			if err != nil {
				return "", err
			}
			return dir, s.write(dir, s.lab.Hosts()[:3], "server { snapshot_count = 5000 }")
		}},
		{"a member more, three to four", 30, true, func(ctx context.Context, s *stage) (string, error) {
			dir, err := s.settled(ctx)
			if err != nil {
				return "", err
			}
			return dir, s.write(dir, s.lab.Hosts(), "")
		}},
		{"a member less, three to two", 30, true, func(ctx context.Context, s *stage) (string, error) {
			dir, err := s.settled(ctx)
			if err != nil {
				return "", err
			}
			return dir, s.write(dir, s.lab.Hosts()[:2], "")
		}},
	}
}

// countTrips does one errand several times here, near and far. Measured is the
// most round trips that follow one another on any host.
func (s *stage) countTrips(ctx context.Context, e errand, turns int, rtt map[time.Duration]time.Duration) (Result, error) {
	var r Result
	var dir string
	var err error
	drives := map[time.Duration][]*drive{}
	took := map[time.Duration][]float64{}
	for range turns {
		for _, away := range []time.Duration{0, near, far} {
			// What is planned only can be planned again.
			if dir == "" || e.apply {
				if dir, err = e.ready(ctx, s); err != nil {
					return r, err
				}
			}
			d := &drive{apply: e.apply, delay: away}
			if err := d.run(ctx, s, dir); err != nil {
				return r, err
			}
			drives[away] = append(drives[away], d)
			took[away] = append(took[away], d.took.Seconds())
		}
	}
	conns := 0
	for _, d := range drives[far] {
		for _, n := range d.conns {
			conns = max(conns, n)
		}
	}
	r.Rounds = 1 // it is one figure of all rounds
	notes := []string{fmt.Sprintf("connections per host: %d", conns)}
	for _, away := range []time.Duration{near, far} {
		more := median(took[away]) - median(took[0])
		notes = append(notes, fmt.Sprintf("as a whole: with a round trip of %.1f ms it takes %.0f ms instead of %.0f, which is %.1f round trips for all hosts together, with the windows of the binary, with waiting for one another, and with the luck of the first election",
			rtt[away].Seconds()*1e3, median(took[away])*1e3, median(took[0])*1e3, more/rtt[away].Seconds()))
	}
	for _, member := range slices.Sorted(maps.Keys(drives[far][0].taps)) {
		calls := priced(drives[0], drives[far], member, rtt[far])
		var list []string
		for _, c := range calls {
			list = append(list, fmt.Sprintf("%s %d (%.0f ms)", c.what, c.trips, c.here*1e3))
		}
		n := longest(calls)
		r.Measured = max(r.Measured, float64(n))
		notes = append(notes, fmt.Sprintf("%s: %d in a row; round trips by call, and how long it takes from here: %s", member, n, strings.Join(list, ", ")))
	}
	if e.apply {
		notes = append(notes, fmt.Sprintf("not counted: %d more windows of 2 MiB in which the binary goes out, which are a matter of its size and of sshd", windows(drives[far])))
	}
	r.Low, r.High, r.Notes = r.Measured, r.Measured, notes
	return r, nil
}

// call is one call on a host with its price.
type call struct {
	span
	trips int     // that it takes, without the windows of a stream
	here  float64 // seconds it takes without any distance
}

// priced lists a member's calls in the order of their beginning far away. The
// price is how much longer a call takes there, in round trips: by the fastest
// of all rounds (an election takes longer or shorter by chance), and far enough
// away that no thinking makes it another number.
func priced(here, there []*drive, member string, rtt time.Duration) []call {
	times := func(drives []*drive) map[string][]float64 {
		by := map[string][]float64{}
		for _, d := range drives {
			for _, sp := range d.calls(member) {
				by[sp.what] = append(by[sp.what], sp.end.Sub(sp.begin).Seconds())
			}
		}
		return by
	}
	before, after := times(here), times(there)
	stream := windows(there)
	var out []call
	for _, sp := range there[0].calls(member) {
		if len(before[sp.what]) == 0 {
			before[sp.what] = []float64{0} // a question that was repeated there only
		}
		c := call{span: sp, here: slices.Min(before[sp.what])}
		c.trips = int(math.Round((slices.Min(after[sp.what]) - c.here) / rtt.Seconds()))
		if strings.HasPrefix(sp.what, uploading) {
			c.trips -= stream
		}
		out = append(out, c)
	}
	return out
}

// calls are a member's calls in the order of their beginning; a call that comes
// again gets a number.
func (d *drive) calls(member string) []span {
	out := slices.SortedFunc(slices.Values(d.spans[member]), func(a, b span) int { return a.begin.Compare(b.begin) })
	seen := map[string]int{}
	for i := range out {
		what := out[i].what
		if seen[what]++; seen[what] > 1 {
			out[i].what = fmt.Sprintf("%s (%d)", what, seen[what])
		}
	}
	return out
}

// longest is the most round trips of calls of which each began when the one
// before had ended.
func longest(calls []call) int {
	best := make([]int, len(calls)) // of a row that ends with this call; calls are in the order of their beginning
	most := 0
	for i, c := range calls {
		for j, before := range calls[:i] {
			if !before.end.After(c.begin) {
				best[i] = max(best[i], best[j])
			}
		}
		best[i] += c.trips
		most = max(most, best[i])
	}
	return most
}

// windows is how many times more than once the stream of a large file had to
// wait for an answer; once is what any file costs.
func windows(drives []*drive) int {
	most := 0
	for _, d := range drives {
		for member, t := range d.taps {
			n := 0
			for _, t := range trips(t.all(), d.login[member], d.ended, 2*d.delay) {
				if t.stream() {
					n++
				}
			}
			most = max(most, n-1)
		}
	}
	return most
}

// settled makes new hosts with a cluster on them that a plan finds nothing to do for.
func (s *stage) settled(ctx context.Context) (dir string, err error) {
	if err := s.reset(ctx); err != nil {
		return "", err
	}
	if dir, err = s.spec(""); err != nil {
		return "", err
	}
	if _, err := s.quorate(ctx, dir, "apply", "-y"); err != nil {
		return "", err
	}
	return dir, (&drive{}).run(ctx, s, dir) // remembers the digests
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
		_, _ = io.Copy(c, c)
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
