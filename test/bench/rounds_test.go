package main

import (
	"testing"
	"time"
)

func TestPriceAndLongest(t *testing.T) {
	t.Parallel()
	const rtt = time.Second
	// The same calls without distance and a second away: a and b in a row, c
	// beside both, d after all of them; d thinks for a while, by chance.
	made := func(times map[string][2]int) *drive {
		d := &drive{spans: map[string][]span{}, delay: rtt / 2}
		for what, x := range times {
			d.spans["m"] = append(d.spans["m"], span{what, at(x[0]), at(x[1])})
		}
		return d
	}
	here := []*drive{
		made(map[string][2]int{"a": {0, 10}, "b": {10, 30}, "c": {0, 40}, "d": {40, 940}}),
		made(map[string][2]int{"a": {0, 10}, "b": {10, 30}, "c": {0, 40}, "d": {40, 240}}),
	}
	there := []*drive{
		made(map[string][2]int{"a": {0, 1010}, "b": {1010, 3030}, "c": {0, 1040}, "d": {3040, 4240}}),
		made(map[string][2]int{"a": {0, 1010}, "b": {1010, 3030}, "c": {0, 1040}, "d": {3040, 4940}}),
	}
	calls := priced(here, there, "m", rtt)
	want := map[string]int{"a": 1, "b": 2, "c": 1, "d": 1}
	for _, c := range calls {
		if c.trips != want[c.what] {
			t.Errorf("%s costs %d round trips, want %d", c.what, c.trips, want[c.what])
		}
	}
	if n := longest(calls); n != 4 {
		t.Errorf("%d in a row, want a, b and d: 4", n)
	}
	if longest(nil) != 0 {
		t.Error("no calls cost something")
	}
}
