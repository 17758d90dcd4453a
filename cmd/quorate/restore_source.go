package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"quorate/cmd/quorate/internal/view"
	"quorate/kvserver"
	"quorate/kvserver/datadir"
	"quorate/kvserver/snapshot"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision/host"
	"quorate/provision/world"
)

// restoring is a restore being prepared: its snapshot, on this side, verified and unpacked.
type restoring struct {
	RestoreOptions
	p    *process
	job  *job
	view view.Options

	name  string
	found *kvserver.Verified // nil: no snapshot was named
	blob  host.Blob
	known int64  // the highest revision that backups tell of
	dir   string // what is removed at the end; "" for nothing
	done  func()
}

// close removes what was unpacked, and leaves the hosts.
func (r *restoring) close() {
	defer r.job.close()
	if r.done != nil {
		r.done()
	}
	if r.dir != "" {
		_ = os.RemoveAll(r.dir) // it is in .quorate, which nobody commits
	}
}

// open finds the snapshot that a word means, brings it here, and verifies it.
func (r *restoring) open(ctx context.Context, word string) error {
	var err error
	if r.dir, err = r.folder(); err != nil {
		return err
	}
	path, err := r.locate(ctx, word)
	if err != nil {
		return err
	}
	name := path
	if r.name = filepath.Base(path); filepath.Dir(path) == r.dir {
		name, r.name = word, word
	}
	w := r.p.beginTask("verify "+name, "", r.JSON, r.view)
	found, plain, done, err := snapshot.Unpack(ctx, path, snapshot.VerifyOptions{Name: name, Work: r.dir, Encryption: r.p.encryptionOf(r.job.cluster, name), NoHash: r.NoHash, Progress: w.line})
	if err != nil {
		return w.end("", err)
	}
	r.found, r.done = found, done
	// What the blob keeps beside it, its packed form too, holds all keys and values: it goes with the folder.
	if r.blob, err = host.FileBlob(plain, r.dir); err != nil {
		return w.end("", err)
	}
	return w.end(view.Found(kvserver.VerifyLine{Verified: found}), nil)
}

// folder is one of our own for what is unpacked, on the disk that has the spec. What a run that was killed has left
// goes: it holds all keys and values, and the cluster's lock says that no other run is at work.
func (r *restoring) folder() (string, error) {
	dir := filepath.Join(r.job.dir, ".quorate")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := world.Ignore(dir, "*\n"); err != nil {
		return "", err
	}
	dir = filepath.Join(dir, r.job.cluster.Name)
	left, err := filepath.Glob(filepath.Join(dir, "restore-*"))
	for _, old := range left {
		err = errors.Join(err, os.RemoveAll(old))
	}
	if err = errors.Join(err, os.MkdirAll(dir, 0o700)); err != nil {
		return "", err
	}
	return os.MkdirTemp(dir, "restore-")
}

// locate is the path of the file on this side, which is brought here if need be. It also learns what backups tell of revisions.
func (r *restoring) locate(ctx context.Context, word string) (string, error) {
	s, err := allBackups(ctx, r.p, r.job, 0)
	if err != nil {
		return "", err
	}
	for _, b := range s.places() {
		if b.Backup != nil {
			r.known = max(r.known, b.Backup.Content.Revision)
		}
	}
	if f, ok := onHost(word); ok {
		return r.copy(ctx, f)
	}
	if isFile(word) {
		return word, nil
	}
	for _, u := range s.unasked() {
		fmt.Fprintf(r.p.err, "%s could not be asked for its backups: %s\n", u.Host, u.Problem)
	}
	b, at, err := s.whole(word, "restore")
	if err != nil {
		return "", err
	}
	if at.Where != view.Here {
		if err := fetchBackup(ctx, r.p, r.job, at.Where, b.Backup, r.JSON, r.view); err != nil {
			return "", err
		}
	}
	return filepath.Join(s.dir, b.Name), nil
}

// plan makes the plan that was asked for.
func (r *restoring) plan() (*plan.Plan, error) {
	j := r.job
	opt := plan.Options{Now: r.p.now(), Token: random(16), SpecDigest: spec.Digest(j.cluster)}
	switch {
	case r.Undo:
		return plan.BuildUndo(j.cluster, j.observed, opt)
	case r.Resume:
		return plan.BuildResume(j.cluster, j.observed, opt)
	}
	mark := r.mark(opt)
	mark.InitialCluster = plan.InitialCluster(j.cluster)
	in := plan.RestoreInput{Mark: mark, Bump: !r.NoBump, Known: r.known}
	if r.found != nil {
		var err error
		if in.Mark.ClusterID, in.Mark.Members, err = datadir.Identities(mark.InitialCluster, mark.Token); err != nil {
			return nil, err
		}
		in.Mark.Snapshot = r.source()
		in.Content = r.found.Content
		if m := r.found.Metadata; m != nil {
			in.Cluster = m.Cluster
		}
	} else if plan.UnfinishedRestore(j.observed) == nil {
		return nil, errors.New("no snapshot was named")
	}
	return plan.BuildRestore(j.cluster, j.observed, opt, in)
}
