package view

import (
	"strings"
	"testing"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/plan/spec"
)

// TestAlarms: each with its member, also of one that the spec does not have, and of one that the cluster does not list any more.
func TestAlarms(t *testing.T) {
	t.Parallel()
	c := &spec.Cluster{Name: "lab", Members: []*spec.Member{{Name: "etcd1", Address: "192.168.7.101", ClientPort: 2379, PeerPort: 2380}}}
	list := []kvserver.Member{
		{ID: 1, Name: "etcd1", PeerURLs: []string{"https://192.168.7.101:2380"}, ClientURLs: []string{"https://192.168.7.101:2379"}},
		{ID: 2, Name: "other", PeerURLs: []string{"https://192.168.7.102:2380"}, ClientURLs: []string{"https://192.168.7.102:2379"}},
	}
	o := &plan.Observed{Hosts: map[string]*plan.Host{"etcd1": {}}, Cluster: plan.Cluster{
		Answers:   map[string]plan.Answer{"etcd1": {Asked: plan.Answered, Members: list, Status: &kvserver.Status{ClusterID: 7, MemberID: 1, DBSize: 33 << 20, DBQuota: 32 << 20}}},
		Strangers: map[uint64]plan.Stranger{2: {Answer: plan.Answer{Asked: plan.Answered, Status: &kvserver.Status{ClusterID: 7, MemberID: 2, DBSize: 5 << 20}}}},
	}}
	storage := &plan.Storage{Alarms: []kvserver.Alarm{{Member: 1, Kind: "NOSPACE"}, {Member: 2, Kind: "CORRUPT"}, {Member: 0x4d, Kind: "NOSPACE"}}}
	for name, tc := range map[string]struct {
		storage *plan.Storage
		want    string
	}{
		"nobody could be asked": {nil, "cluster lab: no member could be asked for its alarms\n"},
		"none stands":           {&plan.Storage{}, "cluster lab: no alarm stands\n"},
		"three stand": {storage, "cluster lab\n" +
			"  ALARM    MEMBER  ID  DATABASE  QUOTA\n" +
			"  NOSPACE  etcd1   1   33 MiB    32 MiB\n" +
			"  CORRUPT  other   2   5.0 MiB   -\n" +
			"  NOSPACE  -       4d  -         -\n"},
	} {
		t.Run(name, func(t *testing.T) {
			o := *o
			o.Cluster.Storage = tc.storage
			var b strings.Builder
			if err := AlarmsText(&b, AlarmsOf(c, &o), Options{}); err != nil || b.String() != tc.want {
				t.Errorf("%v\n%s", err, b.String())
			}
		})
	}
}
