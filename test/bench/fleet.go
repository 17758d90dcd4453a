package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

var benchLine = regexp.MustCompile(`BenchmarkPlan/hosts=(\d+)\S*\s+\d+\s+([0-9.e+]+) ns/op\s+([0-9.]+) MB-heap`)

// fleet runs provision's BenchmarkPlan.
func fleet(ctx context.Context, b *bench) ([]Result, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run=^$", "-bench=^BenchmarkPlan$", "-benchtime=5x", "./provision")
	cmd.Dir = b.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("BenchmarkPlan: %w\n%s", err, out)
	}
	seconds, heap := map[string]float64{}, map[string]float64{}
	for _, m := range benchLine.FindAllStringSubmatch(string(out), -1) {
		ns, _ := strconv.ParseFloat(m[2], 64)
		seconds[m[1]] = ns / 1e9
		heap[m[1]], _ = strconv.ParseFloat(m[3], 64)
	}
	if seconds["30"] == 0 || seconds["300"] == 0 {
		return nil, fmt.Errorf("BenchmarkPlan printed no figures:\n%s", out)
	}
	return []Result{
		{Work: "plan of 300 hosts in 100 clusters", Limit: 12, Unit: "s", Measured: seconds["300"], Rounds: 1},
		{Work: "the same: time per host ÷ that of 30 hosts", Limit: 2, Unit: "×", Measured: seconds["300"] / seconds["30"] / 10, Rounds: 1},
		{Work: "the same: heap", Limit: 300, Unit: "MB", Measured: heap["300"], Rounds: 1},
	}, nil
}
