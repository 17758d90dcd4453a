package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/pki"
	"quorate/plan/spec"
)

// Observed is one look at the world. What could not be learnt is marked so
// and never read as "no".
type Observed struct {
	// CA is what the operator's side holds.
	CA CA
	// Hosts by member name; every member of the spec has an entry.
	Hosts map[string]*Host
	// Others are the machines that are no members and that something is installed on, by name, see [spec.Cluster.Consumers].
	Others map[string]*Host
	// Dependents are the machines of [spec.Cluster.DependentMachines], by name; looked at for a restore only.
	Dependents map[string]*Dependent
	// Cluster is what the members themselves say.
	Cluster Cluster
	// Recorded is what an earlier run noted down on the operator's side; nil: nothing.
	Recorded *Recorded
	// Left are the members that were expelled and whose hosts are still to be cleaned up, by id (hex), as far as their
	// hosts could be named.
	Left map[string]Stranger
	// Binaries on the operator's side by platform ("linux/amd64") and name ("kvserver", "etcd").
	Binaries map[string]map[string]Binary
	// BinaryProblems says for a platform why a binary is not there.
	BinaryProblems map[string]string
	// Clients are the client certificates on the operator's side, by client name.
	Clients map[string]ClientFiles
}

// CA is the certificate authority as it lies on the operator's side.
type CA struct {
	Exists    bool
	PEM       string // the certificate
	Cert      pki.Certificate
	Encrypted bool
	Unsealed  bool   // a plain key lies there, and the spec wants it encrypted
	Own       bool   // brought by the operator
	Problem   string // why it cannot be used, "" if it can
}

// Host is what one look at a host gave.
type Host struct {
	// Problem says why there is no look; when set nothing else is.
	Problem string

	node.Facts
	ClockOffset  time.Duration // the host's clock minus the operator's
	Files        map[string]node.FileState
	Certificates map[string]pki.Certificate // by path, those that parse
	Data, WAL    node.DirState
	Base         node.DirState // a local host's root
	Unit         node.UnitState
	BackupTimer  node.UnitState // looked at only where the host is to take backups by itself
	Ports        map[int]node.PortState
	Accounts     map[string]bool            // whether those of [Accounts] are there
	Space        map[string]int64           // free bytes by path
	Mounts       map[string]node.MountState // by path
	Exposed      []node.Exposure            // of what is on [Layout.Way], in its order, each once
	// Serves is the client address (host:port) at which its member answers, where that is not the spec's; "" otherwise.
	Serves string
	// Disk is what `kvserver inspect` read from the data of a member that does not
	// run; nil: it was not asked, or could not say.
	Disk *kvserver.Inspection
	// Mark is what the host noted when its member served; nil: it has not.
	Mark     *kvserver.Mark
	Manifest *Manifest // nil: none, or not readable
	// Replaced is the id of the cluster that the data there is of, where this cluster has replaced that one; nothing else is known of
	// its member then. "" for none.
	Replaced string
	// Restore is what was seen of a restore that is unfinished there; nil: none is.
	Restore *Restoring
	// Unsafe is how what is on the way to the folders of installed clients could be exchanged, in its order, each once.
	Unsafe []node.Exposure
	// Consumers are the addresses that are connected with the member's client port; nil: nobody looked, which is done only
	// while a member that serves is to leave. They move by themselves.
	Consumers []string
	Former    *Former  // nil: the manifest names no other folders for the data than the spec
	Kept      []string // where things are aside in folders that the data lay in before; looked for only if somebody wants to know
}

// Platform is "os/arch" in Go's words.
func (h *Host) Platform() string { return h.OS + "/" + h.Arch }

// Binary is a server binary on the operator's side, or one that can be fetched to it.
type Binary struct {
	Digest  string // "": Archive is yet to be fetched
	Size    int64
	Version string
	// Archive that it comes out of; zero where it lies there by itself.
	Archive Archive
	// Problem says why Archive cannot be fetched; "" if that can be tried, or need not.
	Problem string
}

// Archive is a file that a binary comes out of.
type Archive struct {
	URL    string `json:"url"`    // or a path
	SHA256 string `json:"sha256"` // hex
}

// ClientFiles is a client certificate on the operator's side.
type ClientFiles struct {
	Cert   *pki.Certificate // nil: none that parses
	Key    bool             // the key is there, fits the certificate and is 0600
	Bundle string           // fingerprint of the CA beside it
	// Endpoints is what its file of endpoints says; "" if there is none.
	Endpoints string
}

// Cluster is what the members say through their API: each one's own words, in
// nobody's order. Who is who, and what they agree on, is [TakeCensus]'s to find out.
type Cluster struct {
	// Answers by the spec's member names. A member without an entry was not asked.
	Answers map[string]Answer
	// Strangers are members that somebody lists and no host of the spec's
	// answers for, by id; they were asked through another member's host.
	Strangers map[uint64]Stranger
	// Storage is what one voter said of the keys for all; nil: nobody was asked, which only maintenance does, or nobody could be.
	Storage *Storage
}

