package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"quorate/kvserver"
)

// UnreachableError says that a member could not be asked, or that it did not
// answer in time.
type UnreachableError struct {
	Member, Address string
	Cause           error
	// Accepted: the connection was made, but nobody answered on it. A member
	// that has started and waits for its quorum is like that: etcd opens its
	// port at once and answers on it (TLS included) only once it is ready.
	Accepted bool
	// Sent: the request may have arrived; what it asked for may have happened.
	Sent bool
}

func (e *UnreachableError) Error() string {
	if e.Accepted {
		return fmt.Sprintf("member %q at %s does not answer (it may be waiting for a quorum of members): %v", e.Member, e.Address, e.Cause)
	}
	return fmt.Sprintf("cannot reach member %q at %s: %v", e.Member, e.Address, e.Cause)
}
func (e *UnreachableError) Unwrap() error { return e.Cause }

// Is tells a refused connection from one on which nobody answered.
func (e *UnreachableError) Is(target error) bool {
	switch target {
	case kvserver.ErrDead:
		return !e.Accepted && !e.Sent && errors.Is(e.Cause, syscall.ECONNREFUSED)
	case kvserver.ErrSilent:
		return e.Accepted || e.Sent || errors.Is(e.Cause, context.DeadlineExceeded)
	}
	return false
}

// RejectedError says that TLS failed: one side does not accept the other's certificate.
type RejectedError struct {
	Member, Address string
	Cause           error
}

func (e *RejectedError) Error() string {
	return fmt.Sprintf("cannot talk to member %q at %s: TLS: %v", e.Member, e.Address, e.Cause)
}
func (e *RejectedError) Unwrap() error { return e.Cause }

// Is matches kvserver.ErrRefused.
func (e *RejectedError) Is(target error) bool { return target == kvserver.ErrRefused }

// AnswerError is an error that the member answered with.
type AnswerError struct {
	Member  string
	Code    codes.Code
	Message string // etcd's own words
}

func (e *AnswerError) Error() string { return fmt.Sprintf("member %q: %s", e.Member, e.Message) }

// Unwrap gives etcd's own error for the words, if it has one.
func (e *AnswerError) Unwrap() error { return rpctypes.Error(status.Error(e.Code, e.Message)) }

// Is matches kvserver's names for what callers act on.
func (e *AnswerError) Is(target error) bool {
	err := e.Unwrap()
	if target == kvserver.ErrNoLeader && e.Code == codes.DeadlineExceeded {
		// etcd bounds a request by itself (5 s and two election timeouts) and then
		// answers with its own context's error: it found no quorum meanwhile.
		return true
	}
	return slices.Contains(meant[target], err)
}

// meant are etcd's errors by our names of them.
var meant = map[error][]error{
	kvserver.ErrNoLeader: {
		rpctypes.ErrNoLeader, rpctypes.ErrLeaderChanged, rpctypes.ErrTimeout, rpctypes.ErrTimeoutDueToLeaderFail,
		rpctypes.ErrTimeoutDueToConnectionLost, rpctypes.ErrTimeoutWaitAppliedIndex,
	},
	kvserver.ErrCompacted:       {rpctypes.ErrCompacted},
	kvserver.ErrTooFewStarted:   {rpctypes.ErrUnhealthy, rpctypes.ErrMemberNotEnoughStarted},
	kvserver.ErrLearnerNotReady: {rpctypes.ErrMemberLearnerNotReady},
	kvserver.ErrNotLearner:      {rpctypes.ErrMemberNotLearner},
	kvserver.ErrPeerURLExists:   {rpctypes.ErrPeerURLExist, rpctypes.ErrMemberExist},
	kvserver.ErrMemberNotFound:  {rpctypes.ErrMemberNotFound},
	kvserver.ErrTooManyLearners: {rpctypes.ErrTooManyLearners},
	kvserver.ErrNoSpace:         {rpctypes.ErrNoSpace},
	kvserver.ErrDenied:          {rpctypes.ErrPermissionDenied, rpctypes.ErrUserEmpty, rpctypes.ErrUserNotFound},
	kvserver.ErrIsLearner:       {rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner)},
}
