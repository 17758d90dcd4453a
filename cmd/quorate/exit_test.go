package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"quorate/provision"
	"quorate/provision/host"
)

func TestExitCode(t *testing.T) {
	t.Parallel()
	interrupted := &provision.InterruptedError{Cause: errInterrupted, Left: 3}
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("a disk is full"), 1},
		{badUsage("no"), 2},
		{fmt.Errorf("cannot: %w", badFlags(errors.New("unknown flag"))), 2},
		{said(exitPending), 3},
		{said(exitHeld), 4},
		{fmt.Errorf("cannot lock: %w", &host.LockedError{Host: "etcd1"}), 5},
		{errors.Join(errors.New("x"), &host.LockedError{Host: "etcd2"}), 5},
		{fmt.Errorf("cannot: %w", interrupted), 6},
		{fmt.Errorf("cannot look: %w", context.Canceled), 6},
		{errInterrupted, 6},
		{said(17), 17}, // etcdctl's own
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

func TestWorse(t *testing.T) {
	t.Parallel()
	locked := &host.LockedError{Host: "etcd1"}
	order := []error{nil, said(exitPending), said(exitHeld), locked, errors.New("failed"), errInterrupted}
	for i, a := range order {
		for j, b := range order {
			want := order[max(i, j)]
			if got := worse(a, b); got != want {
				t.Errorf("worse(%v, %v) = %v, want %v", a, b, got, want)
			}
		}
	}
}

// The table in the help is the one in the code, and complete.
func TestExitTable(t *testing.T) {
	t.Parallel()
	help := newRootCommand(&process{}).Long
	for code := range 7 {
		if !strings.Contains(help, fmt.Sprintf("\n  %d  ", code)) {
			t.Errorf("the help does not list exit code %d", code)
		}
	}
}
