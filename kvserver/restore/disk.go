package restore

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/datadir"
)

// Disk is where a member that does not run has its data.
type Disk struct {
	DataDir string
	WALDir  string // empty: inside DataDir
}

// diskFile is one that counts, with what tells that it was not changed meanwhile.
type diskFile struct {
	path, to string // to: below the copy's data directory
	size     int64
	changed  time.Time
}

// files are those that etcd starts with: the database, the raft snapshots, and the log.
func (d Disk) files() (all []diskFile, err error) {
	for _, f := range []struct {
		dir, to string
		counts  func(name string) bool
	}{
		{filepath.Dir(datadir.Database(d.DataDir)), filepath.Join("member", "snap"), func(n string) bool {
			return n == "db" || strings.HasSuffix(n, ".snap") || strings.HasSuffix(n, ".snap.db")
		}},
		{datadir.WALDir(d.DataDir, d.WALDir), filepath.Join("member", "wal"), func(n string) bool { return strings.HasSuffix(n, ".wal") }},
	} {
		entries, err := os.ReadDir(f.dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if !f.counts(e.Name()) {
				continue
			}
			info, err := e.Info()
			if err != nil {
				return nil, err
			}
			if !info.Mode().IsRegular() {
				return nil, fmt.Errorf("%s is no regular file (%s)", filepath.Join(f.dir, e.Name()), info.Mode())
			}
			all = append(all, diskFile{filepath.Join(f.dir, e.Name()), filepath.Join(f.to, e.Name()), info.Size(), info.ModTime()})
		}
	}
	return all, nil
}

// stopped is what the disk says of its member, or an error where there is none or one runs.
func (d Disk) stopped() (kvserver.Inspection, error) {
	i, err := datadir.Inspect(d.DataDir, d.WALDir)
	switch {
	case err != nil:
		return i, err
	case i.Running:
		return i, fmt.Errorf("a process has the database in %s open: stop the member first", d.DataDir)
	case !i.Member:
		return i, fmt.Errorf("%s holds no member: there is no WAL in %s", d.DataDir, i.WALDir)
	}
	return i, nil
}

// copyTo copies what counts into a data directory, with the WAL inside. The disk is only read. That nothing has
// changed meanwhile is seen to afterwards; a member that was started in between is an error.
func (d Disk) copyTo(ctx context.Context, dataDir string, progress func(kvserver.RestoreProgress)) error {
	all, err := d.files()
	if err != nil {
		return err
	}
	told := kvserver.RestoreProgress{Part: CopyPart, Of: bytesOf(all)}
	for _, f := range all {
		if err := f.copyTo(ctx, filepath.Join(dataDir, f.to), func(n int64) {
			if told.Done += n; progress != nil {
				progress(told)
			}
		}); err != nil {
			return err
		}
	}
	if _, err := d.stopped(); err != nil {
		return err
	}
	again, err := d.files()
	if err != nil {
		return err
	}
	if fmt.Sprint(all) != fmt.Sprint(again) {
		return fmt.Errorf("%s has changed while it was copied: see that no member runs there", d.DataDir)
	}
	return nil
}

func bytesOf(files []diskFile) (n int64) {
	for _, f := range files {
		n += f.size
	}
	return n
}

// chunk is how much is copied between two words of progress.
const chunk = 16 << 20

// copyTo leaves the copying to the kernel, which shares the blocks where the file system can.
func (f diskFile) copyTo(ctx context.Context, path string, progress func(n int64)) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	from, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(0o600))
	if err != nil {
		return err
	}
	defer to.Close()
	for ctx.Err() == nil {
		n, err := io.CopyN(to, from, chunk)
		progress(n)
		if err == io.EOF {
			return to.Close()
		}
		if err != nil {
			return fmt.Errorf("cannot copy %s: %w", f.path, err)
		}
	}
	return ctx.Err()
}
