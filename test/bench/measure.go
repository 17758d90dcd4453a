package main

import (
	"fmt"
	"math"
	"slices"
)

// pair is a comparison taken side by side: ours[i] and theirs[i] were measured
// one right after the other.
type pair struct{ ours, theirs []float64 }

// alternate measures ours and theirs n times in turn, in the order A B B A A B …,
// so that neither a drift of the machine nor the place in a round favours one.
func alternate(n int, ours, theirs func(round int) (float64, error)) (pair, error) {
	var p pair
	for i := range n {
		sides := []struct {
			into    *[]float64
			measure func(int) (float64, error)
		}{{&p.ours, ours}, {&p.theirs, theirs}}
		if i%2 == 1 {
			slices.Reverse(sides)
		}
		for _, s := range sides {
			v, err := s.measure(i)
			if err != nil {
				return p, fmt.Errorf("round %d: %w", i+1, err)
			}
			*s.into = append(*s.into, v)
		}
	}
	return p, nil
}

// ratios are top[i]/bottom[i], sorted.
func ratios(top, bottom []float64) []float64 {
	var out []float64
	for i := range top {
		out = append(out, top[i]/bottom[i])
	}
	slices.Sort(out)
	return out
}

// against makes a Result of top over bottom: the ratio of the medians, with the
// extremes of the rounds' own ratios.
func against(top, bottom []float64) Result {
	r := ratios(top, bottom)
	return Result{Unit: "×", Measured: median(top) / median(bottom), Low: r[0], High: r[len(r)-1], Rounds: len(r)}
}

// median of values; NaN of none.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	switch {
	case n == 0:
		return math.NaN()
	case n%2 == 1:
		return s[n/2]
	}
	return (s[n/2-1] + s[n/2]) / 2
}

// standardError of the mean of values; 0 of fewer than two.
func standardError(values []float64) float64 {
	n := float64(len(values))
	if n < 2 {
		return 0
	}
	var sum, squares float64
	for _, v := range values {
		sum += v
	}
	for _, v := range values {
		squares += (v - sum/n) * (v - sum/n)
	}
	return math.Sqrt(squares / (n - 1) / n)
}

// spread tells of a series: its median and extremes.
func spread(what string, values []float64, unit string) string {
	return fmt.Sprintf("%s: median %s %s (%s–%s)", what, number(median(values)), unit, number(slices.Min(values)), number(slices.Max(values)))
}
