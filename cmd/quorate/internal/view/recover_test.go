package view

import (
	"bytes"
	"testing"
	"time"

	"quorate/plan"
)

// remains are what is left of a cluster: of each kind of source one.
func remains() *plan.RecoverySources {
	taken := now.Add(-2 * time.Hour)
	return &plan.RecoverySources{ClusterID: "c1", Voters: 3, Gone: []string{"etcd2", "etcd3"}, Revision: 63, All: []plan.RecoverySource{
		{Member: "etcd1", ClusterID: "c1", MemberID: "a1", LogEnd: plan.LogEnd{Term: 4, Index: 81}, Revision: 63, Running: true,
			Notes: []string{"it was rolled back: it ends at index 81, and had 90 when lab-1.db was taken of it on 2026-11-20 12:00 UTC"}},
		{Backup: "lab-0.db", Where: "etcd2", ClusterID: "c1", LogEnd: plan.LogEnd{Term: 2, Index: 44}, Revision: 38, At: &taken, Lacks: "all that was written after 2026-11-22 10:00 UTC"},
		{Member: "etcd2", Refused: "its host could not be reached: no route to host"},
		{Member: "etcd3", ClusterID: "c1", LogEnd: plan.LogEnd{Term: 9, Index: 912}, Refused: "the member b3 was removed from the cluster, as etcd1 knows"},
	}}
}

func TestRecoveryText(t *testing.T) {
	t.Parallel()
	s := remains()
	var b bytes.Buffer
	if err := RecoveryText(&b, "lab", s, s.Best(), Options{Width: 100, Now: now}); err != nil {
		t.Fatal(err)
	}
	golden(t, "recover.txt", b.Bytes())
}
