package ssh

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
	"quorate/provision/host/hosttest"
)

// shells are login shells, and where each is made to print before a command.
var shells = []struct{ name, rc, say string }{
	{"bash", ".bashenv", "echo hello from an rc file; echo and on the other output >&2"},
	{"dash", "", ""},
	{"zsh", ".zshenv", "echo hello from an rc file; echo and on the other output >&2"},
	{"fish", ".config/fish/config.fish", "echo hello from an rc file; echo and on the other output >&2"},
	{"tcsh", ".tcshrc", "echo hello from an rc file"},
}

// TestLoginShells: a login that OpenSSH accepts works, whatever its shell is and whatever that prints before
// it runs a command; what the command is given and says comes through as it is, with sudo too.
func TestLoginShells(t *testing.T) {
	t.Parallel()
	for _, sh := range shells {
		path, err := exec.LookPath(sh.name)
		if err != nil {
			t.Logf("%s is not installed", sh.name)
			continue
		}
		for _, user := range []string{"root", "ops"} {
			t.Run(sh.name+" "+user, func(t *testing.T) {
				t.Parallel()
				home := t.TempDir()
				if sh.rc != "" {
					rc := filepath.Join(home, sh.rc)
					if err := os.MkdirAll(filepath.Dir(rc), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(rc, []byte(sh.say+"\n"), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				bin, _ := hosttest.FakeSudo(t, "secret", "")
				s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), Bin: bin, Shell: path,
					Env: []string{"HOME=" + home, "BASH_ENV=" + filepath.Join(home, ".bashenv"), "LANG=C.UTF-8"}})
				b := newBox(t, s, user)
				b.c.Sudo, b.c.SudoPassword = "auto", "secret"
				h := New(b.mustDial(t))
				in := "end\n'quoted' !x \\ $HOME\n"
				args := []string{"sh", "-c", `cat; printf '[%s]' "$@"; echo err >&2; exit 3`, "x", "a b", "", `\n \\ '"!x$(id)`, "line\nbreak"}
				want := in + `[a b][][\n \\ '"!x$(id)][line` + "\nbreak]"
				for range 5 {
					r, err := h.Run(t.Context(), host.Command{Argv: args, Stdin: []byte(in)})
					if exit, ok := err.(*host.ExitError); !ok || exit.Code != 3 || string(r.Stdout) != want || string(r.Stderr) != "err\n" {
						t.Fatalf("%v\ngot  %q\nwant %q\nand  %q", err, r.Stdout, want, r.Stderr)
					}
				}
				if l, err := h.Look(t.Context(), host.Query{Files: []host.FileQuery{{Path: "/etc/passwd", Content: true}}}); err != nil || !l.Files["/etc/passwd"].Exists {
					t.Errorf("a look: %v", err)
				}
				file, content := filepath.Join(home, "it's $HOME, ü"), bytes.Repeat([]byte("a\x00\xff\r\nend\n"), 10_000)
				if err := os.WriteFile(file, content, 0o600); err != nil {
					t.Fatal(err)
				}
				var to bytes.Buffer
				if got, err := h.Download(t.Context(), host.Download{Path: file, From: 5, To: &to}); err != nil || got.Size != int64(len(content)) || !bytes.Equal(to.Bytes(), content[5:]) {
					t.Errorf("a download: %+v, %v", got, err)
				}
			})
		}
	}
}

// TestNoLoginShell: where no command runs at all the error names the user, and what was printed instead.
func TestNoLoginShell(t *testing.T) {
	t.Parallel()
	for what, script := range map[string]string{
		"nologin":        "echo 'This account is currently not available.'; exit 1",
		"forced command": "echo 'only backups here' >&2; exit 0",
		"silence":        "exit 0",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			shell := filepath.Join(t.TempDir(), "shell")
			if err := os.WriteFile(shell, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), Shell: shell})
			for _, user := range []string{"root", "ops"} {
				h := New(newBox(t, s, user).mustDial(t))
				said := map[string]string{"nologin": "not available", "forced command": "only backups here", "silence": "printed nothing"}[what]
				_, look := h.Look(t.Context(), host.Query{})
				_, lock := h.Lock(t.Context(), host.LockRequest{Path: t.TempDir() + "/lock"})
				for _, err := range []error{look, lock} {
					if err == nil || !strings.Contains(err.Error(), said) || !strings.Contains(err.Error(), `login shell of user "`+user+`"`) {
						t.Errorf("%s: %v", user, err)
					}
				}
			}
		})
	}
}

