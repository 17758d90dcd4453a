package provision_test

import (
	"slices"
	"strings"
	"testing"

	"quorate/kvserver"
	"quorate/plan"
)

// TestMoveLeader: the leader hands over once, and what it answers is what is said.
func TestMoveLeader(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	must(t, r.apply())
	s := r.session()
	defer s.Close()
	was := r.etcd.leader
	to := "etcd1"
	if was == to {
		to = "etcd2"
	}
	i := slices.IndexFunc(r.etcd.members, func(m kvserver.Member) bool { return m.Name == to })
	h := plan.Handover{From: was, To: r.etcd.members[i].ID}
	must(t, s.MoveLeader(t.Context(), h))
	if r.etcd.leader != to || len(r.etcd.moves) != 1 {
		t.Errorf("%s leads, after %v", r.etcd.leader, r.etcd.moves)
	}
	if err := s.MoveLeader(t.Context(), h); err == nil || !strings.Contains(err.Error(), "not leader") {
		t.Errorf("asked of one that does not lead: %v", err)
	}
}
