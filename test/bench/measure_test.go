package main

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestAlternate(t *testing.T) {
	t.Parallel()
	var order []string
	as := func(who string, v float64) func(int) (float64, error) {
		return func(round int) (float64, error) {
			order = append(order, who)
			return v + float64(round), nil
		}
	}
	p, err := alternate(3, as("A", 10), as("B", 20))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, ""); got != "ABBAAB" {
		t.Errorf("measured in the order %s", got)
	}
	if !slices.Equal(p.ours, []float64{10, 11, 12}) || !slices.Equal(p.theirs, []float64{20, 21, 22}) {
		t.Errorf("got %v", p)
	}
}

func TestAgainst(t *testing.T) {
	t.Parallel()
	r := against([]float64{3, 1, 2}, []float64{1, 1, 1})
	if r.Measured != 2 || r.Low != 1 || r.High != 3 || r.Rounds != 3 {
		t.Errorf("got %+v", r)
	}
	if m := median([]float64{4, 1, 3, 2}); m != 2.5 {
		t.Errorf("the median of 1 to 4 is %v", m)
	}
	if e := standardError([]float64{1, 3}); math.Abs(e-1) > 1e-9 {
		t.Errorf("the standard error of 1 and 3 is %v", e)
	}
}

func TestMet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		r    Result
		want bool
	}{
		{Result{Limit: 1.5, Measured: 1.5}, true},
		{Result{Limit: 1.5, Measured: 1.51}, false},
		{Result{Limit: 12, AtLeast: true, Measured: 12}, true},
		{Result{Limit: 12, AtLeast: true, Measured: 11.9}, false},
		{Result{Limit: 1, AtLeast: true, Measured: 0.98, Slack: 0.03}, true},
		{Result{Limit: 1, AtLeast: true, Measured: 0.96, Slack: 0.03}, false},
		{Result{Limit: 1, Measured: math.NaN()}, false},
		{Result{Limit: 9, Measured: 1, Error: "no lab"}, false},
	} {
		if got := c.r.Met(); got != c.want {
			t.Errorf("%+v: met %v", c.r, got)
		}
	}
	if (Report{Results: []Result{{Limit: 1}, {Limit: 1, Measured: 2}}}).met() {
		t.Error("a report with a missed budget is met")
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"--only", "plan, memory", "--rounds", "2"}, nil)
	if err != nil || !slices.Equal(o.only, []string{"plan", "memory"}) || o.rounds != 2 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range [][]string{{"--only", "plans"}, {"fresh"}, {"--rounds", "-1"}, {"--json", "--markdown"}} {
		if _, err := parse(args, nil); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
