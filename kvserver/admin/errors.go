package admin

import (
	"context"
	"errors"
	"fmt"
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

// What callers act on, for errors.Is on an answer.
var (
	// ErrNoLeader: no quorum, or an election is on; what is read or written through a quorum fails.
	ErrNoLeader = errors.New("no leader")
	// ErrUnhealthy: etcd's own strict-reconfig-check refuses the change.
	ErrUnhealthy = rpctypes.ErrUnhealthy
	// ErrLearnerNotReady: the learner has not caught up with the leader yet.
	ErrLearnerNotReady = rpctypes.ErrMemberLearnerNotReady
	// ErrNotLearner: the member to promote is a voter already.
	ErrNotLearner = rpctypes.ErrMemberNotLearner
	// ErrPeerURLExists: a member with that peer URL is listed already.
	ErrPeerURLExists = rpctypes.ErrPeerURLExist
	// ErrMemberNotFound: no member has that id.
	ErrMemberNotFound = rpctypes.ErrMemberNotFound
	// ErrTooManyLearners: max-learners are there already.
	ErrTooManyLearners = rpctypes.ErrTooManyLearners
	// ErrIsLearner: a learner does not answer this.
	ErrIsLearner = rpctypes.Error(rpctypes.ErrGRPCNotSupportedForLearner)
)

// Unwrap gives etcd's own error for the words, if it has one.
func (e *AnswerError) Unwrap() error { return rpctypes.Error(status.Error(e.Code, e.Message)) }

// Is matches what has more than one of etcd's errors, or another package's name.
func (e *AnswerError) Is(target error) bool {
	switch err := e.Unwrap(); target {
	case ErrNoLeader:
		switch err {
		case rpctypes.ErrNoLeader, rpctypes.ErrLeaderChanged, rpctypes.ErrTimeout, rpctypes.ErrTimeoutDueToLeaderFail,
			rpctypes.ErrTimeoutDueToConnectionLost, rpctypes.ErrTimeoutWaitAppliedIndex:
			return true
		}
		// etcd bounds a request by itself (5 s and two election timeouts) and then
		// answers with its own context's error: it found no quorum meanwhile.
		return e.Code == codes.DeadlineExceeded
	case ErrUnhealthy:
		return err == rpctypes.ErrMemberNotEnoughStarted
	case kvserver.ErrCompacted:
		return err == rpctypes.ErrCompacted
	}
	return false
}
