package ssh

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// sink keeps what comes, and does something once there is so much of it.
type sink struct {
	bytes.Buffer
	at int
	do func()
}

func (s *sink) Write(p []byte) (int, error) {
	if s.do != nil && s.Len()+len(p) > s.at {
		s.do()
		s.do = nil
	}
	return s.Buffer.Write(p)
}

// TestADownloadThatIsCut: a connection that ends, or that nothing comes through any more, is an error of its kind,
// for root and with sudo; what has come is the file's, and the next session goes on there.
func TestADownloadThatIsCut(t *testing.T) {
	t.Parallel()
	content := make([]byte, 12<<20)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(content) // never fails
	file := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"root", "ops"} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			bin, _ := hosttest.FakeSudo(t, "", "")
			s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), Bin: bin})
			b := newBox(t, s, user)
			b.c.Sudo = "auto"
			frozen := *b
			frozen.c.KeepAlive = time.Second // three times that is how long a host may be silent
			var to bytes.Buffer
			for _, c := range []struct {
				at  int
				cut func()
				box *box
			}{{0, s.Cut, b}, {1 << 20, s.Freeze, &frozen}, {5<<20 + 1, s.Cut, b}} {
				part := &sink{at: c.at - to.Len(), do: c.cut}
				got, err := New(c.box.mustDial(t)).Download(t.Context(), host.Download{Path: file, From: int64(to.Len()), To: part})
				s.Unfreeze()
				var gone *host.UnreachableError
				if !errors.As(err, &gone) || got.Size != int64(len(content)) || got.Got != int64(part.Len()) {
					t.Fatalf("cut at %d: %+v of %d bytes, %v", c.at, got, part.Len(), err)
				}
				to.Write(part.Bytes())
			}
			got, err := New(b.mustDial(t)).Download(t.Context(), host.Download{Path: file, From: int64(to.Len()), To: &to})
			if err != nil || got.Got == got.Size || !bytes.Equal(to.Bytes(), content) {
				t.Errorf("the rest: %+v, %v; %d bytes are here", got, err, to.Len())
			}
		})
	}
}

// TestADownloadThatNeverBegins: what a login shell says in place of the command is no file, whatever it looks like.
func TestADownloadThatNeverBegins(t *testing.T) {
	t.Parallel()
	shell := filepath.Join(t.TempDir(), "shell")
	if err := os.WriteFile(shell, []byte("#!/bin/sh\nprintf 'size\\t3\\nabc'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), Shell: shell})
	var to bytes.Buffer
	if _, err := New(newBox(t, s, "root").mustDial(t)).Download(t.Context(), host.Download{Path: "/etc/passwd", To: &to}); err == nil || to.Len() > 0 || !strings.Contains(err.Error(), "login shell of user") {
		t.Errorf("%q, %v", to.String(), err)
	}
}

// TestADownloadsMemory: what is held while a file of 64 MiB comes does not grow with it, this side and the server in
// this process together: an SSH channel has at most 2 MiB under way.
func TestADownloadsMemory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "big")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size, step = 64 << 20, 8 << 20
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users()})
	h := New(newBox(t, s, "root").mustDial(t))
	held := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := held()
	next := int64(step)
	got, err := h.Download(t.Context(), host.Download{Path: file, To: discard{}, Progress: func(n, _ int64) {
		if n < next {
			return
		}
		next += step
		if now := held(); now > before+step {
			t.Errorf("after %d MiB %d KiB are held, before it %d", n>>20, now>>10, before>>10)
		}
	}})
	if err != nil || got.Got != size || next < size {
		t.Fatalf("%+v, %v", got, err)
	}
}

// discard takes everything, in the pieces that it comes in.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// TestADownloadBesideALock: where a host allows two sessions at a time the lock has one and the file the other, and
// what comes after it has that again.
func TestADownloadBesideALock(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "backup"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	bin, _ := hosttest.FakeSudo(t, "secret", "")
	for _, user := range []string{"root", "ops"} {
		s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), Bin: bin, MaxSessions: 2})
		b := newBox(t, s, user)
		b.c.Sudo, b.c.SudoPassword = "auto", "secret"
		h := New(b.mustDial(t))
		unlock, err := h.Lock(t.Context(), host.LockRequest{Path: filepath.Join(dir, "lock")})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			if _, err := h.Download(ctx, host.Download{Path: filepath.Join(dir, "backup"), To: &sink{do: cancel}}); !errors.Is(err, context.Canceled) {
				t.Errorf("%s, cancelled: %v", user, err)
			}
			var to bytes.Buffer
			if _, err := h.Download(t.Context(), host.Download{Path: filepath.Join(dir, "backup"), To: &to}); err != nil || !bytes.Equal(to.Bytes(), content) {
				t.Errorf("%s: %d bytes, %v", user, to.Len(), err)
			}
			if _, err := h.Write(t.Context(), host.WriteRequest{Files: []host.File{{Path: filepath.Join(dir, "f"), Mode: 0o600}}}); err != nil {
				t.Errorf("%s, after it: %v", user, err)
			}
		}
		if err := unlock(); err != nil {
			t.Error(err)
		}
	}
}
