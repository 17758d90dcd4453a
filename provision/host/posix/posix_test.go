package posix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/kvserver/node"
	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// shell runs argv on this machine, with another sh in sh's place.
type shell struct {
	sh   []string // what "sh" is
	path string   // PATH
	// alter, if set, changes what comes back on standard output.
	alter func([]byte) []byte
	// cutRequest, if not 0, ends standard input after so many bytes.
	cutRequest int64
}

func (s *shell) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if argv[0] == "sh" {
		argv = append(slices.Clone(s.sh), argv[1:]...)
	}
	if s.cutRequest != 0 && stdin != nil {
		stdin = io.LimitReader(stdin, s.cutRequest)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=" + s.path, "SSH_CONNECTION=198.18.7.7 2222 198.18.0.2 22"}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = stdout, stderr, time.Second
	if s.alter != nil {
		cmd.Stdout = &out
	}
	// As a remote end does: the command's end does not wait for our input.
	in, err := cmd.StdinPipe()
	if err != nil {
		return -1, err
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return 127, nil
		}
		return -1, err
	}
	go func() {
		if stdin != nil {
			_, _ = io.Copy(in, stdin)
		}
		in.Close()
	}()
	err = cmd.Wait()
	if s.alter != nil {
		_, _ = stdout.Write(s.alter(out.Bytes()))
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return -1, ctx.Err()
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	}
	return 0, err
}

func (s *shell) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

func (s *shell) Close() error { return nil }

const plainPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// shells are those that this machine has; busybox also brings its own tools.
func shells(t *testing.T) map[string]*shell {
	found := map[string]*shell{}
	for _, name := range []string{"dash", "bash"} {
		if p, err := exec.LookPath(name); err == nil {
			found[name] = &shell{sh: []string{p}, path: plainPath}
		}
	}
	found["sh"] = &shell{sh: []string{"sh"}, path: plainPath}
	if p, err := exec.LookPath("busybox"); err == nil {
		dir := t.TempDir()
		out, err := exec.Command(p, "--list").Output()
		if err != nil {
			t.Fatal(err)
		}
		for name := range strings.FieldsSeq(string(out)) {
			if name == "busybox" {
				continue
			}
			if err := os.Symlink(p, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		found["busybox"] = &shell{sh: []string{p, "sh"}, path: dir + ":" + plainPath}
	}
	return found
}

func options(root string) Options {
	return Options{Name: "h1", Now: time.Now, IgnoreOwners: os.Geteuid() != 0}
}

func TestSuite(t *testing.T) {
	for name, transport := range shells(t) {
		t.Run(name, func(t *testing.T) {
			hosttest.Suite(t, func(t *testing.T) hosttest.Fixture {
				root := t.TempDir()
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { l.Close() })
				f := hosttest.Fixture{
					Open: func(t *testing.T) host.Host { return New(transport, options(root)) },
					Dir:  filepath.Join(root, "suite"), Elsewhere: hosttest.Shm(t), ListeningPort: l.Addr().(*net.TCPAddr).Port,
					NoServices: "systemd is the lab's",
				}
				if os.Geteuid() == 0 {
					f.Owner = "daemon:bin"
				}
				return f
			})
		})
	}
}

func each(t *testing.T, f func(t *testing.T, s shell, root string)) {
	for name, transport := range shells(t) {
		t.Run(name, func(t *testing.T) { t.Parallel(); f(t, *transport, t.TempDir()) })
	}
}

func TestACutRequestDoesNothing(t *testing.T) {
	each(t, func(t *testing.T, s shell, root string) {
		files := []host.File{{Path: root + "/a", Mode: 0o600, Content: []byte("aaaa")}, {Path: root + "/b", Mode: 0o600}}
		whole := len("f\t600\t-\t\t" + root + "/a\n\n")
		for n := 1; n < 2*whole+140; n += 7 {
			s.cutRequest = int64(n)
			if _, err := New(&s, options(root)).Write(t.Context(), host.WriteRequest{Files: files}); err == nil {
				t.Fatalf("a request cut after %d bytes was obeyed", n)
			}
			if left, _ := os.ReadDir(root); len(left) > 0 {
				t.Fatalf("a request cut after %d bytes left %v", n, left)
			}
		}
		tree := filepath.Join(root, "tree")
		if err := os.Mkdir(tree, 0o755); err != nil {
			t.Fatal(err)
		}
		s.cutRequest = int64(len("t\t" + tree + "\n"))
		if _, err := New(&s, options(root)).Remove(t.Context(), host.RemoveRequest{Entries: []host.Entries{{Dir: root, Names: []string{"tree", "tree-long"}}}}); err == nil {
			t.Fatal("a cut request to remove was obeyed")
		}
		if _, err := os.Stat(tree); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+"/a", []byte("another file"), 0o600); err != nil {
			t.Fatal(err)
		}
		for s.cutRequest = 1; s.cutRequest < int64(len(root+"/ab\n10\nend")); s.cutRequest++ {
			if _, err := New(&s, options(root)).Download(t.Context(), host.Download{Path: root + "/ab", From: 10, To: io.Discard}); err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("a request cut after %d bytes to download: %v", s.cutRequest, err)
			}
		}
	})
}