// Storage is what members agree on of their databases. It moves by itself.
type Storage struct {
	// Alarms that stand, also those of members that are gone.
	Alarms []kvserver.Alarm
	// Compacted is the revision up to which the keys are compacted; 0: history goes back to the first one, or nobody could say.
	Compacted int64
}

// Stranger is a member that the spec does not have.
type Stranger struct {
	// Member is as which its host is reached, see [Outsider].
	Member *spec.Member
	Answer Answer
	// Host is what a look at its host gave; nil: nobody looked.
	Host *Host
}

// Answer is one member's own words, or how the asking failed.
type Answer struct {
	Asked Asked
	// Status is the member's own word, also without a quorum; nil: it gave none.
	Status *kvserver.Status
	// Members as it lists them by a linearizable read; nil: it could not.
	Members []kvserver.Member
	// Problem says for people why something is missing; "" when all was answered.
	Problem string
}

// Asked is how the asking went.
type Asked string

// The ways in which it can go. They are different things, and none of the
// first three says that the member is down.
const (
	NotAsked Asked = ""         // nobody could try: no certificate to ask with, no way to its host
	Refused  Asked = "refused"  // TLS: one side does not accept the other's certificate
	Answered Asked = "answered" // status and member list: it serves
	NoLeader Asked = "no-leader"
	TimedOut Asked = "timed-out" // connected, and no answer in time
	Dead     Asked = "dead"      // nobody listens, or its unit does not run
)

// health is what an answer says of the member that gave it.
func (a Answer) health() Health {
	switch a.Asked {
	case Answered:
		return Healthy
	case NotAsked, Refused:
		return HealthUnknown
	}
	return Down
}

// Facts lists what a plan depends upon, in the order of the keys. Clocks,
// processes, free space, revisions and the leader are left out: they move by
// themselves and change no step (the leader's place is decided again when a
// restart is executed). A host without a look is one fact.
func (o *Observed) Facts() []Fact {
	var out []Fact
	add := func(key, format string, args ...any) { out = append(out, Fact{key, fmt.Sprintf(format, args...)}) }
	add("ca", "%s unsealed=%t %s", or(o.CA.Cert.Fingerprint, "none"), o.CA.Unsealed, o.CA.Problem)
	if o.Recorded != nil {
		add("recorded", "cluster %s, %s, left %d", o.Recorded.ClusterID, o.Recorded.Names(), len(o.Recorded.Left))
		for _, i := range o.Recorded.Installed {
			add("installed "+i.Client+" on "+i.Host, "%s", i.Dir)
		}
	}
	for _, n := range sortedKeys(o.Clients) {
		c := o.Clients[n]
		fp := "none"
		if c.Cert != nil {
			fp = c.Cert.Fingerprint
		}
		add("client "+n, "%s key=%t ca=%s", fp, c.Key, c.Bundle)
		add("client "+n+" endpoints", "%s", or(c.Endpoints, "none"))
	}
	for _, p := range sortedKeys(o.Binaries) {
		for _, n := range sortedKeys(o.Binaries[p]) {
			bin := o.Binaries[p][n] // which binary it is an archive says too, fetched or not
			add("binary "+p+" "+n, "%s", or(bin.Archive.SHA256, bin.Digest))
		}
	}
	for _, n := range sortedKeys(o.Hosts) {
		o.Hosts[n].facts(n, add)
	}
	for _, n := range sortedKeys(o.Others) {
		o.Others[n].facts(n, add)
	}
	for _, n := range sortedKeys(o.Dependents) {
		o.Dependents[n].facts(n, add)
	}
	for _, n := range sortedKeys(o.Cluster.Answers) {
		o.Cluster.Answers[n].facts("member "+n, add)
	}
	for _, id := range sortedKeys(o.Cluster.Strangers) {
		o.Cluster.Strangers[id].facts(kvserver.ID(id), add)
	}
	for _, id := range sortedKeys(o.Left) {
		o.Left[id].facts(id, add)
	}
	slices.SortStableFunc(out, func(a, b Fact) int { return strings.Compare(a.Key, b.Key) })
	return out
}

func (s Stranger) facts(id string, add func(key, format string, args ...any)) {
	s.Answer.facts("member "+id, add)
	if s.Host != nil {
		s.Host.facts("of "+id, add)
	}
}

func listeners(p node.PortState) string {
	return or(strings.Join(texts(p.Listeners, func(l node.PortListener) string { return l.Address }), " "), "free")
}

