package plan_test

import (
	"strings"
	"testing"

	"quorate/kvserver"
	"quorate/plan"
)

// Whose database a backup is of. Members are etcd1 to etcd3, with the ids 1 to 3; etcd1 leads.
func TestBackupFrom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		word   string
		change func(o *plan.Observed)
		want   string
		note   string
		fails  string
	}{
		"a follower, the one with the lowest id": {want: "etcd2"},
		"the other follower, where that one is down": {want: "etcd3", change: func(o *plan.Observed) {
			o.Cluster.Answers["etcd2"] = plan.Answer{Asked: plan.Dead}
		}},
		"the leader, where nobody else is there": {want: "etcd1", change: func(o *plan.Observed) {
			o.Cluster.Answers["etcd2"], o.Cluster.Answers["etcd3"] = plan.Answer{Asked: plan.Dead}, plan.Answer{Asked: plan.Dead}
		}},
		"whoever is named":    {word: "etcd1", want: "etcd1"},
		"by id":               {word: "3", want: "etcd3"},
		"nobody of that name": {word: "etcd9", fails: `has no member "etcd9"`},
		"one that is down, named": {word: "etcd2", fails: "etcd2 does not answer: it is down", change: func(o *plan.Observed) {
			o.Cluster.Answers["etcd2"] = plan.Answer{Asked: plan.Dead, Problem: "it is down"}
		}},
		"one without a quorum": {want: "etcd3", note: "what the others have acknowledged since is not in the backup", change: func(o *plan.Observed) {
			st := *o.Cluster.Answers["etcd3"].Status
			o.Cluster.Answers = map[string]plan.Answer{"etcd3": {Asked: plan.NoLeader, Status: &st, Members: o.Cluster.Answers["etcd3"].Members}}
		}},
		"nobody":                       {fails: "no member of the spec answers", change: func(o *plan.Observed) { o.Cluster.Answers = nil }},
		"not while members may differ": {fails: "the alarm CORRUPT stands", change: corrupted},
		"but for one that is named":    {word: "etcd3", want: "etcd3", change: corrupted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c3 := cluster(t, 3)
			r := &reality{world: bare(c3), lag: map[string]int{}, down: map[string]bool{}}
			r.settled(t)
			o := r.obs
			for i, m := range []string{"etcd1", "etcd2", "etcd3"} {
				a := o.Cluster.Answers[m]
				st := *a.Status
				st.MemberID, st.Leader = uint64(i+1), 1
				var list []kvserver.Member
				for j, e := range a.Members {
					e.ID, e.Name = uint64(j+1), []string{"etcd1", "etcd2", "etcd3"}[j]
					list = append(list, e)
				}
				a.Status, a.Members = &st, list
				o.Cluster.Answers[m] = a
			}
			if c.change != nil {
				c.change(o)
			}
			got, note, err := plan.BackupFrom(c3, o, c.word)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Errorf("%q, %v", got, err)
				}
				return
			}
			if err != nil || got != c.want || !strings.Contains(note, c.note) || (note == "") != (c.note == "") {
				t.Errorf("%q, %q, %v", got, note, err)
			}
		})
	}
}

func corrupted(o *plan.Observed) {
	for n, a := range o.Cluster.Answers {
		st := *a.Status
		st.Alarms = []string{kvserver.AlarmCorrupt}
		a.Status = &st
		o.Cluster.Answers[n] = a
	}
}
