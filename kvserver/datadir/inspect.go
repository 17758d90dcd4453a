package datadir

import (
	"errors"
	"fmt"
	"io"
	"time"

	"quorate/kvserver"
)

// inspectWait bounds an inspection: a WAL file is 64 MB, which a disk that
// reads 20 MB/s gives in 3 s; one that is slower does not carry a member.
const inspectWait = 5 * time.Second

type inspector struct{ kvserver.Inspection }

// problem notes damage; remark what is none.
func (i *inspector) problem(format string, a ...any) {
	i.Damaged = true
	i.remark(format, a...)
}

func (i *inspector) remark(format string, a ...any) {
	i.Problems = append(i.Problems, fmt.Sprintf(format, a...))
}

// Inspect reads what a data directory says of its member. It works beside a
// running member, which it does not disturb, and never waits for one.
//
// What it costs: the newest WAL file is read once and its checksums computed
// (at most about 64 MB; the one before it too if a new one was begun and has no
// entry yet; 15 to 110 ms from memory, and the disk's time if it is not there),
// and a few pages of the database, however large that is. It gives up after 5 s
// and says so. Nothing but a data directory that cannot be looked into
// is an error; all else is a problem in the answer.
func Inspect(dataDir, walDir string) (kvserver.Inspection, error) {
	return within(inspectWait, dataDir, walDir)
}

// within is [Inspect] with another bound. Past it the reading goes on, unheard,
// until the disk answers or the process ends.
func within(wait time.Duration, dataDir, walDir string) (kvserver.Inspection, error) {
	type answer struct {
		i   kvserver.Inspection
		err error
	}
	done := make(chan answer, 1)
	go func() {
		i := inspector{kvserver.Inspection{DataDir: dataDir, WALDir: WALDir(dataDir, walDir)}}
		err := i.inspect()
		done <- answer{i.Inspection, err}
	}()
	select {
	case a := <-done:
		return a.i, a.err
	case <-time.After(wait):
		return kvserver.Inspection{}, fmt.Errorf("cannot inspect %s: its disk does not answer within %s", dataDir, wait)
	}
}

func (i *inspector) inspect() error {
	fail := func(err error) error { return fmt.Errorf("cannot inspect %s: %w", i.DataDir, err) }
	names, err := withSuffix(i.WALDir, ".wal")
	if err != nil {
		return fail(err)
	}
	snaps, err := withSuffix(snapDir(i.DataDir), ".snap")
	if err != nil {
		return fail(err)
	}
	i.Member = len(names) > 0
	readDB := true
	if err := i.database(Database(i.DataDir)); errors.Is(err, errInUse) {
		i.Running = true
	} else if err != nil {
		i.problem("%v", err)
		readDB = false
	}
	if !i.Member {
		// A database that has been applied, or raft snapshots, without a WAL.
		if _, err := Initialised(i.DataDir, i.WALDir); err != nil && readDB && !i.Running {
			i.problem("%v", err)
		}
		// What a refused start has left says nothing of a member.
		i.DB, i.Members, i.Removed = nil, nil, nil
		return nil
	}
	all, gap := segments(i.WALDir, names)
	if gap != "" {
		i.problem("%s", gap)
	}
	if len(all) == 0 {
		return nil
	}
	newest := all[len(all)-1:]
	r, err := read(newest)
	if err == nil && r.entries == 0 && r.snapshot == nil && len(all) > 1 && gap == "" {
		newest = all[len(all)-2:]
		r, err = read(newest)
	}
	if r.clusterID != 0 {
		i.ClusterID, i.MemberID = kvserver.ID(r.clusterID), kvserver.ID(r.memberID)
	}
	torn := errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case err == nil, i.Running: // a record that is just being written looks torn or damaged
	case torn:
		i.remark("the last record of the WAL is torn: %v; etcd cuts it off at its next start", err)
	default:
		i.problem("the WAL cannot be read to its end: %v; etcd will not start with it", err)
	}
	if err == nil || torn || i.Running {
		l := r.end(newest[0].index)
		i.Log = &l
		if l.Commit > l.LastIndex {
			i.problem("the log ends at index %d and knows of index %d as committed: its end is lost, and etcd will not start with it", l.LastIndex, l.Commit)
		}
	}
	whole := newest[0].seq == 0 && newest[0].index == 0 && r.snapshot == nil // no part of the log is elsewhere
	if whole && i.Log != nil && i.DB == nil {
		if i.Members, i.Removed, err = r.members(); err != nil {
			i.problem("%v", err)
		}
	}
	n := uint64(r.entries)
	i.BootstrapOnly = whole && r.bootstrap && n > 0 && r.state.GetCommit() <= n && len(snaps) == 0 && len(i.Problems) == 0 &&
		(i.Running || i.DB == nil || i.DB.Applied <= n && i.DB.Revision <= 1)
	return nil
}
