package provision_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quorate/plan/spec"
	"quorate/provision"
	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// fetching is a rig whose first member's host has a file, and an operator who wants that.
type fetching struct {
	*rig
	t       *testing.T
	machine *hosttest.Machine
	content []byte
	want    provision.FetchRequest
	got     int64 // bytes that have travelled
}

const remoteFile = "/var/lib/backups/a b.db"

func newFetching(t *testing.T, size int) *fetching {
	t.Helper()
	f := &fetching{rig: newRig(t, threeMembers), t: t, content: make([]byte, size)}
	_, _ = rand.NewChaCha8([32]byte{5}).Read(f.content) // never fails
	f.machine = f.world.Machine("etcd1")
	f.machine.WriteFile(remoteFile, f.content, 0o600)
	f.want = provision.FetchRequest{
		Member: "etcd1", RemotePath: remoteFile, Path: filepath.Join(t.TempDir(), "backups", "lab", "a b.db"),
		Size: int64(size), SHA256: host.Digest(f.content),
	}
	return f
}

// metered counts what comes from a host.
type metered struct {
	host.Host
	got *int64
}

func (m metered) Download(ctx context.Context, d host.Download) (host.Downloaded, error) {
	out, err := m.Host.Download(ctx, d)
	*m.got += out.Got
	return out, err
}

// fetch is one run of quorate.
func (f *fetching) fetch(ctx context.Context, r provision.FetchRequest) error {
	s := provision.Open(provision.World{Connect: func(ctx context.Context, m *spec.Member) (host.Host, error) {
		h, err := f.world.Dial(ctx, f.at[m.Address])
		if err != nil {
			return nil, err
		}
		return metered{h, &f.got}, nil
	}}, f.cluster)
	defer s.Close()
	return s.Fetch(ctx, r)
}

func (f *fetching) part() string {
	return filepath.Join(filepath.Dir(f.want.Path), ".a b.db."+f.want.SHA256[:12]+".part")
}

// whole sees that the file is there, and nothing else beside it, after so many bytes have travelled.
func (f *fetching) whole(what string, got int64) {
	f.t.Helper()
	content, err := os.ReadFile(f.want.Path)
	if err != nil || !bytes.Equal(content, f.content) {
		f.t.Errorf("%s: %d bytes are here, %v", what, len(content), err)
	}
	if f.got != got {
		f.t.Errorf("%s: %d bytes have travelled, want %d", what, f.got, got)
	}
	f.holds(what, "a b.db")
}

// holds sees that these names are in the folder, and their modes.
func (f *fetching) holds(what string, names ...string) {
	f.t.Helper()
	dir := filepath.Dir(f.want.Path)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
		if info, err := e.Info(); err != nil || info.Mode() != 0o600 {
			f.t.Errorf("%s: %s has mode %s, %v", what, e.Name(), info.Mode(), err)
		}
	}
	if strings.Join(got, "|") != strings.Join(names, "|") {
		f.t.Errorf("%s: the folder holds %q, want %q", what, got, names)
	}
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm() != 0o700 {
		f.t.Errorf("%s: the folder has mode %s", what, info.Mode())
	}
}

func TestFetchAFile(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 300_001} {
		f := newFetching(t, size)
		last := int64(-1)
		f.want.Progress = func(got, total int64) {
			if got < last || got > total || total != int64(size) {
				t.Errorf("%d of %d bytes after %d", got, total, last)
			}
			last = got
		}
		must(t, f.fetch(t.Context(), f.want))
		f.whole("fetched", int64(size))
		if last != int64(size) {
			t.Errorf("at last %d bytes of %d", last, size)
		}
		must(t, f.fetch(t.Context(), f.want))
		f.whole("once more", int64(size))
	}
}

