package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/proto"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"

	"quorate/kvserver"
)

// segment is one file of a WAL: its place in the row and the index it begins with.
type segment struct {
	path       string
	seq, index uint64
}

// segments are a WAL's files in their order. gap is a problem in words, or "".
func segments(dir string, names []string) (all []segment, gap string) {
	for _, name := range names {
		s := segment{path: filepath.Join(dir, name)}
		if _, err := fmt.Sscanf(name, "%016x-%016x.wal", &s.seq, &s.index); err != nil {
			gap = fmt.Sprintf("%s is no WAL file by its name", s.path)
			continue
		}
		if n := len(all); n > 0 && all[n-1].seq+1 != s.seq && gap == "" {
			gap = fmt.Sprintf("WAL files are missing between %s and %s", filepath.Base(all[n-1].path), name)
		}
		all = append(all, s)
	}
	return all, gap
}

// record is what was read of a WAL.
type record struct {
	clusterID, memberID uint64
	state               *raftpb.HardState
	entries             int // in the files that were read
	last                *raftpb.Entry
	snapshot            *walpb.Snapshot // the last one with an index
	// bootstrap: each entry is one of the static bootstrap's.
	bootstrap bool
	changes   []*raftpb.ConfChange // in order, with their indices
	at        []uint64
}

// read reads WAL files to their end. The record is filled as far as it came
// also with an error, which is io.ErrUnexpectedEOF for a torn last record.
func read(segments []segment) (r *record, err error) {
	r = &record{state: &raftpb.HardState{}, last: &raftpb.Entry{}, bootstrap: true}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it is damaged (%v)", p)
		}
	}()
	var readers []fileutil.FileReader
	for _, s := range segments {
		f, err := os.Open(s.path)
		if err != nil {
			return r, err
		}
		defer f.Close()
		readers = append(readers, fileutil.NewFileReader(f))
	}
	d := wal.NewDecoder(readers...)
	var rec walpb.Record
	for {
		if err := d.Decode(&rec); errors.Is(err, io.EOF) {
			return r, nil
		} else if err != nil {
			return r, err
		}
		switch rec.GetType() {
		case wal.MetadataType:
			if r.clusterID, r.memberID, err = identity(rec.Data); err != nil {
				return r, err
			}
		case wal.StateType:
			r.state.Reset()
			if err := proto.Unmarshal(rec.Data, r.state); err != nil {
				return r, err
			}
		case wal.CrcType:
			// As wal.ReadAll: a fresh decoder has nothing to compare.
			if crc := d.LastCRC(); crc != 0 && rec.Validate(crc) != nil {
				return r, wal.ErrCRCMismatch
			}
			d.UpdateCRC(rec.GetCrc())
		case wal.SnapshotType:
			var s walpb.Snapshot
			if err := proto.Unmarshal(rec.Data, &s); err != nil {
				return r, err
			}
			if s.GetIndex() > 0 {
				r.snapshot = &s
			}
		case wal.EntryType:
			if err := r.entry(rec.Data); err != nil {
				return r, err
			}
		default:
			return r, fmt.Errorf("it has a record of unknown type %d", rec.GetType())
		}
	}
}

func (r *record) entry(data []byte) error {
	r.last.Reset()
	if err := proto.Unmarshal(data, r.last); err != nil {
		return err
	}
	r.entries++
	e := r.last
	// An entry at an index that was there before replaces what was from there on (wal.ReadAll).
	for n := len(r.at); n > 0 && r.at[n-1] >= e.GetIndex(); n = len(r.at) {
		r.at, r.changes = r.at[:n-1], r.changes[:n-1]
	}
	ours := false
	if e.GetType() == raftpb.EntryConfChange {
		var c raftpb.ConfChange
		if err := proto.Unmarshal(e.Data, &c); err != nil {
			return err
		}
		r.at, r.changes = append(r.at, e.GetIndex()), append(r.changes, &c)
		ours = e.GetTerm() == 1 && e.GetIndex() == uint64(r.entries) && c.GetType() == raftpb.ConfChangeAddNode
	}
	r.bootstrap = r.bootstrap && ours
	return nil
}

// end gives the log's end; begin is the index of the first file that was read.
func (r *record) end(begin uint64) kvserver.InspectedLog {
	l := kvserver.InspectedLog{Term: r.state.GetTerm(), Commit: r.state.GetCommit()}
	if vote := r.state.GetVote(); vote != 0 {
		l.Vote = kvserver.ID(vote)
	}
	if r.entries > 0 {
		l.LastTerm, l.LastIndex = r.last.GetTerm(), r.last.GetIndex()
	} else if begin > 0 {
		l.LastIndex = begin - 1
	}
	if s := r.snapshot; s.GetIndex() > l.LastIndex {
		l.LastTerm, l.LastIndex = s.GetTerm(), s.GetIndex()
	}
	return l
}

// members are what the committed changes make, for a log that has its beginning.
func (r *record) members() (members []kvserver.InspectedMember, removed []string, err error) {
	list := map[uint64]kvserver.InspectedMember{}
	out := map[string]bool{}
	for n, c := range r.changes {
		if r.at[n] > r.state.GetCommit() {
			break
		}
		id := c.GetNodeId()
		if c.GetType() == raftpb.ConfChangeRemoveNode {
			delete(list, id)
			out[kvserver.ID(id)] = true
			continue
		}
		var m membership.ConfigChangeContext
		if err := json.Unmarshal(c.Context, &m); err != nil {
			return nil, nil, fmt.Errorf("a change of members in the log cannot be read: %w", err)
		}
		now, was := inspected(m.Member), list[id]
		switch {
		case m.IsPromote:
			now = was
			now.Learner = false
		case c.GetType() == raftpb.ConfChangeUpdateNode:
			was.PeerURLs = now.PeerURLs
			now = was
		}
		list[id] = now
	}
	members = slices.Collect(maps.Values(list))
	sortMembers(members)
	return members, slices.Sorted(maps.Keys(out)), nil
}
