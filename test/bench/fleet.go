package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

func fleet(ctx context.Context, b *bench) ([]Result, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run=^$", "-bench=^BenchmarkPlan$", "-benchtime=3x", "./provision")
	cmd.Dir = b.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("BenchmarkPlan: %w\n%s", err, out)
	}
	_ = bufio.NewScanner(bytes.NewReader(out))
	_ = strconv.Itoa
	return []Result{{Work: strings.TrimSpace(string(out))}}, nil
}
