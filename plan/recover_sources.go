package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"quorate/kvserver"
	"quorate/plan/spec"
)

// DiskSeen is what a recovery found of the data on a member's host.
type DiskSeen struct {
	Inspection *kvserver.Inspection // nil: nothing could be read
	Problem    string               // why; "" where something could
	// Lists are the members as the one that runs there knows them; nil: nobody could be asked. What it removed it lists no more.
	Lists []kvserver.Member
	// Led: the one that runs there knows a leader, at the end of the look.
	Led bool
}

// BackupSeen is a backup that looks whole.
type BackupSeen struct {
	Backup *kvserver.Backup
	Where  string // a host's name, or here
}

// LogEnd is where a raft log ends. Of two disks of one cluster the one that ends later has all that may have been
// acknowledged through the other.
type LogEnd struct {
	Term  uint64 `json:"term,omitempty"`
	Index uint64 `json:"index,omitempty"`
}

// Compare is raft's order: by term, then by index.
func (e LogEnd) Compare(o LogEnd) int {
	return cmp.Or(cmp.Compare(e.Term, o.Term), cmp.Compare(e.Index, o.Index))
}

// RecoverySource is a disk or a backup that a cluster can be recovered from, or one that it cannot, with the reason. It is
// also the JSON of `recover`: names there do not change their meaning.
type RecoverySource struct {
	// Member whose disk it is, or Backup and where it lies.
	Member string `json:"member,omitempty"`
	Backup string `json:"backup,omitempty"`
	Where  string `json:"where,omitempty"`
	// ClusterID and MemberID of the data; "" where that could not be read.
	ClusterID string `json:"cluster_id,omitempty"`
	MemberID  string `json:"member_id,omitempty"`
	// LogEnd is the end of what it holds: of a disk the last entry of its log, of a backup the last that was applied.
	LogEnd
	// Revision of its keys; of a disk it may be higher once its log is replayed. 0: not known.
	Revision int64      `json:"revision,omitempty"`
	At       *time.Time `json:"at,omitempty"` // when a backup was taken
	Running  bool       `json:"running,omitempty"`
	// Refused says why it is not offered; "" where it is.
	Refused string `json:"refused,omitempty"`
	// Notes are what else there is to know, a sentence each; Lacks is what is lost with it beside the best one.
	Notes []string `json:"notes,omitempty"`
	Lacks string   `json:"lacks,omitempty"`

	// rolledBack: it holds less than it did, so that what it acknowledged may not be on it any more.
	rolledBack bool
	// past is how many clusters ago it is from: 0 for the one that is recovered, 1 for the one that this one has replaced.
	past int
}

// compare is above 0 where s holds more than o.
func (s *RecoverySource) compare(o *RecoverySource) int {
	return cmp.Or(cmp.Compare(o.past, s.past), s.LogEnd.Compare(o.LogEnd))
}

// Name of it, for people.
func (s *RecoverySource) Name() string {
	if s.Member != "" {
		return "the disk of " + s.Member
	}
	return s.Backup
}

// RecoverySources are all sources, the best that is offered first, those that are not offered last.
type RecoverySources struct {
	// ClusterID of the cluster that is recovered; "" where nobody can say which that is: then nothing is offered.
	ClusterID string           `json:"cluster_id"`
	All       []RecoverySource `json:"sources"`
	// Voters it had, as the newest disk or the operator's side has noted them down; Gone are those whose disk is not offered or was
	// rolled back, by name.
	Voters int      `json:"voters"`
	Gone   []string `json:"gone,omitempty"`
	// Led are the members that know a leader.
	Led []string `json:"led,omitempty"`
	// Revision is the highest that anybody tells of.
	Revision int64 `json:"revision"`
}

// Best is the source to take, nil where there is none.
func (s *RecoverySources) Best() *RecoverySource {
	if len(s.All) == 0 || s.All[0].Refused != "" {
		return nil
	}
	return &s.All[0]
}

// Of is the disk of a member, or the backup of that name; nil: there is none.
func (s *RecoverySources) Of(name string) *RecoverySource {
	i := slices.IndexFunc(s.All, func(o RecoverySource) bool { return o.Member == name || o.Backup == name && name != "" })
	if i < 0 {
		return nil
	}
	return &s.All[i]
}

