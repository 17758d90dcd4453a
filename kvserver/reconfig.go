package kvserver

import (
	"strconv"
	"strings"
	"time"
)

// What etcd demands of a change of the membership while strict-reconfig-check is on, which it is by default. Read in
// etcdserver/server.go, etcdserver/util.go and etcdserver/api/membership/cluster.go of 3.4.0 to 3.7.3. All of it is decided
// by the member that is asked, from the connections that it has itself and by the version that it runs.
//
//	add      VotersToAdd voters connected for HealthInterval, learner or not (mayAddMember)
//	promote  the learner at LearnerReady of the leader's index (isLearnerReady), and enough voters that have a name
//	         (IsReadyToPromoteMember). No connection is looked at: a learner that died after it had caught up is promoted, and a
//	         voter that is down does not matter, so whether the quorum of one more holds is the caller's to see to
//	remove   of a learner: nothing. Of a voter: of the others, a quorum of them has a name (IsReadyToRemoveVotingMember,
//	         which never lets the last one go). One to which the member asked has no connection goes then; for any other,
//	         and for the member asked itself, VotersToRemove voters connected for HealthInterval (mayRemoveMember)
//	update   nothing (UpdateMember): only that nobody else is listed with the URL
//
// A name is had once a member was started, also if it has not run since. That a URL is listed once and that there are no more
// learners than MaxLearners is looked at when the change is applied (ValidateConfigurationChange, in this order), strict or
// not. A learner answers Status, serializable reads of keys and (from 3.4.28 on) Snapshot, and everything else with
// [ErrIsLearner], the list of members included (isRPCSupportedForLearner in etcdserver/api/v3rpc/util.go).
const (
	// HealthInterval is how long a connection counts for nothing after it was made: HealthInterval in etcdserver/server.go.
	HealthInterval = 5 * time.Second
	// MaxLearners is how many learners there may be: maxLearners in api/membership/cluster.go, from 3.6 on what --max-learners says by default.
	MaxLearners = 1
	// LearnerReady is the share of the leader's index (its Match, not what is applied) that a learner needs to be
	// promoted: readyPercent, later readyPercentThreshold, in etcdserver/server.go. It is a share of all that was ever written.
	LearnerReady = 0.9
)

// VotersToAdd is how many of the voters have to be connected with the one that is asked, itself counted, for a
// member of that version of etcd to take an addition. A single voter always takes it; otherwise it is the quorum of one
// more (2 of 2, 3 of 3, 3 of 4, 4 of 5: isConnectedToQuorumAfterAddingNewMemberSince), and before 3.5.30 and 3.6.11, and
// where the version is not known, all of them (isConnectedFullySince).
func VotersToAdd(voters int, version string) int {
	if voters == 1 {
		return 1
	}
	if needsAll(version) {
		return voters
	}
	return (voters+1)/2 + 1
}

// needsAll reports whether that version wants all voters connected before it takes another member.
func needsAll(version string) bool {
	numbers := [3]int{}
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 3 {
		return true
	}
	parts[2], _, _ = strings.Cut(parts[2], "-")
	for i := range numbers {
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			return true
		}
		numbers[i] = n
	}
	major, minor, patch := numbers[0], numbers[1], numbers[2]
	switch {
	case major != 3:
		return major < 3
	case minor == 5:
		return patch < 30
	case minor == 6:
		return patch < 11
	}
	return minor < 5
}

// VotersToRemove is how many of the voters have to be connected with the one that is asked, itself and the one to remove
// counted, for etcd to remove a voter that it sees as up: that one, and a quorum of the others (2 of 2, 3 of 3, 3 of 4,
// 4 of 5). More than there are for the last voter, which never goes. mayRemoveMember: active-1 >= 1+(voters-1)/2.
func VotersToRemove(voters int) int { return (voters-1)/2 + 2 }
