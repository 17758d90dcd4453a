package posix

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quorate/provision/host"
)

// TestWhatADeadRunBegan: a run dies while a call of its is under way on a host. Whoever takes the
// lock next has it once that call is over, and what the dead run would begin later is refused.
func TestWhatADeadRunBegan(t *testing.T) {
	each(t, func(t *testing.T, s shell, root string) {
		if _, err := exec.LookPath("flock"); err != nil {
			t.Skip("flock is not installed")
		}
		// Writing makes files durable: here that takes a while, and says that it has begun.
		slow := filepath.Join(root, "bin")
		for _, err := range []error{os.Mkdir(slow, 0o755), os.WriteFile(filepath.Join(slow, "sync"), []byte("#!/bin/sh\n: >"+root+"/begun\nsleep 1\n"), 0o755)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		s.path = slow + ":" + s.path
		life, die := context.WithCancel(t.Context())
		dead := New(&mortal{shell: s, life: life}, options(root))
		lock := host.LockRequest{Path: root + "/lock", Holder: host.Holder{Who: "ana", Run: `r"1`}}
		if _, err := dead.Lock(t.Context(), lock); err != nil {
			t.Fatal(err)
		}
		write := func(h *Host, name string) error {
			_, err := h.Write(t.Context(), host.WriteRequest{Files: []host.File{{Path: filepath.Join(root, name), Mode: 0o600, Content: []byte("x")}}})
			return err
		}
		wrote := make(chan error, 1)
		go func() { wrote <- write(dead, "f") }()
		for _, err := os.Stat(root + "/begun"); err != nil; _, err = os.Stat(root + "/begun") {
			time.Sleep(time.Millisecond)
		}
		die()

		next := New(&s, options(root))
		defer next.Close()
		lock.Holder.Run, lock.Wait = "r2", 20*time.Second
		if _, err := next.Lock(t.Context(), lock); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(root + "/f"); err != nil {
			t.Errorf("the lock was given while the call of the dead run was under way: %v", err)
		}
		if err := <-wrote; err != nil {
			t.Errorf("what was begun was not finished: %v", err)
		}
		dead.mu.Lock()
		dead.lost = nil // as if it had not noticed yet
		dead.mu.Unlock()
		if err := write(dead, "late"); err == nil || !strings.Contains(err.Error(), "the lock was lost") {
			t.Errorf("a write of the dead run: %v", err)
		}
		if _, err := dead.Run(t.Context(), host.Command{Argv: []string{"touch", root + "/late"}}); err == nil || !strings.Contains(err.Error(), "the lock was lost") {
			t.Errorf("a command of the dead run: %v", err)
		}
		if _, err := os.Stat(root + "/late"); err == nil {
			t.Error("the dead run changed something")
		}
		if err := write(next, "mine"); err != nil {
			t.Error(err)
		}
		if r, err := next.Run(t.Context(), host.Command{Argv: []string{"echo", "a b", "$c"}}); err != nil || string(r.Stdout) != "a b $c\n" {
			t.Errorf("%q, %v", r.Stdout, err)
		}
	})
}

// TestALookAtWhatMoves: what changed while it was looked at is looked at again.
func TestALookAtWhatMoves(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(root+"/f", []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := shell{sh: []string{"sh"}, path: plainPath}
	looks, moves := 0, 2
	s.alter = func(b []byte) []byte {
		if looks++; looks <= moves {
			return bytes.Replace(b, []byte("content\nend"), []byte("CONTENT\nend"), 1)
		}
		return b
	}
	q := host.Query{Files: []host.FileQuery{{Path: root + "/f", Content: true}}}
	if l, err := New(&s, options(root)).Look(t.Context(), q); err != nil || string(l.Files[root+"/f"].Content) != "content" || looks != 3 {
		t.Errorf("after %d looks: %v", looks, err)
	}
	looks, moves = 0, 1000
	if _, err := New(&s, options(root)).Look(t.Context(), q); err == nil || !strings.Contains(err.Error(), "changed while it was looked at") || looks < 3 {
		t.Errorf("after %d looks: %v", looks, err)
	}
}
