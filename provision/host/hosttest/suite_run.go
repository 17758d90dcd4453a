package hosttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"quorate/provision/host"
)

func testRun(t *testing.T, s *suite) {
	in := bytes.Repeat([]byte("in\x00put\n"), 50_000)
	r, err := s.h.Run(t.Context(), host.Command{Argv: []string{"cat"}, Stdin: in})
	if err != nil || !bytes.Equal(r.Stdout, in) || len(r.Stderr) > 0 {
		t.Errorf("cat gave %d bytes back of %d, %q, %v", len(r.Stdout), len(in), r.Stderr, err)
	}
	odd := []string{"a b", "'", `"`, "$HOME", "`id`", "*", ";", "", "new\nline", `back\slash`, "-n", "grüße"}
	r, err = s.h.Run(t.Context(), host.Command{Argv: append([]string{"printf", `%s\n`}, odd...)})
	if want := strings.Join(odd, "\n") + "\n"; err != nil || string(r.Stdout) != want {
		t.Errorf("argv came as %q, want %q, %v", r.Stdout, want, err)
	}
	var failed *host.ExitError
	r, err = s.h.Run(t.Context(), host.Command{Argv: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}})
	if !errors.As(err, &failed) || failed.Code != 3 || failed.Host != s.h.Name() || failed.Argv[0] != "sh" || failed.Stderr != "err\n" {
		t.Errorf("%#v", err)
	}
	if string(r.Stdout) != "out\n" || string(r.Stderr) != "err\n" {
		t.Errorf("%q, %q", r.Stdout, r.Stderr)
	}
	if _, err = s.h.Run(t.Context(), host.Command{Argv: []string{s.path("no-such-command")}}); !errors.As(err, &failed) || failed.Code != 127 {
		t.Errorf("a command that is not there: %v", err)
	}
	if _, err = s.h.Run(t.Context(), host.Command{}); err == nil {
		t.Error("no command at all was run")
	}
	// A command that does not read its input must not hang us.
	if _, err = s.h.Run(t.Context(), host.Command{Argv: []string{"printf", "x"}, Stdin: make([]byte, 5<<20)}); err != nil {
		t.Errorf("a command that does not read its input: %v", err)
	}
}

// testLines: a command's whole lines are told, and are its output all the same.
func testLines(t *testing.T, s *suite) {
	var heard []string
	hear := func(line string) { heard = append(heard, line) }
	text := "one\ntwo\n\n" + strings.Repeat("x", 100_000) + "\nwithout an end"
	r, err := s.h.Run(t.Context(), host.Command{Argv: []string{"cat"}, Stdin: []byte(text), Line: hear})
	if err != nil || string(r.Stdout) != text || len(heard) != 4 || heard[1] != "two" || heard[2] != "" || len(heard[3]) != 100_000 {
		t.Errorf("%d bytes, heard %d lines, %v", len(r.Stdout), len(heard), err)
	}
	var failed *host.ExitError
	heard = nil
	_, err = s.h.Run(t.Context(), host.Command{Argv: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}, Line: hear})
	if !errors.As(err, &failed) || failed.Code != 3 || fmt.Sprint(heard) != "[out]" {
		t.Errorf("heard %q, %v", heard, err)
	}
}

func testCancel(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := s.h.Run(ctx, host.Command{Argv: []string{"sleep", "600"}})
		done <- err
	}()
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Run did not end with its context")
	}
	if _, err := s.h.Look(ctx, host.Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
	if _, err := s.h.Look(t.Context(), host.Query{}); err != nil {
		t.Errorf("the session did not survive a cancelled call: %v", err)
	}
}

func testManyAtOnce(t *testing.T, s *suite) {
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			p, content := s.path(fmt.Sprint("f", i)), []byte(fmt.Sprint(i))
			if _, err := s.h.Write(t.Context(), host.WriteRequest{Files: []host.File{{Path: p, Mode: 0o600, Content: content}}}); err != nil {
				t.Error(err)
			}
			l, err := s.h.Look(t.Context(), host.Query{Files: []host.FileQuery{{Path: p, Content: true}}})
			if err != nil {
				t.Error(err)
			} else if got := l.Files[p].Content; !bytes.Equal(got, content) {
				t.Errorf("%s holds %q", p, got)
			}
		})
	}
	all.Wait()
}

