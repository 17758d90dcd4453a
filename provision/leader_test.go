package provision_test

import (
	"strings"
	"testing"

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
	must(t, s.MoveLeader(t.Context(), plan.Handover{From: was, To: r.etcd.peers[to].id}))
	if r.etcd.leader != to || len(r.etcd.moves) != 1 {
		t.Errorf("%s leads, after %v", r.etcd.leader, r.etcd.moves)
	}
	if err := s.MoveLeader(t.Context(), plan.Handover{From: was, To: r.etcd.peers[to].id}); err == nil || !strings.Contains(err.Error(), "not leader") {
		t.Errorf("asked of one that does not lead: %v", err)
	}
}