// TestFetchGoesOn: cut anywhere, in a new process too, what has come does not travel again.
func TestFetchGoesOn(t *testing.T) {
	t.Parallel()
	const size = 200_000
	for _, at := range []int64{0, 1, 32<<10 - 1, 32 << 10, 32<<10 + 1, 100_000, size - 1, size} {
		f := newFetching(t, size)
		f.machine.CutDownloadAfter(at)
		if err := f.fetch(t.Context(), f.want); !errors.Is(err, hosttest.ErrCut) || !strings.Contains(err.Error(), f.want.Path) {
			t.Fatalf("cut after %d bytes: %v", at, err)
		}
		left := []string{filepath.Base(f.part())}
		if at == 0 {
			left = nil
		}
		f.holds("cut", left...)
		f.world.Heal()
		must(t, f.fetch(t.Context(), f.want))
		f.whole("gone on", size)
	}
	// Again and again.
	f, runs := newFetching(t, size), 0
	for ; ; runs++ {
		f.machine.CutDownloadAfter(7001)
		err := f.fetch(t.Context(), f.want)
		f.world.Heal()
		if err == nil {
			break
		}
		if !errors.Is(err, hosttest.ErrCut) {
			t.Fatal(err)
		}
	}
	if f.whole("in many runs", size); runs != size/7001 {
		t.Errorf("it took %d runs", runs)
	}
	// The user has enough, or the host is cut at another call.
	f = newFetching(t, size)
	ctx, cancel := context.WithCancel(t.Context())
	stop := f.want
	stop.Progress = func(got, _ int64) {
		if got > size/2 {
			cancel()
		}
	}
	if err := f.fetch(ctx, stop); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := f.fetch(ctx, f.want); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for n := range 2 {
		f.world.CutAfter(n, false)
		if err := f.fetch(t.Context(), f.want); !errors.Is(err, hosttest.ErrCut) {
			t.Fatal(err)
		}
		f.world.Heal()
	}
	must(t, f.fetch(t.Context(), f.want))
	f.whole("after a user's end", size)
}

// TestFetchOfAnother: the part of one file is not gone on with for another of the same name.
func TestFetchOfAnother(t *testing.T) {
	t.Parallel()
	f := newFetching(t, 100_000)
	f.machine.CutDownloadAfter(60_000)
	if err := f.fetch(t.Context(), f.want); !errors.Is(err, hosttest.ErrCut) {
		t.Fatal(err)
	}
	f.world.Heal()
	first := f.part()
	f.content = bytes.Repeat([]byte("b"), 100_000)
	f.machine.WriteFile(remoteFile, f.content, 0o600)
	f.want.SHA256 = host.Digest(f.content)
	must(t, f.fetch(t.Context(), f.want))
	f.holds("both", filepath.Base(first), "a b.db")
	must(t, os.Remove(first))
	f.whole("the other", 160_000)
}

// TestFetchFromASpoiledPart: what a power cut has made of a part costs a transfer, and not the file.
func TestFetchFromASpoiledPart(t *testing.T) {
	t.Parallel()
	const size = 100_000
	for what, tt := range map[string]struct {
		part int
		got  int64
	}{"in its middle": {40_000, size - 40_000 + size}, "whole": {size, size}, "and too long": {size + 1, size}} {
		f := newFetching(t, size)
		must(t, os.MkdirAll(filepath.Dir(f.want.Path), 0o700))
		must(t, os.WriteFile(f.part(), make([]byte, tt.part), 0o644))
		must(t, f.fetch(t.Context(), f.want))
		f.whole("spoiled "+what, tt.got)
	}
	// It goes on in the one that is made anew.
	f := newFetching(t, size)
	must(t, os.MkdirAll(filepath.Dir(f.want.Path), 0o700))
	must(t, os.WriteFile(f.part(), make([]byte, size), 0o644))
	f.machine.CutDownloadAfter(30_000)
	if err := f.fetch(t.Context(), f.want); !errors.Is(err, hosttest.ErrCut) {
		t.Fatal(err)
	}
	f.world.Heal()
	must(t, f.fetch(t.Context(), f.want))
	f.whole("made anew, and cut", size)
}

