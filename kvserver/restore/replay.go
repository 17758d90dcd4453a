package restore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"quorate/internal/durable"
	"quorate/internal/resources"
	"quorate/kvserver"
	"quorate/kvserver/datadir"
)

// Replaying is a disk that a snapshot is to be made of.
type Replaying struct {
	From Disk
	// Work is a folder that is made, on a file system that has room for a copy of the disk; nothing is left of it.
	Work string
	// Out is the snapshot to write, a file that is not there yet.
	Out      string
	Log      io.Writer
	Progress func(kvserver.RestoreProgress)
}

// Replay makes a snapshot of all that reached the disk of a member that does
// not run, also of what it did not know yet to be committed: on a copy, the whole
// log is declared committed, and etcd's own engine applies it, with nobody listening and without ever being leader.
// No write that was acknowledged and is on this disk is missing in it, which neither a copy of the database nor
// etcd's force-new-cluster gives.
//
// The disk is only read. Cut anywhere, the same call begins anew; Out is there once it is whole and durable.
// A torn last record is cut off as etcd does; a log that cannot be read to its end otherwise is an error.
func Replay(ctx context.Context, r Replaying) (out kvserver.Replayed, err error) {
	defer func() {
		if err != nil {
			out, err = kvserver.Replayed{}, fmt.Errorf("cannot replay %q: %w", r.From.DataDir, err)
		}
	}()
	began := time.Now()
	if r.Out == "" {
		return out, errors.New("it wants a file to write")
	}
	if there, err := exists(r.Out); err != nil || there {
		return out, errors.Join(err, fmt.Errorf("%s is there already", r.Out))
	}
	i, err := r.From.stopped()
	if err != nil {
		return out, err
	}
	w, err := openWorkplace(r.Work)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := r.room(); err != nil {
		return out, err
	}
	data := w.path("data")
	if err := r.From.copyTo(ctx, data, r.Progress); err != nil {
		return out, err
	}
	end, err := raiseCommit(datadir.WALDir(data, ""), logger(r.Log))
	if err != nil {
		return out, err
	}
	out = kvserver.Replayed{Snapshot: r.Out, ClusterID: i.ClusterID, MemberID: i.MemberID,
		LastTerm: end.term, LastIndex: end.index, Committed: end.committed, Torn: end.torn, OldRequests: end.old}
	if err := replay(ctx, data, end.index, r.Log); err != nil {
		return out, err
	}
	if err := r.write(ctx, datadir.Database(data), &out); err != nil {
		return out, err
	}
	out.Seconds = time.Since(began).Seconds()
	return out, nil
}

// replay has etcd apply what is in a data directory up to an index, and stops it.
func replay(ctx context.Context, dataDir string, index uint64, log io.Writer) error {
	db := datadir.Database(dataDir)
	if there, err := datadir.HasDatabase(dataDir); err != nil {
		return err
	} else if there {
		c, err := datadir.Content(db)
		if err != nil {
			return err
		}
		if c.Applied == index {
			return nil // there is nothing that it lacks
		}
		if c.Applied > index {
			return fmt.Errorf("its database has been applied up to index %d, and its log ends at %d: the log is not this database's, or its end is lost. Choose another member's disk, or a backup", c.Applied, index)
		}
	}
	e, err := openEngine(dataDir, standing, log)
	if err != nil {
		return err
	}
	err = e.applies(ctx, index)
	e.Stop()
	if err != nil {
		return err
	}
	c, err := datadir.Content(db)
	if err == nil && c.Applied != index {
		err = fmt.Errorf("etcd has applied its log up to index %d, and it ends at %d", c.Applied, index)
	}
	return err
}

// write puts the database into a file with its checksum behind it, beside the name that it gets once it is whole.
func (r Replaying) write(ctx context.Context, db string, out *kvserver.Replayed) (err error) {
	if out.Content, err = datadir.Content(db); err != nil {
		return err
	}
	hash, _, err := datadir.Hash(db)
	if err != nil {
		return err
	}
	part := r.Out + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	pages, whole := sha256.New(), sha256.New()
	pipe, in := io.Pipe()
	go func() { in.CloseWithError(datadir.WritePages(db, in)) }()
	from := &reading{r: pipe, ctx: ctx, of: out.Content.Size, part: WritePart, progress: r.Progress}
	n, err := io.Copy(io.MultiWriter(f, pages, whole), from)
	pipe.CloseWithError(err) // whoever writes still ends
	if err == nil {
		sum := pages.Sum(nil)
		whole.Write(sum)
		_, err = f.Write(sum)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(part, r.Out)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	out.Hash, out.Size, out.SHA256 = hash.Hash, n+sha256.Size, hex.EncodeToString(whole.Sum(nil))
	return durable.SyncDir(filepath.Dir(r.Out))
}

// room is an error where there is none for the copy, for what the log makes it grow by, or for the file.
func (r Replaying) room() error {
	all, err := r.From.files()
	if err != nil {
		return err
	}
	disk := bytesOf(all)
	folder := filepath.Dir(r.Out)
	same, err := sameFileSystem(r.Work, folder)
	if err != nil {
		return err
	}
	if same {
		return resources.Room(r.Work, 3*disk+margin)
	}
	return errors.Join(resources.Room(r.Work, 2*disk+margin), resources.Room(folder, disk+margin))
}
