package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/etcd/server/v3/storage/schema"

	"quorate/kvserver"
)

// errInUse: another process has the database open, and does not let go of it.
var errInUse = errors.New("in use by another process")

// view runs f on a database, read only; f is not run, and found is false, where
// there is no file or an empty one. It waits for a lock as long as wait.
//
// A damaged database makes bolt panic or read outside the file; here it is an error.
func view(path string, wait time.Duration, f func(*bolt.Tx) error) (found bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot read database %s: it is damaged (%v)", path, r)
		}
	}()
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: wait})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return false, fmt.Errorf("database %s is %w", path, errInUse)
	} else if err != nil {
		return false, fmt.Errorf("cannot read database %s: %w", path, err)
	}
	defer db.Close()
	if err := db.View(f); err != nil {
		return true, fmt.Errorf("cannot read database %s: %w", path, err)
	}
	return true, nil
}

// consistentIndex is the raft index that a database has been applied up to; 0
// if there is none.
func consistentIndex(path string) (index uint64, err error) {
	_, err = view(path, time.Second, func(tx *bolt.Tx) error {
		index = applied(tx)
		return nil
	})
	return index, err
}

func get(tx *bolt.Tx, bucket interface{ Name() []byte }, key []byte) []byte {
	if b := tx.Bucket(bucket.Name()); b != nil {
		return b.Get(key)
	}
	return nil
}

func applied(tx *bolt.Tx) uint64 {
	return number(get(tx, schema.Meta, schema.MetaConsistentIndexKeyName))
}

// database fills in what member/snap/db says; an error is one of [view]'s.
func (i *inspector) database(path string) error {
	var db kvserver.InspectedDB
	var members []kvserver.InspectedMember
	var removed []string
	// No wait: who holds it is a member, and does so as long as it runs.
	found, err := view(path, time.Millisecond, func(tx *bolt.Tx) (err error) {
		db.Applied, db.Revision, db.CompactRevision, db.Size = applied(tx), revision(tx), compacted(tx), tx.Size()
		db.ClusterVersion = string(get(tx, schema.Cluster, schema.ClusterClusterVersionKeyName))
		db.StorageVersion = string(get(tx, schema.Meta, schema.MetaStorageVersionName))
		members, removed, err = membersIn(tx)
		return err
	})
	if err != nil || !found {
		return err
	}
	i.DB, i.Members, i.Removed = &db, members, removed
	return nil
}

// Members are those that the database lists, as [kvserver.Inspection] has
// them. It waits a second for a database that is in use.
func Members(dataDir string) (members []kvserver.InspectedMember, err error) {
	_, err = view(Database(dataDir), time.Second, func(tx *bolt.Tx) (err error) {
		members, _, err = membersIn(tx)
		return err
	})
	return members, err
}

// revision of the keys, as mvcc's store.restore finds it.
func revision(tx *bolt.Tx) int64 { return max(1, stored(tx), compacted(tx)) }

// stored is the revision of the newest version that is there, without reading them all: the key of the last one begins with it.
func stored(tx *bolt.Tx) int64 {
	if b := tx.Bucket(schema.Key.Name()); b != nil {
		last, _ := b.Cursor().Last()
		return mainRevision(last)
	}
	return 0
}

func membersIn(tx *bolt.Tx) (members []kvserver.InspectedMember, removed []string, err error) {
	err = forEach(tx, schema.Members, func(_, v []byte) error {
		var m membership.Member
		if err := json.Unmarshal(v, &m); err != nil {
			return fmt.Errorf("member list: %w", err)
		}
		members = append(members, inspected(m))
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	err = forEach(tx, schema.MembersRemoved, func(k, _ []byte) error {
		id, err := types.IDFromString(string(k))
		if err != nil {
			return fmt.Errorf("removed members: %w", err)
		}
		removed = append(removed, kvserver.ID(uint64(id)))
		return nil
	})
	sortMembers(members)
	slices.Sort(removed)
	return members, removed, err
}

func forEach(tx *bolt.Tx, bucket interface{ Name() []byte }, f func(k, v []byte) error) error {
	if b := tx.Bucket(bucket.Name()); b != nil {
		return b.ForEach(f)
	}
	return nil
}

func inspected(m membership.Member) kvserver.InspectedMember {
	return kvserver.InspectedMember{ID: kvserver.ID(uint64(m.ID)), Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs, Learner: m.IsLearner}
}

func sortMembers(members []kvserver.InspectedMember) {
	slices.SortFunc(members, func(a, b kvserver.InspectedMember) int { return strings.Compare(a.ID, b.ID) })
}