func TestACutAnswerIsAnError(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(root+"/f", []byte("content\nend\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := shell{sh: []string{"sh"}, path: plainPath}
	q := host.Query{
		Files: []host.FileQuery{{Path: root + "/f", Content: true}}, Dirs: []host.DirQuery{{Path: root}}, Ports: []int{22}, Space: []string{root}, Accounts: []string{"root"},
	}
	var whole []byte
	s.alter = func(b []byte) []byte { whole = bytes.Clone(b); return b }
	if _, err := New(&s, options(root)).Look(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		s.alter = func([]byte) []byte { return whole[:n] }
		if l, err := New(&canned{whole[:n]}, options(root)).Look(t.Context(), q); err == nil {
			t.Fatalf("an answer cut after %d of %d bytes was taken: %+v", n, len(whole), l)
		}
	}
	// Lines that are gone from the middle are missed too.
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for i, line := range lines {
		kind, _, _ := strings.Cut(string(line), "\t")
		if slices.Contains([]string{"dir", "file", "space", "mount", "account", "raw\n", "content", "sha"}, kind) {
			cut := slices.Concat(slices.Concat(lines[:i]...), slices.Concat(lines[i+1:]...))
			if _, err := New(&canned{cut}, options(root)).Look(t.Context(), q); err == nil {
				t.Errorf("an answer without %q was taken", line)
			}
		}
	}
}

// canned answers every script alike.
type canned struct{ answer []byte }

func (c *canned) Exec(_ context.Context, _ []string, _ io.Reader, stdout, _ io.Writer) (int, error) {
	_, err := stdout.Write(c.answer)
	return 0, err
}

func (c *canned) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("not dialled")
}
func (c *canned) Close() error { return nil }

func TestUploadSaysWhereSpaceIsMissing(t *testing.T) {
	each(t, func(t *testing.T, s shell, root string) {
		blob := hugeBlob{host.BytesBlob([]byte("small"))}
		_, err := New(&s, options(root)).Upload(t.Context(), host.Upload{Path: root + "/bin/kvserver", Mode: 0o755, Blob: blob})
		if err == nil || !strings.Contains(err.Error(), root+"/bin/kvserver") || !strings.Contains(err.Error(), fmt.Sprint(blob.Size()+spaceMargin)) {
			t.Fatalf("got %v", err)
		}
		if left, _ := os.ReadDir(root); len(left) > 0 {
			t.Fatalf("left behind: %v", left)
		}
	})
}

type hugeBlob struct{ host.Blob }

func (hugeBlob) Size() int64 { return 1 << 60 }

func TestWhoListens(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Logf("not on this machine: %v", err)
			continue
		}
		t.Cleanup(func() { l.Close() })
		each(t, func(t *testing.T, s shell, root string) {
			port := l.Addr().(*net.TCPAddr).Port
			look, err := New(&s, options(root)).Look(t.Context(), host.Query{Ports: []int{port}})
			if err != nil {
				t.Fatal(err)
			}
			if p := look.Ports[port]; len(p.Listeners) != 1 || p.Listeners[0].PID != os.Getpid() || p.Listeners[0].Process != "posix.test" || p.Listeners[0].Address != l.Addr().(*net.TCPAddr).IP.String() {
				t.Errorf("%+v, want pid %d", p, os.Getpid())
			}
		})
	}
}