func (s *suite) holder(who string) host.Holder {
	return host.Holder{Who: who, Run: "r1", Verb: "apply", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func testLock(t *testing.T, s *suite) {
	request := host.LockRequest{Path: s.path("run", "lock"), Holder: s.holder(`first "one" \ grüße`)}
	unlock := s.lock(t, s.h, request)
	second := s.session(t)
	var held *host.LockedError
	if _, err := second.Lock(t.Context(), request); !errors.As(err, &held) {
		t.Fatalf("two hold the lock: %v", err)
	}
	if got := held.Holder; got.Who != request.Holder.Who || got.Run != "r1" || got.Verb != "apply" || !got.Since.Equal(request.Holder.Since) {
		t.Errorf("the holder reads %+v", got)
	}
	if held.Host != s.h.Name() {
		t.Errorf("host %q", held.Host)
	}
	other := request
	other.Path = s.path("run", "other-lock")
	unlockOther := s.lock(t, second, other)
	s.write(t, host.File{Path: s.path("f"), Mode: 0o644})
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	unlock2 := s.lock(t, second, request)
	if err := errors.Join(unlock(), unlock2(), unlockOther()); err != nil {
		t.Fatal(err)
	}
	if !s.file(t, request.Path).Exists {
		t.Error("unlocking removed the lock file")
	}
}

// testLockLooks: what is seen as the lock is taken is what a look sees, whatever a file holds.
func testLockLooks(t *testing.T, s *suite) {
	odd := s.path("odd")
	s.write(t, host.File{Path: odd, Mode: 0o640, Content: []byte("first\nend\n\nlocked\n\x00\xff no newline")})
	q := host.Query{Files: []host.FileQuery{{Path: odd, Content: true}, {Path: s.path("none")}}, Dirs: []host.DirQuery{{Path: s.path("dir")}}}
	var found *host.Look
	request := host.LockRequest{Path: s.path("lock"), Holder: s.holder("first"), Look: &q, Found: func(l *host.Look) { found = l }}
	unlock := s.lock(t, s.h, request)
	seen := s.look(t, q)
	switch {
	case found == nil && seen.Facts.Manager == "supervise":
		// A local host is locked by this process itself.
	case found == nil:
		t.Error("nothing was seen as the lock was taken")
	default:
		if got, want := found.Files[odd], seen.Files[odd]; !reflect.DeepEqual(got, want) || found.Files[s.path("none")].Exists || found.Dirs[s.path("dir")].Exists {
			t.Errorf("%+v, a look sees %+v", got, want)
		}
		if off := time.Until(found.Facts.Clock); off.Abs() > time.Minute || found.Facts.ClockError <= 0 && seen.Facts.ClockError > 0 {
			t.Errorf("its clock is %s off, give or take %s", off, found.Facts.ClockError)
		}
	}
	found = nil
	if _, err := s.session(t).Lock(t.Context(), request); err == nil || found != nil {
		t.Errorf("two hold the lock (%v), or who does not looked: %v", err, found)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	// A look that fails leaves the lock alone, and says why when it is asked for by itself.
	q.Files = append(q.Files, host.FileQuery{Path: s.path("large"), Content: true})
	s.upload(t, host.Upload{Path: s.path("large"), Mode: 0o600, Blob: host.BytesBlob(make([]byte, host.ContentLimit+1))})
	if unlock = s.lock(t, s.h, request); found != nil {
		t.Fatalf("%v", found)
	}
	if _, err := s.h.Look(t.Context(), q); err == nil {
		t.Error("more than a look carries was seen")
	}
	s.write(t, host.File{Path: s.path("f"), Mode: 0o644}) // the lock is held all the same
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
}

func testLockWaits(t *testing.T, s *suite) {
	request := host.LockRequest{Path: s.path("lock"), Holder: s.holder("first")}
	unlock := s.lock(t, s.h, request)
	request.Wait = time.Second
	second := s.session(t)
	var held *host.LockedError
	if _, err := second.Lock(t.Context(), request); !errors.As(err, &held) {
		t.Fatalf("two hold the lock: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := second.Lock(ctx, request); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
	request.Wait = 30 * time.Second
	got := make(chan error, 1)
	go func() {
		_, err := second.Lock(t.Context(), request)
		got <- err
	}()
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatalf("waiting: %v", err)
	}
}

func testLockEndsWithSession(t *testing.T, s *suite) {
	request := host.LockRequest{Path: s.path("lock"), Holder: s.holder("first"), Wait: 10 * time.Second}
	s.lock(t, s.h, request)
	if err := s.h.Close(); err != nil {
		t.Fatal(err)
	}
	s.lock(t, s.session(t), request)
}
