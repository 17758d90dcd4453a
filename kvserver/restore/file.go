package restore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"quorate/kvserver"
	"quorate/kvserver/datadir"
)

// Snapshot is a file to restore from, as etcd's tools write it: a database with its sha256 behind it, not compressed.
type Snapshot struct {
	Path string
	// SHA256 is that of the whole file in hex, as sha256sum prints it; empty: not known.
	SHA256 string
	// SkipHash takes a copy of member/snap/db too, which has no checksum behind it. Each of its
	// pages is checked then. A checksum that is there and wrong is refused even so.
	SkipHash bool
}

// sector: etcd tells a snapshot by its size, whole sectors and a checksum
// (etcdutl's hasChecksum): a database is whole pages.
const sector = 512

// check reads the whole file once, and is an error where it is not what it should be. The file's pages are in
// the machine's memory afterwards, if they fit.
func (s Snapshot) check(ctx context.Context, progress func(kvserver.RestoreProgress)) (c kvserver.SnapshotContent, err error) {
	f, err := os.Open(s.Path)
	if err != nil {
		return c, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return c, err
	}
	if !info.Mode().IsRegular() {
		return c, fmt.Errorf("it is no regular file (%s)", info.Mode())
	}
	size := info.Size()
	if size <= sha256.Size {
		return c, fmt.Errorf("it has %d bytes: it is empty, or an upload of it was cut", size)
	}
	withSum := size%sector == sha256.Size
	if !withSum && !s.SkipHash {
		return c, fmt.Errorf("its %d bytes do not end with a checksum: it is no snapshot of etcd's, is compressed, or was cut. Only for a copy of member/snap/db, which has none, use --skip-hash-check: then its pages are checked", size)
	}
	end := size
	if withSum {
		end -= sha256.Size
	}
	whole, body, own, err := sums(ctx, f, size, end, progress)
	if err != nil {
		return c, err
	}
	if withSum && body != own {
		return c, fmt.Errorf("it is damaged: its sha256 is %s, and at its end it says %s", body, own)
	}
	if want := strings.ToLower(s.SHA256); want != "" && want != whole {
		return c, fmt.Errorf("it is another file or damaged: its sha256 is %s, which should be %s", whole, want)
	}
	if !withSum {
		if err := datadir.Check(s.Path); err != nil {
			return c, err
		}
	}
	return datadir.Content(s.Path)
}

// sums reads a file: the sha256 of all of it and of what is before end, and what stands from there on, all in hex.
func sums(ctx context.Context, f io.Reader, size, end int64, progress func(kvserver.RestoreProgress)) (whole, body, own string, err error) {
	h := sha256.New()
	r := &reading{r: f, ctx: ctx, of: size, part: CheckPart, progress: progress}
	if _, err := io.CopyN(h, r, end); err != nil {
		return "", "", "", fmt.Errorf("cannot read it: %w", err)
	}
	body = hex.EncodeToString(h.Sum(nil))
	tail, err := io.ReadAll(r)
	if err != nil {
		return "", "", "", fmt.Errorf("cannot read it: %w", err)
	}
	if end+int64(len(tail)) != size {
		return "", "", "", fmt.Errorf("it had %d bytes and now has more: it is being written", size)
	}
	h.Write(tail)
	return hex.EncodeToString(h.Sum(nil)), body, hex.EncodeToString(tail), nil
}
