package view

import (
	"bytes"
	"encoding/json"
	"testing"

	"quorate/kvserver"
	"quorate/plan"
)

func TestMembers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*plan.Observed){
		"members-well.txt": func(*plan.Observed) {},
		"members-odd.txt": func(o *plan.Observed) { // a learner, one not listed, a stranger, one that never started
			o.Cluster.Answers["etcd1"].Status.Learner = true
			o.Cluster.Answers["etcd3"] = plan.Answer{Asked: plan.Dead, Problem: "connection refused"}
			relist(o, func(l []kvserver.Member) []kvserver.Member {
				if l == nil {
					return nil
				}
				l[0].Learner = true
				return append(l[:2], kvserver.Member{ID: 0xbeef, Name: "old", PeerURLs: []string{"https://10.9.9.8:2380"}, ClientURLs: []string{"https://10.9.9.8:2379"}},
					kvserver.Member{ID: 0xdead, PeerURLs: []string{"https://10.9.9.9:2380"}})
			})
		},
		"members-unknown.txt": func(o *plan.Observed) { o.Cluster = plan.Cluster{} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := trio()
			o := observed(c)
			change(o)
			m := MembersOf(c, o, StatusOf(c, o, now))
			var b bytes.Buffer
			if err := MembersText(&b, m, Options{Now: now}); err != nil {
				t.Fatal(err)
			}
			j, err := json.MarshalIndent(m, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, append(append(b.Bytes(), j...), '\n'))
		})
	}
}
