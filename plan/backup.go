package plan

import (
	"cmp"
	"fmt"
	"slices"

	"quorate/kvserver"
	"quorate/plan/spec"
)

// BackupFrom decides whose database a backup is taken of: of the member that the operator names, or
// else of a healthy follower, the one with the lowest id, so that the leader is not
// slowed; of the leader where there is no follower; where no member is healthy, of one that still
// gives its status. note says what the operator has to know of that choice; "" for nothing.
//
// While the alarm CORRUPT stands members hold different data, and nobody but the operator can say which is to be kept.
func BackupFrom(c *spec.Cluster, o *Observed, word string) (name, note string, err error) {
	census := TakeCensus(c, o)
	if word != "" {
		l, err := census.Find(c, word)
		switch {
		case err != nil:
			return "", "", err
		case l.Spec == "":
			return "", "", fmt.Errorf("the spec does not have member %s", l.Label())
		case o.Cluster.Answers[l.Spec].Status == nil:
			return "", "", fmt.Errorf("%s does not answer%s", l.Label(), census.why(o, l))
		}
		return l.Spec, behind(o, l.Spec), nil
	}
	var able []Listed
	for _, l := range census.Membership.Members() {
		if l.Spec == "" || o.Cluster.Answers[l.Spec].Status == nil {
			continue
		}
		able = append(able, l)
		if slices.Contains(o.Cluster.Answers[l.Spec].Status.Alarms, kvserver.AlarmCorrupt) {
			return "", "", fmt.Errorf("the alarm CORRUPT stands: members hold different data, and a backup keeps that of one of them; say whose it is to be (--member), see `quorate status --hash`")
		}
	}
	if len(able) == 0 {
		return "", "", fmt.Errorf("no member of the spec answers, and a backup is taken of one that serves")
	}
	rank := func(l Listed) int {
		switch {
		case l.Health == Healthy && !l.Learner && l.ID != census.Leader:
			return 0
		case l.Health == Healthy && !l.Learner:
			return 1
		case !l.Learner:
			return 2
		}
		return 3
	}
	best := slices.MinFunc(able, func(a, b Listed) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.ID, b.ID)) })
	return best.Spec, behind(o, best.Spec), nil
}

// behind says that a member may lack what others have acknowledged.
func behind(o *Observed, name string) string {
	switch a := o.Cluster.Answers[name]; {
	case a.Asked != Answered:
		return fmt.Sprintf("%s has no quorum to ask: what the others have acknowledged since is not in the backup", name)
	case a.Status.Learner:
		return fmt.Sprintf("%s is a learner, and may be behind the voters", name)
	}
	return ""
}
