package provision_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"

	"quorate/kvserver"
	"quorate/provision/host/hosttest"
)

// etcd is a model of one cluster: who is listed, what each disk says, who runs, who leads. What runs is known
// by the name of its machine, who is listed by id. A process is what its files on the machine make it:
// configuration, bootstrap file, mark, and the WAL, which says which member the disk is.
type etcd struct {
	mu      sync.Mutex
	peers   map[string]*peer  // by machine
	members []kvserver.Member // as a quorum lists them, in the order of ids; nil until somebody was started
	cluster uint64            // id; another one for each bootstrap that came to nothing
	founded string            // initial-cluster and token of the bootstrap
	formed  bool              // there has been a leader
	started map[uint64]bool   // ids that have run
	removed map[uint64]bool   // ids that are nobody's any more
	lastID  uint64
	leader  string // machine
	index   uint64 // raft's, of the newest entry
	// revision of the newest write.
	revision int64
	version  string
	// interval is in kvserver.HealthInterval's place.
	interval time.Duration

	moves      []string // of the leadership, "etcd1>etcd2"
	changes    []string // of the members, in order: "add https://…", "promote 4", "remove 2", "update 2 https://…"
	watching   bool
	least      int  // fewest healthy voters seen since watching
	broke      bool // there was a moment without a quorum since watching
	violations map[string]bool
	// asked is told of each request for a change of the members, and for handing over ("hand over"), with who is asked, before
	// it is answered; its error is the answer.
	asked func(via, what string) error
	store
	restores
	// hashing is told of each question for a hash, before it is answered.
	hashing func(member string, revision int64)
}

func newEtcd() *etcd {
	return &etcd{peers: map[string]*peer{}, started: map[uint64]bool{}, removed: map[uint64]bool{}, violations: map[string]bool{},
		cluster: 7, index: 5, revision: 1, version: "3.7.3", store: store{quota: 8 << 30}}
}

// peer is a machine's process, while it is up, and what is so whether it is up or not.
type peer struct {
	machine *hosttest.Machine
	joined  bool           // has been started: an empty disk would be a loss
	hash    kvserver.Hash  // of its keys; the revision is the one that is asked for
	memory  *kvserver.Hash // of the moment at which it compacted at that revision, if it remembers
	lag     int64          // its newest revision is so much smaller
	// behind is by how many entries its log is short of the newest; each answer to a question for its status makes it
	// pace less. So a learner with a pace of 0 never catches up.
	behind, pace uint64
	alarms       []string // that it raises
	database

	hangs atomic.Bool // its process is there, and answers nothing

	up    bool
	since time.Time // up
	// What it was started with.
	id       uint64
	unit     string
	settings settings
	argv     []string
}

// settings are what a member reads in its configuration, and in its bootstrap file if it has no data.
type settings struct {
	Name       string `json:"name"`
	DataDir    string `json:"data-dir"`
	WALDir     string `json:"wal-dir"`
	PeerURLs   string `json:"initial-advertise-peer-urls"`
	ClientURLs string `json:"advertise-client-urls"`
	Initial    string `json:"initial-cluster"`
	State      string `json:"initial-cluster-state"`
	Token      string `json:"initial-cluster-token"`
	Client     files  `json:"client-transport-security"`
	Peer       files  `json:"peer-transport-security"`
}

type files struct {
	Cert string `json:"cert-file"`
	Key  string `json:"key-file"`
	CA   string `json:"trusted-ca-file"`
}

// wal is the file by which a disk says which member it is.
func wal(data, dir string) string {
	if dir != "" {
		return path.Join(dir, "0.wal")
	}
	return path.Join(data, "member/wal/0.wal")
}

// disk is its content.
type disk struct {
	Cluster uint64 `json:"cluster"`
	Member  uint64 `json:"member"`
	Index   uint64 `json:"index"`  // of its last entry; a bootstrap's are as many as there are members
	Served  bool   `json:"served"` // a leader has sent it something
	// Revision of its database, where it was made by a restore and nobody has started on it.
	Revision int64 `json:"revision,omitempty"`
}

// keep writes to the disk of a member that runs what it has by now; a disk that has gone meanwhile stays so.
func (p *peer) keep(d disk) {
	file := wal(p.settings.DataDir, p.settings.WALDir)
	text, _ := json.Marshal(d)
	if old, err := p.machine.ReadFile(file); err == nil && string(old) != string(text) {
		p.machine.WriteFile(file, text, 0o600)
	}
}

// initial parses an initial-cluster: peer URLs by name.
func initial(text string) map[string][]string {
	out := map[string][]string{}
	for _, one := range strings.Split(text, ",") {
		name, url, _ := strings.Cut(one, "=")
		out[name] = append(out[name], url)
		slices.Sort(out[name])
	}
	return out
}

// option is the value of an option of a command; "" if it has none.
func option(argv []string, name string) string {
	if i := slices.Index(argv, name); i >= 0 && i+1 < len(argv) {
		return argv[i+1]
	}
	return ""
}

