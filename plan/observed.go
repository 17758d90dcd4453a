package plan

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"quorate/kvserver"
	"quorate/pki"
)

// Observed is one look at the world. What could not be learnt is marked so
// and never read as "no".
type Observed struct {
	// CA is what the operator's side holds.
	CA CA
	// Hosts by member name; every member of the spec has an entry.
	Hosts map[string]*Host
	// Cluster is what the members themselves say.
	Cluster Cluster
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
	Own       bool   // brought by the operator
	Problem   string // why it cannot be used, "" if it can
}

// Host is what one look at a host gave.
type Host struct {
	// Problem says why there is no look; when set nothing else is.
	Problem string

	OS, Arch, Hostname string
	Manager            string // "systemd", "supervise" or ""
	Root               bool
	Missing            []string      // tools the host lacks
	ClockOffset        time.Duration // the host's clock minus the operator's
	ClockError         time.Duration // how far off that reading may be
	Files              map[string]File
	Certificates       map[string]pki.Certificate // by path, those that parse
	Data, WAL          Dir
	Unit               Unit
	Ports              map[int]Port
	Account            bool
	Space              map[string]int64 // free bytes by path
	Manifest           *Manifest        // nil: none, or not readable
}

// Platform is "os/arch" in Go's words.
func (h *Host) Platform() string { return h.OS + "/" + h.Arch }

// File is what lies at a path of a host.
type File struct {
	Exists  bool
	Type    string // "file", "dir", "link", "other"
	Mode    uint32
	Owner   string
	Group   string
	Digest  string
	Content string // of the managed text files
}

// Dir is what a data directory holds.
type Dir struct{ Exists, Empty, Member bool }

// Unit is what the service manager and the process say.
type Unit struct {
	Loaded, Enabled bool
	NeedReload      bool   // the unit file changed since the manager read it
	Active          string // systemd's words
	PID             int
	ExeDigest       string
	ConfigDigest    string
}

// Running reports whether there is a process, serving or about to.
func (u Unit) Running() bool {
	return u.Active == "active" || u.Active == "activating" || u.Active == "reloading"
}

// Port says who listens.
type Port struct {
	Known, Listening bool
	PID              int
	Process          string
}

// Binary is a server binary on the operator's side.
type Binary struct {
	Digest  string
	Size    int64
	Version string
}

// ClientFiles is a client certificate on the operator's side.
type ClientFiles struct {
	Cert   *pki.Certificate // nil: none that parses
	Key    bool             // the key is there, fits the certificate and is 0600
	Bundle string           // fingerprint of the CA beside it
}

// Cluster is what the members say through their API.
type Cluster struct {
	// Members as a quorum lists them; nil when no quorum answered.
	Members []kvserver.Member
	// Status and Health by the spec's member name. A member that was asked and
	// did not answer has a Problem; one that was not asked has no entry.
	Status   map[string]kvserver.Status
	Healthy  map[string]bool // answered a linearizable read
	Problems map[string]string
}

// Leader is the id that members agree on, 0 if none is known.
func (c Cluster) Leader() uint64 {
	for _, n := range sortedKeys(c.Status) {
		if l := c.Status[n].Leader; l != 0 {
			return l
		}
	}
	return 0
}

// facts lists what a plan depends upon, in the order of the keys. Clocks,
// processes, free space, revisions and the leader are left out: they move by
// themselves and change no step (the leader's place is decided again when a
// restart is executed). A host without a look is one fact.
func (o *Observed) facts() []Fact {
	var out []Fact
	add := func(key, format string, args ...any) { out = append(out, Fact{key, fmt.Sprintf(format, args...)}) }
	add("ca", "%s %s", or(o.CA.Cert.Fingerprint, "none"), o.CA.Problem)
	for _, n := range sortedKeys(o.Clients) {
		c := o.Clients[n]
		fp := "none"
		if c.Cert != nil {
			fp = c.Cert.Fingerprint
		}
		add("client "+n, "%s key=%t ca=%s", fp, c.Key, c.Bundle)
	}
	for _, p := range sortedKeys(o.Binaries) {
		for _, n := range sortedKeys(o.Binaries[p]) {
			add("binary "+p+" "+n, "%s", o.Binaries[p][n].Digest)
		}
	}
	for _, n := range sortedKeys(o.Hosts) {
		o.Hosts[n].facts(n, add)
	}
	var ids []string
	for _, m := range o.Cluster.Members {
		ids = append(ids, fmt.Sprintf("%x %s %s learner=%t", m.ID, m.Name, strings.Join(m.PeerURLs, ","), m.Learner))
	}
	sort.Strings(ids)
	add("members", "%s", or(strings.Join(ids, "; "), "unknown"))
	for _, n := range sortedKeys(o.Hosts) {
		add("health "+n, "%t", o.Cluster.Healthy[n])
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}

func (h *Host) facts(name string, add func(key, format string, args ...any)) {
	p := "host " + name
	if h.Problem != "" {
		add(p, "not seen")
		return
	}
	add(p, "%s %s manager=%s root=%t account=%t", h.Platform(), h.Hostname, h.Manager, h.Root, h.Account)
	for _, path := range sortedKeys(h.Files) {
		f := h.Files[path]
		if !f.Exists {
			add(p+" "+path, "absent")
			continue
		}
		add(p+" "+path, "%s %04o %s:%s %s", f.Type, f.Mode, f.Owner, f.Group, short(f.Digest))
	}
	add(p+" data", "exists=%t empty=%t member=%t", h.Data.Exists, h.Data.Empty, h.Data.Member)
	add(p+" wal", "exists=%t empty=%t member=%t", h.WAL.Exists, h.WAL.Empty, h.WAL.Member)
	add(p+" unit", "loaded=%t enabled=%t active=%s exe=%s config=%s",
		h.Unit.Loaded, h.Unit.Enabled, h.Unit.Active, short(h.Unit.ExeDigest), short(h.Unit.ConfigDigest))
	for _, port := range sortedKeys(h.Ports) {
		if !h.Unit.Running() {
			add(fmt.Sprintf("%s port %d", p, port), "listening=%t", h.Ports[port].Listening)
		}
	}
	if m := h.Manifest; m != nil {
		add(p+" manifest", "cluster=%s member=%s token=%s formed=%t", m.Cluster, m.Member, m.Token, m.Formed)
	} else {
		add(p+" manifest", "none")
	}
}
