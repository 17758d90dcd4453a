package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"quorate/provision"
	"quorate/provision/host"
)

// The exit codes: scripts depend on them, so they never change their meaning.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitPending     = 3
	exitHeld        = 4
	exitLocked      = 5
	exitInterrupted = 6
)

// exitTable is what the help shows.
var exitTable = []struct {
	code    int
	meaning string
}{
	{exitDone, "done, or nothing to do"},
	{exitFailed, "failed"},
	{exitUsage, "bad usage or a bad spec; nothing was touched"},
	{exitPending, "changes are pending (plan --detailed-exitcode, fmt --check)"},
	{exitHeld, "something is held: the plan refuses it for now"},
	{exitLocked, "another run holds the cluster's lock"},
	{exitInterrupted, "interrupted; run again to go on"},
}

// usageError is a mistake on the command line or in the spec: nothing was touched.
type usageError struct {
	err  error
	hint bool // the verb's help would tell more
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// badUsage makes a usageError.
func badUsage(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// badFlags is a usageError of the command line itself.
func badFlags(err error) error {
	if err == nil {
		return nil
	}
	return &usageError{err: err, hint: true}
}

// exitError ends the program with a code of its own; an empty message means that all has been said.
type exitError struct {
	code    int
	message string
}

func (e *exitError) Error() string { return e.message }

// said ends with a code after everything worth saying was printed.
func said(code int) error { return &exitError{code: code} }

// exitCode is the one place where an error becomes an exit code.
func exitCode(err error) int {
	var (
		own         *exitError
		usage       *usageError
		locked      *host.LockedError
		interrupted *provision.InterruptedError
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &own):
		return own.code
	case errors.As(err, &interrupted), errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &locked):
		return exitLocked
	}
	return exitFailed
}

// errInterrupted is the cause of a context that ended by a signal.
var errInterrupted = errors.New("interrupted")

// worse picks, of what several clusters came to, what a caller must know
// first: an interrupt, then a failure, then who is in the way, then what is
// held, then what is pending.
func worse(a, b error) error {
	ranks := []int{exitDone, exitPending, exitHeld, exitLocked, exitFailed, exitUsage, exitInterrupted}
	rank := func(err error) int {
		if i := slices.Index(ranks, exitCode(err)); i >= 0 {
			return i
		}
		return slices.Index(ranks, exitFailed)
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// exitCodesHelp is the table as text.
func exitCodesHelp() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n")
	for _, e := range exitTable {
		fmt.Fprintf(&b, "  %d  %s\n", e.code, e.meaning)
	}
	return b.String()
}
