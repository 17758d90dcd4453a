package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"quorate/internal/durable"
	"quorate/kvserver"
)

const (
	lockName     = ".lock"
	partSuffix   = ".part"
	packedSuffix = ".packed"
)

// folder is one with a cluster's backups, that nobody else takes one into.
type folder struct {
	dir, cluster string
	lock         *flock.Flock
}

// open makes the folder if need be, takes its lock, and removes what backups
// of this cluster that were killed have left, and verifications of any.
func open(dir, cluster string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f := &folder{dir: dir, cluster: cluster, lock: flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600))}
	held, err := f.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("cannot lock %s: %w", dir, err)
	}
	if !held {
		return nil, fmt.Errorf("another backup is being taken into %s", dir)
	}
	if err := errors.Join(f.tidy(), removeUnpacked(dir)); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *folder) tidy() error {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if f.left(e) {
			if err := os.Remove(filepath.Join(f.dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// noteTime is how long a small file may be being written by somebody else.
const noteTime = time.Minute

// left reports whether an entry is what somebody who was killed has left of a backup of this cluster: a part of its file, which only
// the holder of the lock writes, or a small file that never got its name ([durable.Write]) and that nobody can still be writing.
func (f *folder) left(e fs.DirEntry) bool {
	name, hidden := strings.CutPrefix(e.Name(), ".")
	if !hidden {
		return false
	}
	if part, is := strings.CutSuffix(name, partSuffix); is {
		return kvserver.BackupOf(f.cluster, strings.TrimSuffix(part, packedSuffix))
	}
	i := strings.LastIndex(name, kvserver.MetadataSuffix+".")
	if i < 0 {
		return false
	}
	info, err := e.Info()
	state := filepath.Base(kvserver.BackupStateFile(f.dir, f.cluster))
	return err == nil && time.Since(info.ModTime()) > noteTime && (kvserver.BackupOf(f.cluster, name[:i]) || name[:i]+kvserver.MetadataSuffix == state)
}

// close gives the lock back; its file stays, as whoever waits for it has it open.
func (f *folder) close() { _ = f.lock.Unlock() }

// part is where a file is until it is whole.
func (f *folder) part(name string) string { return filepath.Join(f.dir, "."+name+partSuffix) }

// free finds a time at which no backup of the member was begun: the second of now, or one of the next.
func (f *folder) free(now time.Time, member string) time.Time {
	for at := now.UTC().Truncate(time.Second); ; at = at.Add(time.Second) {
		taken := false
		for _, form := range []kvserver.Form{{}, {Compressed: "zstd"}, {Encrypted: true}, {Compressed: "zstd", Encrypted: true}} {
			_, err := os.Lstat(filepath.Join(f.dir, kvserver.BackupName(f.cluster, at, member, form)))
			taken = taken || !errors.Is(err, fs.ErrNotExist)
		}
		if !taken {
			return at
		}
	}
}

// writeMetadata puts a backup's metadata beside its file, durable.
func writeMetadata(path string, b *kvserver.Backup) error {
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return durable.Write(durable.File{Path: path + kvserver.MetadataSuffix, Mode: 0o600, UID: -1, GID: -1, Content: append(text, '\n')})
}

// metadataLimit bounds what is read as metadata: it has the spec in it, and a spec is some kilobytes.
const metadataLimit = 4 << 20

// List gives the backups of a cluster in a folder, the newest first: files that have a
// backup's name, and metadata. Of the newest check of them, as far as they look good,
// the whole file is read and its digest compared. Of the files that belong to a backup only [Metadata] tells. A folder that is not there has none.
func List(dir, cluster string, check int) ([]kvserver.ListedBackup, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list the backups in %s: %w", dir, err)
	}
	var names []string
	for _, e := range entries {
		if name := strings.TrimSuffix(e.Name(), kvserver.MetadataSuffix); kvserver.BackupOf(cluster, name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(b, a) })
	out := []kvserver.ListedBackup{}
	for _, name := range slices.Compact(names) {
		l := look(dir, name)
		if check > 0 && l.Good() {
			check--
			if l.Problem = digest(filepath.Join(dir, name), l.Backup.PackedSHA256); l.Problem == "" {
				l.Checked = true
			}
		}
		out = append(out, l)
	}
	return out, nil
}

// look finds out what can be told of a backup without reading its file.
func look(dir, name string) kvserver.ListedBackup {
	l := kvserver.ListedBackup{Name: name, Size: -1}
	path := filepath.Join(dir, name)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.Problem = "its file is not there"
	case err != nil:
		l.Problem = err.Error()
	case !info.Mode().IsRegular():
		l.Problem = "it is no regular file"
	default:
		l.Size = info.Size()
	}
	b, err := Metadata(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.Problem = "it has no metadata: it was never finished, or is none of ours"
		return l
	case err != nil:
		l.Problem = err.Error()
		return l
	}
	b.Files = nil
	l.Backup = b
	switch {
	case b.Name != name:
		l.Problem = fmt.Sprintf("its metadata is that of %s", b.Name)
	case l.Problem == "" && b.Proof != nil && !b.Proof.Agreed:
		l.Problem = fmt.Sprintf("restored on %s it was not what its metadata says", b.Proof.At.UTC().Format(time.DateOnly))
	case l.Problem == "" && l.Size != b.PackedSize:
		l.Problem = fmt.Sprintf("its file has %d bytes, and should have %d", l.Size, b.PackedSize)
	}
	return l
}

// Metadata reads what lies beside a backup's file; without any it is fs.ErrNotExist.
func Metadata(path string) (*kvserver.Backup, error) {
	f, err := os.Open(path + kvserver.MetadataSuffix)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, metadataLimit))
	if err != nil {
		return nil, err
	}
	b, err := kvserver.ParseBackup(text)
	if err != nil {
		return nil, fmt.Errorf("cannot read its metadata: %w", err)
	}
	return b, nil
}

// Note keeps what came of proving a backup beside it, durable. Its metadata has to be there.
func Note(path string, p kvserver.BackupProof) error {
	b, err := Metadata(path)
	if err == nil {
		b.Proof = &p
		err = writeMetadata(path, b)
	}
	if err != nil {
		return fmt.Errorf("cannot note what came of proving %s: %w", path, err)
	}
	return nil
}

// Remove deletes backups of a folder by name, the file before its metadata: cut in between, the next
// look names what is left.
func Remove(dir string, names []string) error {
	for _, name := range names {
		for _, file := range []string{name, name + kvserver.MetadataSuffix} {
			if err := os.Remove(filepath.Join(dir, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// digest says how a file does not have a digest; "" if it has.
func digest(path, want string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err.Error()
	}
	if hex.EncodeToString(h.Sum(nil)) != want {
		return "its file was changed or damaged: its digest is another one"
	}
	return ""
}