// facts of an answer: who it is and whom it lists, not what moves by itself.
func (a Answer) facts(p string, add func(key, format string, args ...any)) {
	add(p+" asked", "%s", or(string(a.Asked), "no"))
	if st := a.Status; st != nil {
		alarms := slices.Sorted(slices.Values(st.Alarms))
		add(p+" is", "%x of cluster %x, etcd %s, learner=%t, alarms=%s", st.MemberID, st.ClusterID, st.Version, st.Learner, or(strings.Join(alarms, ","), "none"))
	}
	if a.Members != nil {
		add(p+" lists", "%s", listing(a.Members))
	}
}

// listing is a member list in one line, the same for the same list.
func listing(members []kvserver.Member) string {
	ids := texts(members, func(m kvserver.Member) string {
		return fmt.Sprintf("%x %s %s learner=%t", m.ID, m.Name, strings.Join(slices.Sorted(slices.Values(m.PeerURLs)), ","), m.Learner)
	})
	slices.Sort(ids)
	return strings.Join(ids, "; ")
}

func (h *Host) facts(name string, add func(key, format string, args ...any)) {
	p := "host " + name
	if h.Problem != "" {
		add(p, "not seen")
		return
	}
	accounts := slices.DeleteFunc(sortedKeys(h.Accounts), func(a string) bool { return !h.Accounts[a] })
	add(p, "%s %s manager=%s root=%t accounts=%s", h.Platform(), h.Hostname, h.Manager, h.Root, or(strings.Join(accounts, ","), "none"))
	for _, path := range sortedKeys(h.Files) {
		f := h.Files[path]
		if !f.Exists {
			add(p+" "+path, "absent")
			continue
		}
		what := short(f.Digest)
		if strings.Contains(path, "-key.pem") {
			what = "key" // its digest is nobody's business
		}
		add(p+" "+path, "%s %04o %s:%s %s", f.Type, f.Mode, f.Owner, f.Group, what)
	}
	add(p+" data", "exists=%t empty=%t member=%t", h.Data.Exists, h.Data.Empty, h.Data.Member)
	add(p+" wal", "exists=%t empty=%t member=%t", h.WAL.Exists, h.WAL.Empty, h.WAL.Member)
	for name, dir := range map[string]node.DirState{"data": h.Data, "wal": h.WAL, "root": h.Base} {
		if len(dir.Aside) > 0 {
			add(p+" "+name+" aside", "%s", strings.Join(dir.Aside, " "))
		}
	}
	if h.Former != nil {
		for _, m := range h.Former.Moves {
			add(p+" "+m.From.Path(), "to %s: here=%t there=%t copied=%t, one file system=%t", m.To.Path(), m.Here, m.There, m.Waits, h.sameMount(m.From.Dir, m.To.Dir))
		}
	}
	add(p+" unit", "loaded=%t enabled=%t active=%s looping=%t masked=%t exe=%s config=%s",
		h.Unit.Loaded, h.Unit.Enabled, h.Unit.Active, h.Unit.Looping(), h.Unit.Masked, short(h.Unit.ExeDigest), short(h.Unit.ConfigDigest))
	if h.BackupTimer.Loaded {
		add(p+" timer of backups", "enabled=%t active=%s", h.BackupTimer.Enabled, h.BackupTimer.Active)
	}
	for _, port := range sortedKeys(h.Ports) {
		if !h.Unit.Running() || h.Serves != "" {
			add(fmt.Sprintf("%s port %d", p, port), "%s", listeners(h.Ports[port]))
		}
	}
	if d := h.Disk; d != nil && d.Member {
		add(p+" disk", "member %s of cluster %s, bootstrap only=%t, removed %s", d.MemberID, d.ClusterID, d.BootstrapOnly, or(strings.Join(d.Removed, ","), "none"))
		if d.Log != nil {
			add(p+" disk lists", "%s, at index %d of term %d", or(strings.Join(texts(d.Members, func(m kvserver.InspectedMember) string {
				return fmt.Sprintf("%s %s %s learner=%t", m.ID, m.Name, strings.Join(m.PeerURLs, ","), m.Learner)
			}), "; "), "nobody"), d.Log.LastIndex, d.Log.Term)
		}
	}
	if h.Mark != nil {
		add(p+" mark", "member %s of cluster %s", h.Mark.MemberID, h.Mark.ClusterID)
	}
	if r := h.Restore; r != nil {
		add(p+" restore", "run %s %s, in place: cluster %s, staged=%t partly=%t aside=%t undone=%t", r.Mark.Run, r.Mark.Stage, or(r.ClusterID, "none"), r.Staged, r.Partly, r.Aside, r.Undone)
	}
	if h.Serves != "" {
		add(p+" serves", "%s", h.Serves)
	}
	if m := h.Manifest; m != nil {
		add(p+" manifest", "cluster=%s member=%s token=%s formed=%t user=%s", m.Cluster, m.Member, m.Token, m.Formed, or(m.User, "not noted"))
	} else {
		add(p+" manifest", "none")
	}
}
