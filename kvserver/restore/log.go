package restore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"go.uber.org/zap"
	"google.golang.org/protobuf/encoding/protowire"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
)

// logEnd is the end of a log whose last entry has been declared committed.
type logEnd struct {
	term, index uint64 // of the last entry, or of the snapshot that the log begins with
	committed   uint64 // as it was written down
	torn        int64  // bytes of a record that was not written whole
	old         int    // requests in the form of etcd's old API
}

// raiseCommit appends to a log, which is our copy, that its last entry is
// committed.
//
// Raft writes down how far is committed only along with something else (raft's
// MustSync), so entries above that may have been acknowledged. That those which were
// not are applied too is nothing new to a client: it has heard neither yes nor no. A quorum's other disks may hold
// other entries at the same places only if these here were never acknowledged, which is why the disk with the highest
// (term, index) is to be chosen; that is the caller's part.
func raiseCommit(dir string, l *zap.Logger) (end logEnd, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its log is damaged: %v", p)
		}
	}()
	snaps, err := wal.ValidSnapshotEntries(l, dir)
	if err != nil {
		return end, unreadable(err)
	}
	if len(snaps) == 0 {
		return end, errors.New("its log is damaged: it does not say where it begins")
	}
	from := snaps[len(snaps)-1]
	w, state, entries, torn, err := openLog(dir, from, l)
	if err != nil {
		return end, err
	}
	defer w.Close()
	end = logEnd{term: from.GetTerm(), index: from.GetIndex(), committed: state.GetCommit(), torn: torn}
	if n := len(entries); n > 0 {
		end.term, end.index = entries[n-1].GetTerm(), entries[n-1].GetIndex()
	}
	if end.committed > end.index {
		return end, fmt.Errorf("its log ends at index %d and knows of index %d as committed: its end is lost, and with it what was acknowledged. Choose another member's disk, or a backup", end.index, end.committed)
	}
	replaced, err := end.replaceOld(entries)
	if err != nil {
		return end, err
	}
	state.Commit = &end.index
	if err := w.Save(state, replaced); err != nil {
		return end, err
	}
	return end, w.Close()
}

// openLog opens a log for writing and reads it to its end, which it cuts at a torn last record as etcd does at its start.
func openLog(dir string, from *walpb.Snapshot, l *zap.Logger) (w *wal.WAL, state *raftpb.HardState, entries []*raftpb.Entry, torn int64, err error) {
	for repaired := false; ; repaired = true {
		w, err := wal.Open(l, dir, &walpb.Snapshot{Index: from.Index, Term: from.Term})
		if err != nil {
			return nil, nil, nil, 0, unreadable(err)
		}
		_, state, entries, err = w.ReadAll()
		if err == nil {
			return w, state, entries, torn, nil
		}
		w.Close()
		if repaired || !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, nil, nil, 0, unreadable(err)
		}
		if !wal.Repair(l, dir) {
			return nil, nil, nil, 0, unreadable(errors.New("its torn end cannot be cut off"))
		}
		if torn, err = cutOff(dir); err != nil {
			return nil, nil, nil, 0, err
		}
	}
}

func unreadable(err error) error {
	return fmt.Errorf("its log cannot be read to its end: %w. What is behind that may have been acknowledged: choose another member's disk, or a backup", err)
}

// cutOff is how many bytes wal.Repair has taken away, without the zeros that a file of the log is filled with
// beforehand: it keeps the file as it was under another name.
func cutOff(dir string) (int64, error) {
	broken, err := filepath.Glob(filepath.Join(dir, "*.broken"))
	if err != nil || len(broken) == 0 {
		return 0, fmt.Errorf("cannot tell what was cut off in %s (%w)", dir, err)
	}
	was, err := os.ReadFile(broken[0])
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(broken[0][:len(broken[0])-len(".broken")])
	if err != nil {
		return 0, err
	}
	return max(0, int64(len(bytes.TrimRight(was, "\x00")))-info.Size()), nil
}

// replaceOld gives the entries from the first one on that is a request to
// etcd's old API (v2), with nothing in the place of each: written behind the others, they take their
// place (raft's log, as wal.ReadAll reads it). Releases before 3.6 note in such requests what members are called and
// which version the cluster has; an etcd of today panics on them. Keys are not in them.
func (end *logEnd) replaceOld(entries []*raftpb.Entry) ([]*raftpb.Entry, error) {
	first := -1
	for i, e := range entries {
		old, err := oldRequest(e)
		if err != nil {
			return nil, fmt.Errorf("its log holds what is no request, at index %d: %w", e.GetIndex(), err)
		}
		if !old {
			continue
		}
		if end.old++; first < 0 {
			first = i
			entries = slices.Clone(entries)
		}
		entries[i] = &raftpb.Entry{Term: e.Term, Index: e.Index, Type: e.Type}
	}
	if first < 0 {
		return nil, nil
	}
	return entries[first:], nil
}

// oldRequest: an entry holds an etcdserverpb.Request, by itself (its method is field 2) or as field
// 2 of an InternalRaftRequest. No request of today's API has that field.
func oldRequest(e *raftpb.Entry) (bool, error) {
	if e.GetType() != raftpb.EntryNormal {
		return false, nil
	}
	old := false
	for b := e.Data; len(b) > 0; {
		field, _, n := protowire.ConsumeField(b)
		if n < 0 {
			return false, protowire.ParseError(n)
		}
		old = old || field == 2
		b = b[n:]
	}
	return old, nil
}
