package kvserver

import "errors"

// How asking a member can fail, for errors.Is on what an admin client returns.
// They are different things: only the first says that the member is down.
var (
	// ErrDead: the connection was refused; nobody listens there.
	ErrDead = errors.New("nobody listens")
	// ErrSilent: it was asked, and did not answer in time.
	ErrSilent = errors.New("no answer in time")
	// ErrRefused: TLS failed; one side does not accept the other's certificate.
	ErrRefused = errors.New("certificate not accepted")
	// ErrCompacted: it answered, and no longer has the revision that was asked for.
	ErrCompacted = errors.New("compacted")
	// ErrNoLeader: it answered that there is no quorum, or an election on, so that what was to be read or changed through
	// one failed. A change may still have happened, or happen yet.
	ErrNoLeader = errors.New("no leader")
	// ErrIsLearner: it is a learner, which does not answer this.
	ErrIsLearner = errors.New("a learner does not answer this")
	// ErrNoSpace: it refuses writes, since its database, or another member's, has reached its quota: the alarm
	// [AlarmNoSpace] stands, or was raised by this very write.
	ErrNoSpace = errors.New("database space exceeded")
	// ErrDenied: authentication is on, and whoever asks has not the rights for it.
	ErrDenied = errors.New("not permitted")
)

// What a member answers to a change of the membership, for errors.Is as those above. After each of
// them nothing has changed.
var (
	// ErrTooFewStarted: etcd's own check (strict-reconfig-check) refuses an addition, a removal or a promotion, since not
	// enough voters have been connected for long enough. See [VotersToAdd], [VotersToRemove] and [HealthInterval].
	ErrTooFewStarted = errors.New("not enough voters started and connected")
	// ErrLearnerNotReady: the learner to promote has not caught up with the leader yet, or was never started.
	ErrLearnerNotReady = errors.New("learner not caught up")
	// ErrNotLearner: the member to promote is a voter already.
	ErrNotLearner = errors.New("not a learner")
	// ErrPeerURLExists: a member with one of these peer URLs is listed already.
	ErrPeerURLExists = errors.New("peer URL already listed")
	// ErrMemberNotFound: no member has that id; it may have been removed.
	ErrMemberNotFound = errors.New("no such member")
	// ErrTooManyLearners: as many learners as there may be are listed already, by default [MaxLearners].
	ErrTooManyLearners = errors.New("too many learners")
)