// Lost says what is not in the cluster any more once it was recovered from a source.
//
// What a client was told is done lies on a quorum of the voters. So where the disks that are offered are so many that every
// quorum has one of them, one of them has it; and the one with the highest (term, index) has it too (raft's leader
// completeness). Where they are fewer, those that are gone may have been a quorum among themselves.
func (s *RecoverySources) Lost(of *RecoverySource) string {
	best := s.Best()
	v := Voters{Total: s.Voters}
	switch {
	case of != best && of.Lacks != "":
		return fmt.Sprintf("Lost: %s.", of.Lacks)
	case of.Member == "" && len(s.Gone) > 0:
		return fmt.Sprintf("Lost: all that was written after %s.", day(*of.At))
	case v.Total > 0 && len(s.Gone) < v.Quorum():
		return "Nothing is lost that a client was told is done: every quorum had one of the disks that are left, and this one goes furthest."
	}
	return fmt.Sprintf("Lost: what only %s had, which may be writes that clients were told are done.", strings.Join(s.Gone, ", "))
}

// FindRecoverySources ranks disks and backups.
func FindRecoverySources(c *spec.Cluster, o *Observed, disks map[string]DiskSeen, backups []BackupSeen) *RecoverySources {
	s := &RecoverySources{ClusterID: recoveredCluster(o, disks)}
	for _, m := range c.Members {
		s.All = append(s.All, s.disk(m, o.Hosts[m.Name], disks[m.Name]))
		if st := o.Cluster.Answers[m.Name].Status; st != nil {
			s.All[len(s.All)-1].Revision = max(s.All[len(s.All)-1].Revision, st.Revision)
		}
		if disks[m.Name].Led {
			s.Led = append(s.Led, m.Name)
		}
	}
	s.removed(disks)
	s.rolledBack(backups)
	for _, b := range backups {
		s.All = append(s.All, s.backup(b, o.replacedBefore(s.ClusterID)))
	}
	for _, d := range s.All {
		s.Revision = max(s.Revision, d.Revision)
	}
	slices.SortStableFunc(s.All, func(a, b RecoverySource) int {
		rank := func(r *RecoverySource) int {
			if r.Refused != "" {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), b.compare(&a), cmp.Compare(a.Backup, b.Backup))
	})
	s.voters(c, o, disks)
	s.lacks()
	return s
}

// recoveredCluster is which cluster is meant: the one that the hosts have noted down; where those differ, or none has, the one of
// the operator's side; else the one whose data they hold; "" where that is of several. The hosts come first, as what was undone
// without a quorum is noted on them alone.
func recoveredCluster(o *Observed, disks map[string]DiskSeen) string {
	recorded := ""
	if o.Recorded != nil {
		recorded = o.Recorded.ClusterID
	}
	var noted, held []string
	for _, n := range sortedKeys(o.Hosts) {
		if m := o.Hosts[n].manifest(); m != nil && m.ClusterID != "" {
			noted = append(noted, m.ClusterID)
		}
		if d := disks[n].Inspection; d != nil && d.ClusterID != "" && !d.BootstrapOnly {
			held = append(held, d.ClusterID)
		}
	}
	for _, ids := range [][]string{noted, {recorded}, held} {
		slices.Sort(ids)
		if ids = slices.Compact(ids); len(ids) == 1 && ids[0] != "" {
			return ids[0]
		}
	}
	return ""
}

// disk judges one disk by itself.
func (s *RecoverySources) disk(m *spec.Member, h *Host, d DiskSeen) RecoverySource {
	out := RecoverySource{Member: m.Name}
	i := d.Inspection
	switch {
	case h.Problem != "":
		out.Refused = "its host could not be reached: " + h.Problem
		return out
	case i == nil && !h.hasData():
		out.Refused = "there is no data"
		return out
	case i == nil:
		out.Refused = or(d.Problem, "it could not be read")
		return out
	case !i.Member:
		out.Refused = or(strings.Join(i.Problems, "; "), "there is no data")
		return out
	}
	out.ClusterID, out.MemberID, out.Running = i.ClusterID, i.MemberID, i.Running
	if i.Log != nil {
		out.LogEnd = LogEnd{i.Log.LastTerm, i.Log.LastIndex}
	}
	if i.DB != nil {
		out.Revision = i.DB.Revision
	}
	switch {
	case i.ClusterID != s.ClusterID:
		out.Refused = "it is of another cluster, " + or(i.ClusterID, "nobody knows which")
		if s.ClusterID == "" {
			out.Refused = "nobody can say which cluster is meant: the hosts hold the data of several"
		}
	case i.Damaged || i.Log == nil:
		out.Refused = "it is damaged: " + or(strings.Join(i.Problems, "; "), "its log cannot be read")
	case i.BootstrapOnly || out.Index == 0:
		out.Refused = "it never had a leader: there is nothing on it"
	default:
		out.Notes = slices.Clone(i.Problems)
	}
	return out
}

