package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/server/v3/storage/mvcc"

	"quorate/kvserver"
)

// Proof is a snapshot that is to be proved, and what is known of it.
type Proof struct {
	File Snapshot
	// Work is a folder that is made, on a file system that has room for the database; nothing is left of it.
	Work string
	// Revision, CompactRevision and Hash are what it must have; nil: not known. Hash is what HashKV gave at that
	// revision; a CompactRevision of -1 or 0 says never.
	Revision, CompactRevision *int64
	Hash                      *uint32
	Log                       io.Writer
	Progress                  func(kvserver.RestoreProgress)
}

// Prove restores a snapshot as it is, as a single member, starts etcd on it with nobody
// listening, reads from it, and compares. Differences are in the result; an error says that there is none: the
// file is damaged, etcd does not start, or disk or memory lack. The file is left as it is.
//
// It reads below the API, after the leader has confirmed that it is one (a linearizable read): users and alarms do
// not matter.
func Prove(ctx context.Context, p Proof) (r kvserver.Proved, err error) {
	defer func() {
		if err != nil {
			r, err = kvserver.Proved{}, fmt.Errorf("cannot prove snapshot %q: %w", p.File.Path, err)
		}
	}()
	w, err := openWorkplace(p.Work)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	began := time.Now()
	if r.Content, err = p.File.check(ctx, p.Progress); err != nil {
		return r, err
	}
	if err := memoryFor(r.Content); err != nil {
		return r, err
	}
	_, err = Options{
		File: p.File, DataDir: w.path("data"), Name: "proof", InitialCluster: "proof=http://127.0.0.1:1", Token: "proof",
		Server: version.Version, UID: -1, GID: -1, Log: p.Log, Progress: p.Progress,
	}.restore(ctx, r.Content)
	if err != nil {
		return r, err
	}
	r.RestoreSeconds = time.Since(began).Seconds()
	began = time.Now()
	a, err := askServer(ctx, w.path("data"), r.Content.Revision, p.Log)
	if err != nil {
		return r, err
	}
	r.ServeSeconds = time.Since(began).Seconds()
	r.Hash, r.Keys, r.Differences = a.hash.Hash, a.keys, p.differences(r.Content, a)
	r.Agreed = len(r.Differences) == 0
	r.PeakMemory = peakMemory()
	return r, nil
}

// answer is what a server says of its keys.
type answer struct {
	hash     mvcc.KeyValueHash
	keys     int64
	revision int64
}

// askServer starts etcd on a data directory, waits until it leads itself, and reads: the hash at a revision, and how many keys there are.
func askServer(ctx context.Context, dataDir string, revision int64, log io.Writer) (a answer, err error) {
	e, err := openEngine(dataDir, usual, log)
	if err != nil {
		return a, err
	}
	defer e.Stop()
	if err := e.leads(ctx); err != nil {
		return a, err
	}
	if a.hash, _, err = e.KV().HashStorage().HashByRev(revision); err != nil {
		return a, fmt.Errorf("etcd gives no hash at revision %d: %w", revision, err)
	}
	all, err := e.KV().Range(ctx, []byte{0}, []byte{}, mvcc.RangeOptions{CountOnly: true, Rev: revision})
	if err != nil {
		return a, fmt.Errorf("etcd does not give its keys at revision %d: %w", revision, err)
	}
	a.keys, a.revision = int64(all.Count), all.Rev
	return a, nil
}

// differences are what is not as it was expected, and what the server and the file do not agree on.
func (p Proof) differences(c kvserver.SnapshotContent, a answer) (lines []string) {
	differ := func(what string, have, want any) {
		lines = append(lines, fmt.Sprintf("%s is %v, and should be %v", what, have, want))
	}
	if want := p.Revision; want != nil && c.Revision != *want {
		differ("the revision", c.Revision, *want)
	}
	if want := p.CompactRevision; want != nil && c.CompactRevision != max(0, *want) {
		differ("the compact revision", c.CompactRevision, *want)
	}
	if want := p.Hash; want != nil && a.hash.Hash != *want {
		differ(fmt.Sprintf("the hash at revision %d", a.hash.Revision), a.hash.Hash, *want)
	}
	if a.revision < c.Revision {
		differ("the revision that etcd answers with", a.revision, c.Revision)
	}
	if have := max(0, a.hash.CompactRevision); have != c.CompactRevision {
		differ("the compact revision that etcd answers with", have, c.CompactRevision)
	}
	return lines
}
