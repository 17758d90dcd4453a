// Package restore makes data directories out of snapshots, and snapshots out of the disks of members that are gone.
// The work is etcd's own: etcdutl's restore, and the server's
// engine with nobody listening. What is added here is that nothing is believed
// before it was checked, that nothing is there half, and that what has been given is left as it was.
//
// It stops, starts and moves nothing: a caller who puts a directory in the place of another one does that.
package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"

	"quorate/kvserver"
	"quorate/kvserver/datadir"
)

// Options are what [Restore] makes a data directory of, and where.
type Options struct {
	File Snapshot
	// DataDir and WALDir are made, mode 0700, in folders that are there; or they are
	// there and empty. WALDir may be empty: then the WAL is inside DataDir.
	DataDir, WALDir string
	// Hold has DataDir, and the folder that WALDir is in, be made by this call, and by no other one, in folders that may be
	// the member's: root's work cannot be led elsewhere. What a cut has left is to be removed first.
	Hold bool
	// Name is that of the member, one of InitialCluster ("a=https://10.0.0.1:2380,…"), which
	// lists all members of the new cluster. Token must be one that no cluster has had: with an old one
	// the ids would be the old ones, and a member that was left running would take the new ones for its own.
	Name, InitialCluster, Token string
	// TargetRevision is the newest revision afterwards, above all that any client has seen;
	// everything up to it counts as compacted. 0: the revision stays.
	TargetRevision int64
	// Server is the version of the etcd that is to run on it ("3.6.16", or "3.6"): see [kvserver.Restorable].
	Server string
	// UID and GID own everything that is made; -1 leaves the process's own.
	UID, GID int
	// Log gets what etcd warns of; nil: nobody.
	Log io.Writer
	// Progress is told how far it is, in its own time; nil: nobody.
	Progress func(kvserver.RestoreProgress)
}

// highestTarget keeps a revision away from the end of what int64 holds: a server adds one with each write.
const highestTarget = 1 << 62

// Restore checks a snapshot and makes a data directory of it, which is durable
// once this returns. The file is left as it is.
//
// Nothing is written before the whole file was checked and there is room. Cut
// anywhere, what is unfinished has a mark; the same call removes that, and nothing else, and makes it anew. A
// directory that holds something without such a mark is an error.
func Restore(ctx context.Context, o Options) (kvserver.Restored, error) {
	began := time.Now()
	r, err := o.identities()
	data, wal := r.DataDir, r.WALDir
	if err == nil {
		r.Snapshot, err = o.File.check(ctx, o.Progress)
	}
	if err == nil && o.Hold {
		var release func()
		if release, err = o.hold(); err == nil {
			defer release()
		}
	}
	if err == nil {
		r, err = o.restore(ctx, r.Snapshot)
	}
	if err != nil {
		return kvserver.Restored{}, fmt.Errorf("cannot restore snapshot %q: %w", o.File.Path, err)
	}
	r.DataDir, r.WALDir, r.Seconds = data, wal, time.Since(began).Seconds()
	return r, nil
}

// restore is [Restore] once the file has been checked and holds c.
func (o Options) restore(ctx context.Context, c kvserver.SnapshotContent) (r kvserver.Restored, err error) {
	if r, err = o.identities(); err != nil {
		return r, err
	}
	r.Snapshot = c
	bump, err := o.bump(c)
	if err == nil {
		err = kvserver.Restorable(c, kvserver.Minor(o.Server))
	}
	if err != nil {
		return r, err
	}
	s := staging{data: o.DataDir, wal: o.WALDir, uid: o.UID, gid: o.GID}
	if err := s.begin(); err != nil {
		return r, err
	}
	if err := room(s, c.Size); err != nil {
		return r, errors.Join(err, s.remove())
	}
	watched := watchFile(ctx, s.database(), RestorePart, c.Size, o.Progress)
	err = runEtcdutl(o, s, bump)
	watched()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return r, errors.Join(err, s.remove())
	}
	if err := s.finish(); err != nil {
		return r, err
	}
	made, err := datadir.Content(datadir.Database(o.DataDir))
	if err == nil {
		err = agrees(made, r, o.TargetRevision)
	}
	r.Revision, r.CompactRevision, r.Size = made.Revision, made.CompactRevision, made.Size
	return r, err
}

// identities are the ids that the new cluster and its members get, as etcd computes them.
func (o Options) identities() (kvserver.Restored, error) {
	if o.DataDir == "" || o.Name == "" || o.Token == "" {
		return kvserver.Restored{}, errors.New("it wants a data directory, the name of a member and a token")
	}
	cluster, members, err := datadir.Identities(o.InitialCluster, o.Token)
	if err != nil {
		return kvserver.Restored{}, err
	}
	if members[o.Name] == "" {
		return kvserver.Restored{}, fmt.Errorf("member %q is not in the initial cluster (%s)", o.Name, o.InitialCluster)
	}
	return kvserver.Restored{DataDir: o.DataDir, WALDir: datadir.WALDir(o.DataDir, o.WALDir), ClusterID: cluster, Members: members, MemberID: members[o.Name]}, nil
}

// bump is how much etcdutl has to add to the newest revision that is stored, which is lower than the database's own
// where what came after it has been compacted away.
func (o Options) bump(c kvserver.SnapshotContent) (uint64, error) {
	switch {
	case o.TargetRevision == 0:
		return 0, nil
	case o.TargetRevision <= c.Revision:
		return 0, fmt.Errorf("its revision is %d, and the target %d is not above that: name one that no client has seen", c.Revision, o.TargetRevision)
	case o.TargetRevision > highestTarget:
		return 0, fmt.Errorf("the target revision %d leaves too little: at most %d", o.TargetRevision, int64(highestTarget))
	}
	return uint64(o.TargetRevision - c.Stored), nil
}

// runEtcdutl is etcdutl's restore into the staging folders; its panics are errors here.
func runEtcdutl(o Options, s staging, bump uint64) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("etcdutl gave up: %v", p)
		}
	}()
	urls, err := types.NewURLsMap(o.InitialCluster)
	if err != nil {
		return err
	}
	return snapshot.NewV3(logger(o.Log)).Restore(snapshot.RestoreConfig{
		SnapshotPath: o.File.Path, Name: o.Name, OutputDataDir: s.workData(), OutputWALDir: s.workWAL(),
		PeerURLs: urls[o.Name].StringSlice(), InitialCluster: o.InitialCluster, InitialClusterToken: o.Token,
		SkipHashCheck: o.File.SkipHash, RevisionBump: bump, MarkCompacted: bump > 0,
	})
}

// agrees is an error where the result is not what it was made for.
func agrees(c kvserver.SnapshotContent, r kvserver.Restored, target int64) error {
	revision, compacted := r.Snapshot.Revision, r.Snapshot.CompactRevision
	if target > 0 {
		revision, compacted = target, target
	}
	if c.Revision != revision || c.CompactRevision != compacted {
		return fmt.Errorf("the result has revision %d and is compacted up to %d, which should be %d and %d", c.Revision, c.CompactRevision, revision, compacted)
	}
	var got []string
	for _, m := range c.Members {
		got = append(got, m.ID)
	}
	if want := slices.Sorted(maps.Values(r.Members)); !slices.Equal(got, want) {
		return fmt.Errorf("the result has the members %v, which should be %v", got, want)
	}
	return nil
}
