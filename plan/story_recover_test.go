package plan_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/plan/spec"
)

// recovering lets one line of a story come true that is about what is left of a cluster; false: it is about something else.
//
//	left disk etcd1 term 3 index 100 [revision 40] [cluster 7] [id a1] [running] [led] [damaged WHAT] [removed ID]
//	left backup NAME of etcd1 term 3 index 90 [revision 38] [cluster 7] [id a1] [age 24h] [on WHERE]
//	left problem etcd1 WHY
//	began etcd1 1000000040
func recovering(t *testing.T, w *world, words []string) bool {
	if words[0] == "began" {
		n, err := strconv.ParseInt(words[2], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		w.obs.Hosts[words[1]].Manifest.Begins = n
		return true
	}
	if words[0] != "left" {
		return false
	}
	if w.disks == nil {
		w.disks = map[string]plan.DiskSeen{}
	}
	of := func(word, otherwise string) string {
		if i := slices.Index(words, word); i >= 0 && i+1 < len(words) {
			return words[i+1]
		}
		return otherwise
	}
	number := func(word string) uint64 {
		n, err := strconv.ParseUint(of(word, "0"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	ids := map[string]string{}
	for i, m := range w.list {
		if i < len(w.spec.Members) {
			ids[w.spec.Members[i].Name] = kvserver.ID(m.ID)
		}
	}
	switch words[1] {
	case "problem":
		w.disks[words[2]] = plan.DiskSeen{Problem: strings.Join(words[3:], " ")}
	case "disk":
		i := &kvserver.Inspection{Member: true, Running: slices.Contains(words, "running"), ClusterID: of("cluster", "7"), MemberID: of("id", ids[words[2]]),
			Log: &kvserver.InspectedLog{Term: number("term"), LastTerm: number("term"), LastIndex: number("index")}}
		if !i.Running {
			i.DB = &kvserver.InspectedDB{Revision: int64(number("revision"))}
			for n, id := range ids {
				i.Members = append(i.Members, kvserver.InspectedMember{ID: id, Name: n})
			}
			slices.SortFunc(i.Members, func(a, b kvserver.InspectedMember) int { return strings.Compare(a.Name, b.Name) })
		}
		if at := slices.Index(words, "damaged"); at >= 0 {
			i.Damaged, i.Problems = true, []string{strings.Join(words[at+1:], " ")}
		}
		if gone := of("removed", ""); gone != "" {
			i.Removed = []string{gone}
			i.Members = slices.DeleteFunc(i.Members, func(m kvserver.InspectedMember) bool { return m.ID == gone })
		}
		w.disks[words[2]] = plan.DiskSeen{Inspection: i, Led: slices.Contains(words, "led")}
	case "backup":
		age, err := time.ParseDuration(of("age", "1h"))
		if err != nil {
			t.Fatal(err)
		}
		w.backups = append(w.backups, plan.BackupSeen{Where: of("on", "here"), Backup: &kvserver.Backup{Name: words[2], Member: of("of", ""), ClusterID: of("cluster", "7"), MemberID: of("id", ids[of("of", "")]),
			At: now.Add(-age), Content: kvserver.SnapshotContent{Term: number("term"), Applied: number("index"), Revision: int64(number("revision"))}}})
	default:
		t.Fatalf("what is left? %q", words)
	}
	return true
}

// recovers is what an operator asks for: a recovery from what is named, or from what holds most.
func recovers(t *testing.T, w *world, content *kvserver.SnapshotContent, words []string) func(*spec.Cluster, *plan.Observed, plan.Options) (*plan.Plan, error) {
	return func(c *spec.Cluster, o *plan.Observed, opt plan.Options) (*plan.Plan, error) {
		s := plan.FindRecoverySources(c, o, w.disks, w.backups)
		from := s.Best()
		if len(words) > 0 {
			from = s.Of(words[0])
		}
		w.said = sourcesText(s, from)
		in := plan.RecoverInput{Mark: w.restored(), Sources: s, Identities: func(list, _ string) (string, map[string]string, error) {
			members := map[string]string{}
			for i, one := range strings.Split(list, ",") {
				name, _, _ := strings.Cut(one, "=")
				members[name] = kvserver.ID(uint64(0xb0 + i))
			}
			return fresh, members, nil
		}}
		switch {
		case plan.Serves(c, o) || plan.UnfinishedRestore(o) != nil:
			w.said = ""
		case from == nil:
			t.Fatalf("there is nothing to recover from:\n%s", w.said)
		case from.Refused != "":
			t.Fatalf("it is not offered:\n%s", w.said)
		case from.Member != "":
			in.Mark.Snapshot = kvserver.RestoreSource{Name: from.Name(), Disk: &kvserver.RestoreDisk{Member: from.Member, ClusterID: from.ClusterID, MemberID: from.MemberID, LastTerm: from.Term, LastIndex: from.Index}}
		default:
			in.Mark.Snapshot.Name, in.Content = from.Backup, content
		}
		return plan.BuildRecover(c, o, opt, in)
	}
}

// sourcesText is what an operator is shown before the plan.
func sourcesText(s *plan.RecoverySources, from *plan.RecoverySource) string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster %s had %d voters\n", s.ClusterID, s.Voters)
	for i := range s.All {
		r := &s.All[i]
		fmt.Fprintf(&b, "%s: term %d, index %d, revision %d", r.Name(), r.Term, r.Index, r.Revision)
		if r.Refused != "" {
			fmt.Fprintf(&b, "\n    not offered: %s", r.Refused)
		}
		if r.Lacks != "" {
			fmt.Fprintf(&b, "\n    lacks %s", r.Lacks)
		}
		for _, n := range r.Notes {
			fmt.Fprintf(&b, "\n    note: %s", n)
		}
		fmt.Fprintln(&b)
	}
	if from != nil {
		fmt.Fprintf(&b, "from %s. %s\n", from.Name(), s.Lost(from))
	}
	return b.String()
}