func readYAML(m *hosttest.Machine, path string, into any) error {
	text, err := m.ReadFile(path)
	if err != nil {
		return err
	}
	return yaml.Unmarshal(text, into)
}

// start is the program of a machine's units.
func (e *etcd) start(p *hosttest.Process) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := p.Machine
	n := e.peers[m.Name()]
	config, err := m.ReadFile(option(p.Argv, "--config-file"))
	if err != nil {
		return err
	}
	unit, err := m.ReadFile(p.Unit)
	if err != nil {
		if unit, err = m.ReadFile(option(p.Argv, "--unit-file")); err != nil {
			return err
		}
	}
	var s settings
	if err := yaml.Unmarshal(config, &s); err != nil {
		return err
	}
	for _, f := range []string{s.Client.CA, s.Client.Key, s.Client.Cert, s.Peer.Key, s.Peer.Cert} {
		if _, err := m.ReadFile(f); err != nil {
			return fmt.Errorf("open %s: no such file", f)
		}
	}
	if err := e.mayServe(m, s, p.Argv); err != nil {
		return err
	}
	if err := e.identify(n, s, p.Argv); err != nil {
		return err
	}
	p.ConfigDigest = kvserver.ConfigDigest(config, unit)
	if exe := option(p.Argv, "--etcd"); exe != "" { // kvserver becomes etcd's own server
		p.Exe = exe
		text, err := m.ReadFile(exe)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		p.ExeDigest = hex.EncodeToString(sum[:])
	}
	p.Ready = func() bool { e.mu.Lock(); defer e.mu.Unlock(); return e.quorum() }
	p.OnStop = func() { e.stop(m.Name()) }
	n.up, n.joined, n.since, n.settings, n.argv, n.unit = true, true, time.Now(), s, p.Argv, p.Unit
	e.started[n.id] = true
	e.settle(m.Name())
	return nil
}

// identify finds out which member a process is: by its disk, or by its bootstrap file, which an empty disk then keeps.
func (e *etcd) identify(n *peer, s settings, argv []string) error {
	m, file := n.machine, wal(s.DataDir, s.WALDir)
	var d disk
	if text, err := m.ReadFile(file); err == nil {
		if err := json.Unmarshal(text, &d); err != nil {
			return fmt.Errorf("wal: crc mismatch: %w", err)
		}
		e.become(d.Cluster)
		switch {
		case e.removed[d.Member] && d.Cluster == e.cluster:
			e.violations[fmt.Sprintf("%s was started as member %x, which was removed", m.Name(), d.Member)] = true
			return fmt.Errorf("the member has been permanently removed from the cluster")
		case d.Cluster != e.cluster || e.listed(d.Member) == nil:
			return fmt.Errorf("request sent was ignored (cluster ID mismatch: peer[%x]=%x, local=%x)", d.Member, e.cluster, d.Cluster)
		}
		n.id = d.Member
		return nil
	}
	if err := readYAML(m, option(argv, "--bootstrap-file"), &s); err != nil {
		return fmt.Errorf("no bootstrap file and no data")
	}
	var mark kvserver.Mark
	if text, err := m.ReadFile(option(argv, "--mark")); err == nil {
		if mark, err = kvserver.ParseMark(text); err != nil {
			return err
		}
	}
	var err error
	if s.State == "existing" {
		d.Member, err = e.join(n, s, mark)
	} else {
		d.Member, err = e.found(n, s, mark)
		d.Index = uint64(len(e.members))
	}
	if err != nil {
		return err
	}
	d.Cluster, n.id = e.cluster, d.Member
	text, _ := json.Marshal(d)
	m.WriteFile(file, text, 0o600)
	m.WriteFile(path.Join(s.DataDir, "member/snap/db"), []byte("db"), 0o600)
	return nil
}

// found is a first start as one of a new cluster. One that was never formed gives way to another.
func (e *etcd) found(n *peer, s settings, mark kvserver.Mark) (uint64, error) {
	if n.joined {
		e.violations[n.machine.Name()+" was started as new although it had been a member before"] = true
	}
	if mark.MemberID != "" {
		return 0, fmt.Errorf("this host has served as member %s of cluster %s, and its data is gone", mark.MemberID, mark.ClusterID)
	}
	if by := s.Initial + " " + s.Token; by != e.founded {
		if e.formed {
			e.violations[n.machine.Name()+" was started as a cluster of its own"] = true
			return 0, fmt.Errorf("member %s has already been bootstrapped", s.Name)
		}
		if e.founded != "" {
			e.cluster++
		}
		e.founded, e.members = by, nil
		urls := initial(s.Initial)
		for _, name := range slices.Sorted(maps.Keys(urls)) {
			e.lastID++
			e.members = append(e.members, kvserver.Member{ID: e.lastID, Name: name, PeerURLs: urls[name]})
		}
	}
	for _, m := range e.members {
		if m.Name == s.Name {
			return m.ID, nil
		}
	}
	return 0, fmt.Errorf("couldn't find local name %q in the initial cluster configuration", s.Name)
}