// TestFetchRefuses: nothing is at the path, and what is there stays, where something is wrong.
func TestFetchRefuses(t *testing.T) {
	t.Parallel()
	const size = 100_000
	half := func(f *fetching) {
		f.machine.CutDownloadAfter(size / 2)
		if err := f.fetch(context.Background(), f.want); !errors.Is(err, hosttest.ErrCut) {
			f.t.Fatal(err)
		}
		f.world.Heal()
		f.got = 0
	}
	place := func(f *fetching, name string, content []byte) {
		must(f.t, os.MkdirAll(filepath.Dir(name), 0o700))
		must(f.t, os.WriteFile(name, content, 0o600))
	}
	part := ".a b.db.DIGEST.part"
	for what, tt := range map[string]struct {
		prepare func(f *fetching)
		want    string
		got     int64
		left    string
	}{
		"nothing":                {func(f *fetching) { f.machine.RemoveAll(remoteFile) }, "file does not exist", 0, ""},
		"nothing any more":       {func(f *fetching) { half(f); f.machine.RemoveAll(remoteFile) }, "file does not exist", 0, part},
		"another content":        {func(f *fetching) { f.machine.WriteFile(remoteFile, make([]byte, size), 0o600) }, "another file by now", size, ""},
		"another content by now": {func(f *fetching) { half(f); f.machine.WriteFile(remoteFile, make([]byte, size), 0o600) }, "another file by now", size/2 + size, ""},
		"more":                   {func(f *fetching) { f.machine.WriteFile(remoteFile, make([]byte, size+1), 0o600) }, "it has 100001 bytes, not 100000", 0, ""},
		"more by now":            {func(f *fetching) { half(f); f.machine.WriteFile(remoteFile, make([]byte, size+1), 0o600) }, "it has 100001 bytes, not 100000", 0, part},
		"less by now":            {func(f *fetching) { half(f); f.machine.WriteFile(remoteFile, make([]byte, 9), 0o600) }, "has 9 bytes, and was to be read from byte 50000 on", 0, part},
		"just so much by now":    {func(f *fetching) { half(f); f.machine.WriteFile(remoteFile, make([]byte, size/2), 0o600) }, "it has 50000 bytes, not 100000", 0, part},
		"a folder":               {func(f *fetching) { f.want.RemotePath = "/var/lib" }, "is a folder", 0, ""},
		"a file in its place":    {func(f *fetching) { place(f, f.want.Path, []byte("mine")) }, "something else is there already", 0, "a b.db"},
		"a file as large":        {func(f *fetching) { place(f, f.want.Path, make([]byte, size)) }, "something else is there already", 0, "a b.db"},
		"no such member":         {func(f *fetching) { f.want.Member = "etcd9" }, `no member "etcd9"`, 0, ""},
		"no digest":              {func(f *fetching) { f.want.SHA256 = "" }, "no sha256", 0, ""},
		"a digest with a path":   {func(f *fetching) { f.want.SHA256 = "../../x" + f.want.SHA256[7:] }, "no sha256", 0, ""},
		"a negative size":        {func(f *fetching) { f.want.Size = -1 }, "-1 bytes", 0, ""},
		"no place":               {func(f *fetching) { f.want.Path = "" }, "no place", 0, ""},
		"a root":                 {func(f *fetching) { f.want.Path = "/" }, "no place", 0, ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f := newFetching(t, size)
			path := f.want.Path
			tt.prepare(f)
			err := f.fetch(t.Context(), f.want)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "cannot fetch") {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if errors.Is(err, fs.ErrNotExist) != strings.HasPrefix(what, "nothing") {
				t.Errorf("%v", err)
			}
			if f.got != tt.got {
				t.Errorf("%d bytes have travelled, want %d", f.got, tt.got)
			}
			f.want.Path = path
			if tt.left == "" {
				f.holds(what)
			} else {
				f.holds(what, strings.Replace(tt.left, "DIGEST", f.want.SHA256[:min(12, len(f.want.SHA256))], 1))
			}
			if b, err := os.ReadFile(f.want.Path); err == nil && string(b) != "mine" && len(b) != size {
				t.Errorf("what was there is now %q", b)
			}
			// What was there is gone on with, once the file is as it was.
			if tt.left == part {
				f.machine.WriteFile(remoteFile, f.content, 0o600)
				f.got = 0
				must(t, f.fetch(t.Context(), f.want))
				f.whole(what+", and back", size/2)
			}
		})
	}
}

// TestFetchLeavesOthersAlone: what has the part's name and is none is not written, and two do not write one part.
func TestFetchLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	f := newFetching(t, 100_000)
	other := filepath.Join(t.TempDir(), "other")
	must(t, os.WriteFile(other, []byte("mine"), 0o644))
	must(t, os.MkdirAll(filepath.Dir(f.want.Path), 0o700))
	must(t, os.Symlink(other, f.part()))
	if err := f.fetch(t.Context(), f.want); err == nil {
		t.Error("a link was taken for a part")
	}
	if b, err := os.ReadFile(other); err != nil || string(b) != "mine" {
		t.Errorf("what it leads to is %q, %v", b, err)
	}
	must(t, os.Remove(f.part()))
	var second error
	first := f.want
	first.Progress = func(got, _ int64) {
		if got > 0 && second == nil {
			second = f.fetch(t.Context(), f.want)
		}
	}
	must(t, f.fetch(t.Context(), first))
	if second == nil || !strings.Contains(second.Error(), "somebody else is fetching it") {
		t.Errorf("the second was told: %v", second)
	}
	f.whole("the first", 100_000)
}