// TestOneSudoForAConnection: however many commands run, sudo is called once; one that takes long costs that
// once, and is named. A host with few sessions calls it for each command.
func TestOneSudoForAConnection(t *testing.T) {
	t.Parallel()
	calls := func(t *testing.T, prompts string) int {
		t.Helper()
		text, err := os.ReadFile(prompts + ".argv")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), " -- sh -c")
	}
	for what, tt := range map[string]struct {
		sessions int
		once     bool
	}{"many sessions": {10, true}, "three": {3, true}, "two": {2, false}} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			bin, prompts := hosttest.FakeSudo(t, "secret", "")
			s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), Bin: bin, MaxSessions: tt.sessions})
			b := newBox(t, s, "ops")
			b.c.Sudo, b.c.SudoPassword = "auto", "secret"
			h := New(b.mustDial(t))
			unlock, err := h.Lock(t.Context(), host.LockRequest{Path: t.TempDir() + "/lock"})
			if err != nil {
				t.Fatal(err)
			}
			for range 5 {
				if _, err := h.Run(t.Context(), host.Command{Argv: []string{"true"}}); err != nil {
					t.Fatal(err)
				}
			}
			if err := unlock(); err != nil {
				t.Fatal(err)
			}
			if n := calls(t, prompts); (n == 1) != tt.once {
				t.Errorf("sudo was called %d times", n)
			}
		})
	}
	t.Run("slow", func(t *testing.T) {
		t.Parallel()
		bin, prompts := hosttest.FakeSudo(t, "", "")
		sudo := filepath.Join(bin, "sudo")
		text, err := os.ReadFile(sudo)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(sudo, []byte(strings.Replace(string(text), "\n", "\nsleep 3.2\n", 1)), 0o755); err != nil {
			t.Fatal(err)
		}
		s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), Bin: bin})
		b := newBox(t, s, "ops")
		b.c.Sudo, b.c.Reads = "auto", true
		h := New(b.mustDial(t))
		for range 4 {
			if _, err := h.Run(t.Context(), host.Command{Argv: []string{"true"}}); err != nil {
				t.Fatal(err)
			}
		}
		l, err := h.Look(t.Context(), host.Query{})
		if err != nil || !strings.Contains(l.Facts.Slow, "sudo took ") {
			t.Errorf("%q, %v", l.Facts.Slow, err)
		}
		if n := calls(t, prompts); n != 1 {
			t.Errorf("sudo was called %d times", n)
		}
	})
}

// TestOneSession: a host that allows one session at a time is known by its first look.
func TestOneSession(t *testing.T) {
	t.Parallel()
	bin, _ := hosttest.FakeSudo(t, "", "")
	for sessions, one := range map[int]bool{1: true, 2: false, 10: false} {
		s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), Bin: bin, MaxSessions: sessions})
		for _, user := range []string{"root", "ops"} {
			for _, reads := range []bool{true, false} {
				b := newBox(t, s, user)
				b.c.Sudo, b.c.Reads = "auto", reads
				l, err := New(b.mustDial(t)).Look(t.Context(), host.Query{})
				if err != nil || l.Facts.OneSession != one {
					t.Errorf("%d sessions, %s, reads %v: %v", sessions, user, reads, err)
				}
			}
		}
	}
}

// TestNothingIsLeft: when a connection ends, so do root's shells, and their pipes are gone.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	bin, _ := hosttest.FakeSudo(t, "", "")
	tmp := t.TempDir()
	mktemp := "#!/bin/sh\nexec /usr/bin/mktemp -d " + tmp + "/q-XXXXXX\n"
	if err := os.WriteFile(filepath.Join(bin, "mktemp"), []byte(mktemp), 0o755); err != nil {
		t.Fatal(err)
	}
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), Bin: bin})
	b := newBox(t, s, "ops")
	b.c.Sudo = "auto"
	conn := b.mustDial(t)
	if _, err := New(conn).Run(t.Context(), host.Command{Argv: []string{"true"}}); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(tmp); len(left) != 1 {
		t.Fatalf("the pipes are not where they were looked for: %v", left)
	}
	conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for left, _ := os.ReadDir(tmp); len(left) > 0; left, _ = os.ReadDir(tmp) {
		select {
		case <-ctx.Done():
			t.Fatalf("left: %v", left)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