// join is a first start as one that the members have added: etcd's ValidateClusterAndAssignIDs.
func (e *etcd) join(n *peer, s settings, mark kvserver.Mark) (uint64, error) {
	urls := initial(s.Initial)
	answers := false
	for _, p := range e.peers {
		if m := e.listed(p.id); p.up && m != nil {
			for name, all := range urls {
				answers = answers || name != s.Name && slices.ContainsFunc(all, func(u string) bool { return slices.Contains(m.PeerURLs, u) })
			}
		}
	}
	if !answers {
		return 0, fmt.Errorf("cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs")
	}
	if len(urls) != len(e.members) {
		return 0, fmt.Errorf("error validating peerURLs: member count is unequal")
	}
	var own *kvserver.Member
	for i, m := range e.members {
		found := false
		for name, all := range urls {
			if slices.Equal(m.PeerURLs, all) {
				if found = true; name == s.Name {
					own = &e.members[i]
				}
			}
		}
		if !found {
			return 0, fmt.Errorf("error validating peerURLs: PeerURLs: no match found for existing member (%x, %v)", m.ID, m.PeerURLs)
		}
	}
	if own == nil {
		return 0, fmt.Errorf("couldn't find local name %q in the initial cluster configuration", s.Name)
	}
	if mark.MemberID == kvserver.ID(own.ID) {
		return 0, fmt.Errorf("the cluster still lists the member that has served on this host, %s, and its data is gone", mark.MemberID)
	}
	if e.started[own.ID] {
		e.violations[fmt.Sprintf("%s was started as member %x with an empty disk although that had run before", n.machine.Name(), own.ID)] = true
	}
	return own.ID, nil
}

// settle has everything follow from who is up and who is listed: who leads, who is ready. prefer leads if nobody does.
func (e *etcd) settle(prefer string) {
	if e.watching {
		e.least = min(e.least, e.healthy())
		e.broke = e.broke || !e.quorum()
	}
	if !e.quorum() {
		e.leader = ""
		return
	}
	e.formed = true
	if !e.votes(e.leader) {
		e.leader = ""
		for _, name := range append([]string{prefer}, slices.Sorted(maps.Keys(e.peers))...) {
			if e.leader == "" && e.votes(name) {
				e.leader = name
			}
		}
	}
	for _, p := range e.peers {
		if m := e.listed(p.id); p.up && m != nil {
			p.ready(m, e.cluster, e.index)
		}
	}
}

// ready is what a member does once there is a leader, and its unit with it: it tells its name and where it
// serves, the mark is made, and the bootstrap file taken away.
func (p *peer) ready(m *kvserver.Member, cluster, index uint64) {
	m.Name, m.ClientURLs = p.settings.Name, []string{p.settings.ClientURLs}
	mark, _ := json.Marshal(kvserver.Mark{Format: kvserver.MarkFormat, ClusterID: kvserver.ID(cluster), MemberID: kvserver.ID(p.id), At: now})
	if file := option(p.argv, "--mark"); file != "" {
		p.machine.WriteFile(file, mark, 0o644)
	}
	p.machine.RemoveAll(option(p.argv, "--bootstrap-file"))
	p.keep(disk{Cluster: cluster, Member: p.id, Index: index - p.behind, Served: true})
}

func (e *etcd) stop(machine string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.peers[machine].up = false
	e.settle("")
}

// listed is the member of that id, nil if there is none.
func (e *etcd) listed(id uint64) *kvserver.Member {
	for i := range e.members {
		if e.members[i].ID == id {
			return &e.members[i]
		}
	}
	return nil
}

// running is the process of that member, nil if it has none.
func (e *etcd) running(id uint64) *peer {
	for _, p := range e.peers {
		if p.up && p.id == id {
			return p
		}
	}
	return nil
}

// votes reports whether a machine's process is a voter.
func (e *etcd) votes(machine string) bool {
	p := e.peers[machine]
	if p == nil || !p.up {
		return false
	}
	m := e.listed(p.id)
	return m != nil && !m.Learner
}

func (e *etcd) voters() (out []kvserver.Member) {
	for _, m := range e.members {
		if !m.Learner {
			out = append(out, m)
		}
	}
	return out
}

// healthy counts the voters that are up.
func (e *etcd) healthy() (n int) {
	for name := range e.peers {
		if e.votes(name) {
			n++
		}
	}
	return n
}

func (e *etcd) quorum() bool { return e.healthy() > len(e.voters())/2 }

// dial gives a connection on which a member says on which machine it is, and nothing else. A machine that has the file
// /firewall reaches nobody at the addresses in it, one in each line.
func (e *etcd) dial(from, address string) (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if closed, err := e.peers[from].machine.ReadFile("/firewall"); err == nil && slices.Contains(strings.Fields(string(closed)), address) {
		return nil, syscall.EHOSTUNREACH
	}
	for machine, p := range e.peers {
		url := "https://" + address
		if p.up && (p.settings.ClientURLs == url || p.settings.PeerURLs == url) {
			a, b := net.Pipe()
			go func() {
				_, _ = b.Write([]byte(machine)) // who closes its end at once does not want to know
				_ = b.Close()
			}()
			return a, nil
		}
	}
	return nil, syscall.ECONNREFUSED
}
