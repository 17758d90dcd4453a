package provision_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"quorate/kvserver"
	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// restores are the clusters that the model's members are not of at the moment, by id: those that were left, and
// those that a restore has made data of.
type restores map[uint64]*otherCluster

// otherCluster is what is so of one.
type otherCluster struct {
	members            []kvserver.Member
	started, removed   map[uint64]bool
	revision, compacts int64
	index              uint64
	formed             bool
	founded            string
	inherited          []kvserver.Alarm
}

// identities are the ids that a restore of the model gives: of the token, and of each name with it.
func identities(initialCluster, token string) (cluster uint64, members map[string]uint64) {
	id := func(text string) uint64 { return 1<<40 + uint64(crc32.ChecksumIEEE([]byte(text))) }
	members = map[string]uint64{}
	for name := range initial(initialCluster) {
		members[name] = id(token + " " + name)
	}
	return id(token), members
}

// restore is kvserver restore --hold: new data in folders that are not there.
func (e *etcd) restore(m *hosttest.Machine, c host.Command) (host.Result, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	fail := func(format string, a ...any) (host.Result, error) {
		return host.Result{}, hosttest.Exit(1, fmt.Sprintf(format, a...))
	}
	data, walDir := option(c.Argv, "--data-dir"), option(c.Argv, "--wal-dir")
	text, err := m.ReadFile(option(c.Argv, "--snapshot"))
	if err != nil {
		return fail("%v", err)
	}
	if host.Digest(text) != option(c.Argv, "--sha256") {
		return fail("it is another file or damaged")
	}
	if len(m.Paths(data)) > 0 || walDir != "" && len(m.Paths(path.Dir(walDir))) > 0 {
		return fail("%s is there already", data)
	}
	revision, err := strconv.ParseInt(option(c.Argv, "--target-revision"), 10, 64)
	if err != nil {
		return fail("%v", err)
	}
	list, name := option(c.Argv, "--initial-cluster"), option(c.Argv, "--name")
	cluster, ids := identities(list, option(c.Argv, "--token"))
	made := &otherCluster{started: map[uint64]bool{}, removed: map[uint64]bool{}, revision: revision, compacts: revision, index: uint64(len(ids)), formed: true}
	if strings.Contains(string(text), kvserver.AlarmNoSpace) {
		made.inherited = []kvserver.Alarm{{Member: 1, Kind: kvserver.AlarmNoSpace}}
	}
	restored := kvserver.Restored{DataDir: data, WALDir: walDir, ClusterID: kvserver.ID(cluster), MemberID: kvserver.ID(ids[name]), Members: map[string]string{},
		Revision: revision, CompactRevision: revision}
	for _, n := range slices.Sorted(maps.Keys(ids)) {
		made.members = append(made.members, kvserver.Member{ID: ids[n], Name: n, PeerURLs: initial(list)[n]})
		restored.Members[n] = kvserver.ID(ids[n])
	}
	if e.restores[cluster] == nil && e.cluster != cluster {
		e.restores[cluster] = made
	}
	log, _ := json.Marshal(disk{Cluster: cluster, Member: ids[name], Index: made.index, Served: true, Revision: revision})
	m.WriteFile(wal(data, walDir), log, 0o600)
	m.WriteFile(path.Join(data, "member/snap/db"), []byte("db of "+kvserver.ID(cluster)), 0o600)
	line, _ := json.Marshal(kvserver.RestoreReport{Restored: &restored})
	if c.Line != nil {
		c.Line(string(line))
	}
	return host.Result{}, nil
}

// become has the model be of another cluster, where nobody is up who is of this one. Two at a time is what a restore must never lead to.
func (e *etcd) become(cluster uint64) {
	other := e.restores[cluster]
	if cluster == e.cluster || other == nil {
		return
	}
	for name, p := range e.peers {
		if p.up {
			e.violations[fmt.Sprintf("a member of cluster %x is started while %s runs as one of %x", cluster, name, e.cluster)] = true
			return
		}
	}
	e.restores[e.cluster] = &otherCluster{members: e.members, started: e.started, removed: e.removed, revision: e.revision, compacts: e.compacted, index: e.index, formed: e.formed, founded: e.founded, inherited: e.inherited}
	delete(e.restores, cluster)
	e.cluster, e.members, e.started, e.removed, e.revision, e.compacted, e.index, e.formed, e.founded, e.inherited =
		cluster, other.members, other.started, other.removed, other.revision, other.compacts, other.index, other.formed, other.founded, other.inherited
	for _, p := range e.peers {
		p.hash.CompactRevision = other.compacts
	}
}

// mayServe is kvserver's own look at the mark of a restore.
func (e *etcd) mayServe(m *hosttest.Machine, s settings, argv []string) error {
	text, err := m.ReadFile(path.Join(path.Dir(option(argv, "--mark")), kvserver.RestoreFile))
	if err != nil {
		return nil
	}
	mark, err := kvserver.ParseRestoreMark(text)
	if err != nil {
		return err
	}
	var d disk
	if text, err := m.ReadFile(wal(s.DataDir, s.WALDir)); err == nil {
		if err := json.Unmarshal(text, &d); err != nil {
			return err
		}
	}
	fresh := kvserver.ID(d.Cluster) == mark.ClusterID
	if mark.Stage == kvserver.RestoreStarting && fresh || mark.Stage == kvserver.RestoreReturning && !fresh {
		return nil
	}
	return errors.New("its cluster is being restored")
}

// replays is kvserver replay: a snapshot of a disk, which stays as it is.
func replays(m *hosttest.Machine, c host.Command) (host.Result, error) {
	text, err := m.ReadFile(wal(option(c.Argv, "--from-data-dir"), option(c.Argv, "--from-wal-dir")))
	if err != nil {
		return host.Result{}, hosttest.Exit(1, err.Error())
	}
	out := option(c.Argv, "--out")
	if _, err := m.ReadFile(out); err == nil {
		return host.Result{}, hosttest.Exit(1, out+" is there already")
	}
	var d disk
	if err := json.Unmarshal(text, &d); err != nil {
		return host.Result{}, hosttest.Exit(1, err.Error())
	}
	made := append([]byte("snapshot of "), text...)
	if err := m.Place(host.File{Path: out, Mode: 0o600, Content: made}); err != nil {
		return host.Result{}, hosttest.Exit(1, err.Error())
	}
	content := kvserver.SnapshotContent{Revision: d.Revision}
	if alarm, err := m.ReadFile("/corrupt"); err == nil {
		content.Alarms = []kvserver.SnapshotAlarm{{Member: "1", Alarm: string(alarm)}}
	}
	line, _ := json.Marshal(kvserver.RestoreReport{Replayed: &kvserver.Replayed{Snapshot: out, ClusterID: kvserver.ID(d.Cluster), MemberID: kvserver.ID(d.Member),
		LastTerm: 1, LastIndex: d.Index, Committed: d.Index, SHA256: host.Digest(made), Size: int64(len(made)), Content: content}})
	c.Line(string(line))
	return host.Result{}, nil
}