// removed refuses disks of members that another disk, or a member that runs, knows as removed: what came after that is not on them.
func (s *RecoverySources) removed(disks map[string]DiskSeen) {
	for i := range s.All {
		d := &s.All[i]
		for _, other := range s.All {
			seen := disks[other.Member]
			if d.Refused != "" || other.Member == d.Member || other.ClusterID != d.ClusterID {
				continue
			}
			unlisted := seen.Lists != nil && other.Compare(d.LogEnd) > 0 &&
				!slices.ContainsFunc(seen.Lists, func(m kvserver.Member) bool { return kvserver.ID(m.ID) == d.MemberID })
			if unlisted || seen.Inspection != nil && slices.Contains(seen.Inspection.Removed, d.MemberID) {
				d.Refused = fmt.Sprintf("the member %s was removed from the cluster, as %s knows", d.MemberID, other.Member)
			}
		}
	}
}

// rolledBack notes disks that hold less than they did: a backup that was taken of the same member has more.
func (s *RecoverySources) rolledBack(backups []BackupSeen) {
	for i := range s.All {
		d := &s.All[i]
		for _, b := range backups {
			had := b.Backup.Content.Applied
			if d.Refused == "" && b.Backup.ClusterID == d.ClusterID && b.Backup.MemberID == d.MemberID && d.Index < had {
				d.rolledBack = true
				d.Notes = append(d.Notes, fmt.Sprintf("it was rolled back: it ends at index %d, and had %d when %s was taken of it on %s", d.Index, had, b.Backup.Name, day(b.Backup.At)))
				break
			}
		}
	}
}

// replacedBefore are the clusters that this one has replaced, the newest first, as the hosts have noted them down.
func (o *Observed) replacedBefore(cluster string) (out []string) {
	for _, n := range sortedKeys(o.Hosts) {
		if m := o.Hosts[n].manifest(); m != nil && m.ClusterID == cluster && len(m.Replaced) > len(out) {
			out = slices.Clone(m.Replaced)
			slices.Reverse(out)
		}
	}
	return out
}

func (s *RecoverySources) backup(b BackupSeen, before []string) RecoverySource {
	m := b.Backup
	out := RecoverySource{Backup: m.Name, Where: b.Where, ClusterID: m.ClusterID, MemberID: m.MemberID, LogEnd: LogEnd{m.Content.Term, m.Content.Applied},
		Revision: m.Content.Revision, At: &m.At}
	switch i := slices.Index(before, m.ClusterID); {
	case m.ClusterID == s.ClusterID:
	case i >= 0:
		out.past = i + 1
		out.Notes = []string{"it is of cluster " + m.ClusterID + ", which this one has replaced"}
	default:
		out.Refused = "it is of another cluster, " + m.ClusterID + "; `quorate restore` takes it"
	}
	return out
}

// voters finds out how many there were, and which of them are gone.
func (s *RecoverySources) voters(c *spec.Cluster, o *Observed, disks map[string]DiskSeen) {
	offered := func(id string) bool {
		return slices.ContainsFunc(s.All, func(d RecoverySource) bool {
			return d.Member != "" && d.Refused == "" && !d.rolledBack && d.MemberID == id
		})
	}
	var had []RecordedMember
	for _, d := range s.All {
		seen := disks[d.Member]
		if d.Refused != "" || d.Member == "" || had != nil {
			continue
		}
		for _, m := range seen.Lists {
			if !m.Learner {
				had = append(had, RecordedMember{ID: kvserver.ID(m.ID), Name: m.Name})
			}
		}
		for _, m := range seen.Inspection.Members {
			if !m.Learner && seen.Lists == nil {
				had = append(had, RecordedMember{ID: m.ID, Name: m.Name})
			}
		}
	}
	if had == nil && o.Recorded != nil {
		had = o.Recorded.Members
	}
	if s.Voters = len(had); had == nil {
		s.Voters = len(c.Members)
		for _, m := range c.Members {
			if d := s.Of(m.Name); d == nil || d.Refused != "" || d.rolledBack {
				s.Gone = append(s.Gone, m.Name)
			}
		}
	}
	for _, m := range had {
		if !offered(m.ID) {
			s.Gone = append(s.Gone, or(m.Name, m.ID))
		}
	}
}

// lacks says of each source what the best one has more.
func (s *RecoverySources) lacks() {
	best := s.Best()
	if best == nil {
		return
	}
	for i := range s.All {
		d := &s.All[i]
		switch {
		case d.Refused != "" || d.compare(best) == 0:
		case d.At != nil && (best.At == nil || d.past != best.past):
			d.Lacks = "all that was written after " + day(*d.At)
		case d.Term == best.Term:
			d.Lacks = "the last log entry that " + best.Name() + " has"
			if n := best.Index - d.Index; n > 1 {
				d.Lacks = fmt.Sprintf("the last %d log entries that %s has", n, best.Name())
			}
		default:
			d.Lacks = fmt.Sprintf("what %s has logged since term %d", best.Name(), d.Term)
		}
	}
}
