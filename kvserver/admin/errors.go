package admin

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

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
	// ErrLearnerNotReady: the learner has not caught up with the leader yet.
	ErrLearnerNotReady = errors.New("learner not caught up")
	// ErrNotLearner: the member to promote is a voter already.
	ErrNotLearner = errors.New("not a learner")
	// ErrPeerURLExists: a member with that peer URL is listed already.
	ErrPeerURLExists = errors.New("peer URL exists")
	// ErrMemberNotFound: no member has that id.
	ErrMemberNotFound = errors.New("member not found")
	// ErrUnhealthy: etcd's own strict-reconfig-check refuses the change.
	ErrUnhealthy = errors.New("unhealthy cluster")
	// ErrTooManyLearners: max-learners are there already.
	ErrTooManyLearners = errors.New("too many learners")
	// ErrIsLearner: a learner does not answer this.
	ErrIsLearner = errors.New("not answered by a learner")
)

// words are etcd's messages (api/v3rpc/rpctypes) for what callers act on.
var words = []struct {
	grpc error
	is   error
}{
	{rpctypes.ErrGRPCNoLeader, ErrNoLeader},
	{rpctypes.ErrGRPCLeaderChanged, ErrNoLeader},
	{rpctypes.ErrGRPCTimeout, ErrNoLeader},
	{rpctypes.ErrGRPCTimeoutDueToLeaderFail, ErrNoLeader},
	{rpctypes.ErrGRPCTimeoutDueToConnectionLost, ErrNoLeader},
	{rpctypes.ErrGRPCTimeoutWaitAppliedIndex, ErrNoLeader},
	{rpctypes.ErrGRPCLearnerNotReady, ErrLearnerNotReady},
	{rpctypes.ErrGRPCMemberNotLearner, ErrNotLearner},
	{rpctypes.ErrGRPCPeerURLExist, ErrPeerURLExists},
	{rpctypes.ErrGRPCMemberNotFound, ErrMemberNotFound},
	{rpctypes.ErrGRPCUnhealthy, ErrUnhealthy},
	{rpctypes.ErrGRPCMemberNotEnoughStarted, ErrUnhealthy},
	{rpctypes.ErrGRPCTooManyLearners, ErrTooManyLearners},
	{rpctypes.ErrGRPCNotSupportedForLearner, ErrIsLearner},
	{rpctypes.ErrGRPCCompacted, kvserver.ErrCompacted},
}

// Is matches the sentinels of the table by etcd's own words.
func (e *AnswerError) Is(target error) bool {
	// etcd bounds a request by itself (5 s and two election timeouts) and then
	// answers with its own context's error: it found no quorum meanwhile.
	if target == ErrNoLeader && e.Code == codes.DeadlineExceeded {
		return true
	}
	for _, w := range words {
		if w.is == target && e.Message == status.Convert(w.grpc).Message() {
			return true
		}
	}
	return false
}

// answered turns a status into an error. A deadline of ours may be noticed by
// the server first, since it travels with the request; it is ours all the same.
func (c *conn) answered(ctx context.Context, code codes.Code, message string) error {
	const travel = 100 * time.Millisecond // how much earlier the server's clock may end it
	deadline, bounded := ctx.Deadline()
	if ctx.Err() != nil || bounded && code == codes.DeadlineExceeded && time.Until(deadline) < travel {
		cause := context.Cause(ctx)
		if cause == nil {
			cause = context.DeadlineExceeded
		}
		return &UnreachableError{Member: c.member, Address: c.address, Cause: cause, Sent: true}
	}
	return &AnswerError{Member: c.member, Code: code, Message: message}
}