func TestLeftoversOfAKilledRunGo(t *testing.T) {
	each(t, func(t *testing.T, s shell, root string) {
		for _, name := range []string{".f.quorate-12345", ".bin.quorate-12345"} {
			if err := os.WriteFile(filepath.Join(root, name), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		h := New(&s, options(root))
		if _, err := h.Write(t.Context(), host.WriteRequest{Files: []host.File{{Path: root + "/f", Mode: 0o600}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Upload(t.Context(), host.Upload{Path: root + "/bin", Mode: 0o755, Blob: host.BytesBlob([]byte("b"))}); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(root)
		if err != nil || len(entries) != 2 {
			t.Fatalf("%v, %v", entries, err)
		}
	})
}

func TestLinksAreSeenAndReplaced(t *testing.T) {
	each(t, func(t *testing.T, s shell, root string) {
		target, link := root+"/target", root+"/link"
		if err := os.WriteFile(target, []byte("same"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		h := New(&s, options(root))
		l, err := h.Look(t.Context(), host.Query{Files: []host.FileQuery{{Path: link, Content: true}}})
		if err != nil || l.Files[link].Type != "link" || l.Files[link].Digest != "" {
			t.Fatalf("%+v, %v", l, err)
		}
		c, err := h.Write(t.Context(), host.WriteRequest{Files: []host.File{{Path: link, Mode: 0o600, Content: []byte("same")}}})
		if err != nil || !c[0].Changed {
			t.Fatalf("%+v, %v", c, err)
		}
		if info, err := os.Lstat(link); err != nil || !info.Mode().IsRegular() {
			t.Fatalf("%v, %v", info, err)
		}
		if text, _ := os.ReadFile(target); string(text) != "same" {
			t.Fatal("the link's target was written")
		}
	})
}

func TestTheHolderTellsWhereFrom(t *testing.T) {
	each(t, func(t *testing.T, s shell, root string) {
		r := host.LockRequest{Path: root + "/lock", Holder: host.Holder{Who: "me", From: "unused"}}
		first, second := New(&s, options(root)), New(&s, options(root))
		defer first.Close()
		if _, err := first.Lock(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		var held *host.LockedError
		if _, err := second.Lock(t.Context(), r); !errors.As(err, &held) || held.Holder.From != "198.18.7.7" {
			t.Fatalf("got %v", err)
		}
	})
}

func TestALostLockStopsChanges(t *testing.T) {
	root := t.TempDir()
	s := shell{sh: []string{"sh"}, path: plainPath}
	life, kill := context.WithCancel(t.Context())
	h := New(&mortal{shell: s, life: life}, options(root))
	defer h.Close()
	if _, err := h.Lock(t.Context(), host.LockRequest{Path: root + "/lock"}); err != nil {
		t.Fatal(err)
	}
	kill()
	w := host.WriteRequest{Files: []host.File{{Path: root + "/f", Mode: 0o600}}}
	for range 1000 {
		if _, err := h.Write(t.Context(), w); err != nil {
			if !strings.Contains(err.Error(), "lock on host") {
				t.Fatal(err)
			}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the host can be changed although the lock was lost")
}

// mortal ends long commands with its life, and lets the others be.
type mortal struct {
	shell
	life context.Context
}

func (m *mortal) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if slices.Contains(argv, "quorate-lock") {
		ctx = m.life
	}
	return m.shell.Exec(ctx, argv, stdin, stdout, stderr)
}

func TestSystemTreesAreNotRemoved(t *testing.T) {
	h := New(&canned{[]byte("end\n")}, options("/tmp"))
	entry := func(dir, name string) host.RemoveRequest {
		return host.RemoveRequest{Entries: []host.Entries{{Dir: dir, Names: []string{name}}}}
	}
	for _, r := range []host.RemoveRequest{
		entry("/", "etc"), entry("/var", "lib"), entry("/usr/local", "bin"), entry("/var/..", "etc"), entry("relative", "x"),
		entry("/a/", "b"), entry("/a\nb", "c"), entry(`/a\b`, "c"), entry("/var", ""), entry("/var", ".."), entry("/var", "lib/etcd"),
	} {
		if _, err := h.Remove(t.Context(), r); err == nil {
			t.Errorf("%+v would have been removed", r)
		}
	}
	for _, r := range []host.RemoveRequest{entry("/var/lib", "etcd"), entry("/", "data")} {
		if _, err := h.Remove(t.Context(), r); err != nil {
			t.Error(err)
		}
	}
}

func TestTheConfigDigestsNameIsKvservers(t *testing.T) {
	if line := "^" + node.ConfigDigestEnv + "="; !strings.Contains(lookScript, line) || !strings.Contains(serviceScript, line) {
		t.Fatal("the scripts look for another variable than kvserver sets")
	}
}

func TestScriptsFitSSH(t *testing.T) {
	for name, script := range map[string]string{"look": lookScript, "write": writeScript, "service": serviceScript} {
		if n := len(strings.Join(scriptArgv(name, script), " ")); n > 16<<10 {
			t.Errorf("%s takes %d bytes", name, n)
		}
		if strings.Contains(compact(script), "\n#") {
			t.Errorf("%s travels with its comments", name)
		}
	}
}

// endless says something for ever.
type endless struct {
	canned
	first string
}

func (e *endless) Exec(ctx context.Context, _ []string, _ io.Reader, stdout, _ io.Writer) (int, error) {
	_, err := io.WriteString(stdout, e.first)
	for x := bytes.Repeat([]byte("x"), 1<<20); err == nil && ctx.Err() == nil; {
		_, err = stdout.Write(x)
	}
	return -1, errors.Join(ctx.Err(), err)
}

// TestLockOnAHostThatNeverStopsTalking: what it says of the lock, and of the look with it, is bounded.
func TestLockOnAHostThatNeverStopsTalking(t *testing.T) {
	t.Parallel()
	r := host.LockRequest{Path: "/lock"}
	if _, err := New(&endless{}, options("/")).Lock(t.Context(), r); err == nil {
		t.Error("it is locked, it is said in no words")
	}
	r.Look, r.Found = &host.Query{}, func(*host.Look) { t.Error("it was seen, it is said in no words") }
	h := New(&endless{first: "locked\nend\n"}, options("/"))
	unlock, err := h.Lock(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	lost := h.lost
	h.mu.Unlock()
	if lost != nil {
		t.Errorf("the lock that it gave was lost: %v", lost)
	}
	go func() { _ = unlock() }()
	_ = h.Close()
}
