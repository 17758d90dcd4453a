package plan_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/plan/spec"
)

// fresh is the id of the cluster that stories restore; old is that of the one before.
const fresh = "abc"

// restored is the mark of a story's restore.
func (w *world) restored() kvserver.RestoreMark {
	m := kvserver.RestoreMark{Format: kvserver.RestoreMarkFormat, Run: "run-1", At: now, By: "ana@desk", Stage: kvserver.RestoreStaging,
		Snapshot: kvserver.RestoreSource{Name: "snapshot.db", SHA256: strings.Repeat("5", 64), Size: 3 << 20}, Token: "fresh-token",
		InitialCluster: plan.InitialCluster(w.spec), ClusterID: fresh, Members: map[string]string{}, Dependents: w.ran}
	for i, s := range w.spec.Members {
		m.Members[s.Name] = kvserver.ID(uint64(0xb0 + i))
	}
	return m
}

// restoring lets one line of a story come true that is about a restore; false: it is about something else.
func restoring(t *testing.T, w *world, content *kvserver.SnapshotContent, words []string) bool {
	number := func(i int) int64 {
		n, err := strconv.ParseInt(words[i], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	switch words[0] {
	case "snapshot": // what the file has in it
		switch words[1] {
		case "alarm":
			content.Alarms = append(content.Alarms, kvserver.SnapshotAlarm{Member: "1", Alarm: words[2]})
		case "auth":
			content.AuthEnabled, content.Users = true, words[2:]
		case "size": // MiB
			content.Size, content.SizeInUse = number(2)<<20, number(2)<<20
		case "leases":
			content.Leases = int(number(2))
		case "learner":
			content.Members = append(content.Members, kvserver.InspectedMember{ID: "7", Name: words[2], Learner: true})
		case "of": // version of etcd
			content.ClusterVersion, content.StorageVersion = words[2], words[2]
		default:
			t.Fatalf("a snapshot with what? %q", words)
		}
	case "restoring": // member, stage, whose data is in the place (old, new, none), and what else is there
		h := w.obs.Hosts[words[1]]
		m := w.restored()
		l := plan.LayoutOf(w.spec, w.spec.Member(words[1]))
		m.Stage, m.DataDir, m.WALDir, m.Revision, m.CompactRevision, m.Bumped, m.Voters = kvserver.RestoreStage(words[2]), l.Data, l.WAL, 1000000050, 1000000050, true, 3
		m.Was = kvserver.RestoreWas{Token: h.Manifest.Token, ClusterID: h.Manifest.ClusterID, MemberID: h.Manifest.MemberID}
		has := func(what string) bool { return slices.Contains(words[4:], what) }
		r := &plan.Restoring{Mark: m, ClusterID: map[string]string{"old": "1", "new": fresh, "none": ""}[words[3]],
			Staged: has("staged"), Partly: has("staged") || has("partly"), Aside: has("aside"), Undone: has("undone")}
		if has("another-run") {
			r.Mark.Run = "run-2"
		}
		r.Mark.NoSpace = has("no-space")
		if has("written") {
			r.Revision = r.Mark.Revision + 5
		}
		h.Restore = r
	default:
		return false
	}
	return true
}

// restores is what an operator asks for: a restore, its resumption, or its undoing.
func restores(t *testing.T, w *world, content *kvserver.SnapshotContent, words []string) func(*spec.Cluster, *plan.Observed, plan.Options) (*plan.Plan, error) {
	if len(w.spec.Dependents) > 0 {
		w.dependent("") // all have been looked at
	}
	switch words[0] {
	case "resume":
		return plan.BuildResume
	case "undo":
		return plan.BuildUndo
	}
	in := plan.RestoreInput{Mark: w.restored(), Content: *content, Bump: !slices.Contains(words, "no-bump")}
	for i, word := range words {
		if word == "of-cluster" {
			in.Cluster = words[i+1]
		}
		if word == "known" {
			n, err := strconv.ParseInt(words[i+1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			in.Known = n
		}
	}
	return func(c *spec.Cluster, o *plan.Observed, opt plan.Options) (*plan.Plan, error) {
		return plan.BuildRestore(c, o, opt, in)
	}
}

// TestWrites: an undo says that what was written to the restored cluster goes aside, and is silent where nothing can have been.
func TestWrites(t *testing.T) {
	t.Parallel()
	for lines, want := range map[string]string{
		"restoring etcd1 staging old staged":                                  "",
		"restoring etcd1 staging new aside":                                   "",
		"restoring etcd1 starting new aside written":                          "etcd1 has taken writes: its revision is 1000000055, and the restored one was 1000000050",
		"restoring etcd1 starting new aside":                                  "the restored members may have served, and none of them could be asked whether they have taken writes",
		"restoring etcd1 starting old":                                        "",
		"restoring etcd1 staging old staged\nrestoring etcd2 starting old":    "",
		"restoring etcd1 returning old undone\nrestoring etcd2 undoing old\n": "",
	} {
		w := bare(cluster(t, 3))
		if err := w.settle(); err != nil {
			t.Fatal(err)
		}
		for _, m := range w.spec.Members { // every host is marked as long as nothing has ended
			restoring(t, w, nil, []string{"restoring", m.Name, "staging", "old"})
		}
		for line := range strings.Lines(lines) {
			restoring(t, w, nil, strings.Fields(line))
		}
		if got := plan.Writes(w.obs); got != want {
			t.Errorf("%s: %q, should be %q", lines, got, want)
		}
	}
}
