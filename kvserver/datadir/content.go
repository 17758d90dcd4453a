package datadir

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/schema"

	"quorate/kvserver"
)

// Content reads what a database holds beside its keys: a snapshot as etcd's
// tools write it (with or without the checksum at its end), a copy of
// member/snap/db, or that itself while no member runs; it waits a second for one.
// It needs no right to write.
//
// The head of each page is read once, so the disk's time for the file; memory does not
// depend on its size. A damaged file is an error, as far as this comes across
// the damage: it does not look at values. So is an empty or missing one.
func Content(path string) (kvserver.SnapshotContent, error) {
	var c kvserver.SnapshotContent
	found, err := view(path, time.Second, func(tx *bolt.Tx) (err error) {
		c, err = content(tx)
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("cannot read database %s: there is none, or it is empty", path)
	}
	if err != nil {
		return kvserver.SnapshotContent{}, err
	}
	return c, nil
}

func content(tx *bolt.Tx) (c kvserver.SnapshotContent, err error) {
	if tx.Bucket(schema.Key.Name()) == nil || tx.Bucket(schema.Meta.Name()) == nil {
		return c, fmt.Errorf("it is no database of etcd's: it has no bucket %q or no bucket %q", schema.Key.Name(), schema.Meta.Name())
	}
	c = kvserver.SnapshotContent{
		Revision: revision(tx), Stored: stored(tx), CompactRevision: compacted(tx),
		Applied: applied(tx), Term: number(get(tx, schema.Meta, schema.MetaTermKeyName)),
		Size: tx.Size(), SizeInUse: inUse(tx),
		ClusterVersion: string(get(tx, schema.Cluster, schema.ClusterClusterVersionKeyName)),
		StorageVersion: string(get(tx, schema.Meta, schema.MetaStorageVersionName)),
		Versions:       int64(tx.Bucket(schema.Key.Name()).Stats().KeyN),
	}
	if v := get(tx, schema.Auth, schema.AuthEnabledKeyName); len(v) == 1 && v[0] == 1 {
		c.AuthEnabled = true
	}
	if c.Members, c.Removed, err = membersIn(tx); err != nil {
		return c, err
	}
	if c.Alarms, err = alarmsIn(tx); err != nil {
		return c, err
	}
	err = forEach(tx, schema.AuthUsers, func(k, _ []byte) error {
		c.Users = append(c.Users, string(k))
		return nil
	})
	if err != nil {
		return c, err
	}
	return c, forEach(tx, schema.Lease, func(_, _ []byte) error {
		c.Leases++
		return nil
	})
}

// compacted is the revision that a compaction was last asked up to: a server
// that opens the database completes one that was cut (mvcc's store.restore). 0 if there was none.
func compacted(tx *bolt.Tx) (rev int64) {
	for _, key := range [][]byte{schema.FinishedCompactKeyName, schema.ScheduledCompactKeyName} {
		rev = max(rev, mainRevision(get(tx, schema.Meta, key)))
	}
	return rev
}

// mainRevision is the first part of a revision as mvcc writes them (RevToBytes); 0 if v is none.
func mainRevision(v []byte) int64 {
	if len(v) < 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(v))
}

func number(v []byte) uint64 {
	if len(v) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(v)
}

// inUse are the bytes of the pages that hold something, as the backend's
// SizeInUse counts them. The free ones are not written down (etcd sets bolt's
// NoFreelistSync), so the others are counted: the two first, the buckets' and the root's.
func inUse(tx *bolt.Tx) int64 {
	s := tx.Cursor().Bucket().Stats()
	return int64(s.BranchAlloc+s.LeafAlloc) + 2*int64(tx.DB().Info().PageSize)
}

func alarmsIn(tx *bolt.Tx) (alarms []kvserver.SnapshotAlarm, err error) {
	err = forEach(tx, schema.Alarm, func(k, _ []byte) error {
		var m etcdserverpb.AlarmMember
		if err := proto.Unmarshal(k, &m); err != nil {
			return fmt.Errorf("alarms: %w", err)
		}
		alarms = append(alarms, kvserver.SnapshotAlarm{Member: kvserver.ID(m.GetMemberID()), Alarm: m.GetAlarm().String()})
		return nil
	})
	slices.SortFunc(alarms, func(a, b kvserver.SnapshotAlarm) int {
		return strings.Compare(a.Member+" "+a.Alarm, b.Member+" "+b.Alarm)
	})
	return alarms, err
}

// WritePages writes a database's pages in one consistent state, as etcd sends
// them for a snapshot; the checksum behind them is the caller's. It takes databases as [Content] does.
func WritePages(path string, w io.Writer) error {
	found, err := view(path, time.Second, func(tx *bolt.Tx) error {
		_, err := tx.WriteTo(w)
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("cannot read database %s: there is none, or it is empty", path)
	}
	return err
}
