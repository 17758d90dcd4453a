package host

import (
	"fmt"
	"strings"
	"time"
)

// LockedError says that another run holds the lock.
type LockedError struct {
	Host   string
	Holder Holder // zero when it could not be read
}

func (e *LockedError) Error() string {
	h := e.Holder
	if h.Who == "" {
		return fmt.Sprintf("host %q is locked by another run", e.Host)
	}
	from := ""
	if h.From != "" {
		from = " from " + h.From
	}
	return fmt.Sprintf("host %q is locked by %s%s (%s, run %s) since %s",
		e.Host, h.Who, from, h.Verb, h.Run, h.Since.Format(time.RFC3339))
}

// ExitError says that a command ran and failed.
type ExitError struct {
	Host   string
	Argv   []string
	Code   int // -1 when a signal ended it
	Stderr string
}

func (e *ExitError) Error() string {
	name := ""
	if len(e.Argv) > 0 {
		name = e.Argv[0]
	}
	s := fmt.Sprintf("host %q: %s exited with %d", e.Host, name, e.Code)
	if t := strings.TrimSpace(e.Stderr); t != "" {
		s += ": " + t
	}
	return s
}

// ServiceError says that a unit did not come to the state asked for. State has
// what is known of it: Sub, Restarts, the end of its log, and in State.Cause the line
// of the log that says why.
type ServiceError struct {
	Host  string
	Unit  string
	Verb  string
	State UnitState
	Cause string // "failed", "it ended 3 times", "timed out after 30s", or the manager's own words
}

func (e *ServiceError) Error() string {
	s := fmt.Sprintf("host %q: cannot %s %s: %s (%s/%s)", e.Host, e.Verb, e.Unit, e.Cause, e.State.Active, e.State.Sub)
	if e.State.Cause != "" {
		return s + "\n  its log says: " + e.State.Cause
	}
	if t := strings.TrimSpace(e.State.Log); t != "" {
		s += "\n  last lines of its log:\n    " + strings.ReplaceAll(t, "\n", "\n    ")
	}
	return s
}

// TimedOut reports whether the unit was still on its way when the wait was over; the manager goes on with it.
func (e *ServiceError) TimedOut() bool { return strings.HasPrefix(e.Cause, "timed out") }

// ForwardingError says that the host's SSH server does not let this login open
// connections from the host.
type ForwardingError struct {
	Host  string
	Cause error
}

func (e *ForwardingError) Error() string {
	return fmt.Sprintf("host %q forbids forwarding: %v\n  Set AllowTcpForwarding yes in its sshd_config", e.Host, e.Cause)
}

func (e *ForwardingError) Unwrap() error { return e.Cause }

// UnreachableError says that no session could be had.
type UnreachableError struct {
	Host    string
	Address string
	Cause   error
	// Hint is the way out, for example how to accept a changed host key.
	Hint string
}

func (e *UnreachableError) Error() string {
	s := fmt.Sprintf("cannot reach host %q at %s: %v", e.Host, e.Address, e.Cause)
	if e.Hint != "" {
		s += "\n  " + e.Hint
	}
	return s
}

func (e *UnreachableError) Unwrap() error { return e.Cause }
