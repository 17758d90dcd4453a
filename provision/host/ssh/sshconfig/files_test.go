package sshconfig

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func put(t *testing.T, dir, name, text string, mode fs.FileMode) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(p, mode); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestUserThenSystem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, etc := filepath.Join(dir, "home"), filepath.Join(dir, "etc")
	files := []File{
		{Name: put(t, home, ".ssh/config", "Include mine\nHost a\nPort 1\n", 0o600), User: true, Guarded: true},
		{Name: put(t, etc, "ssh_config", "Include ssh_config.d/*.conf\nPort 2\nUser system\n", 0o666)},
		{Name: filepath.Join(etc, "nowhere")},
	}
	put(t, home, ".ssh/mine", "HostKeyAlias mine\n", 0o644)
	put(t, etc, "ssh_config.d/x.conf", "BindAddress ::1\nHostKeyAlias system\n", 0o644)
	q := Query{Host: "a", Home: home, Etc: etc, LocalUser: "me", Read: ReadFile, Glob: Glob}
	s, err := Evaluate(q, files...)
	if err != nil || s.Port != 1 || s.User != "system" || s.HostKeyAlias != "mine" || s.BindAddress != "::1" || s.GlobalKnownHostsFile[0] != etc+"/ssh_known_hosts" {
		t.Errorf("%+v, %v", s, err)
	}
	put(t, etc, "ssh_config", "Include ~/x\n", 0o644)
	if _, err := Evaluate(q, files...); err == nil || !strings.Contains(err.Error(), "~ is only for") {
		t.Error(err)
	}
	files[2].Required = true
	put(t, etc, "ssh_config", "", 0o644)
	if _, err := Evaluate(q, files...); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestFilesOfOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q := Query{Host: "a", Home: dir, LocalUser: "me", Read: ReadFile, Glob: Glob}
	for name, c := range map[string]struct {
		outer, inner fs.FileMode
		words        string // "" is fine
	}{
		"mine":                {0o600, 0o644, ""},
		"group may write":     {0o620, 0o600, "outer"},
		"others may write":    {0o602, 0o600, "outer"},
		"an included file is": {0o600, 0o660, "inner"},
	} {
		dir := filepath.Join(dir, name)
		inner := put(t, dir, "inner", "Port 1\n", c.inner)
		_, err := Evaluate(q, File{Name: put(t, dir, "outer", "Include \""+inner+"\"\n", c.outer), User: true, Guarded: true})
		if (err == nil) != (c.words == "") || err != nil && (!strings.Contains(err.Error(), c.words) || !strings.Contains(err.Error(), "chmod")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if os.Getuid() != 0 {
		return // only root can give files away
	}
	p := put(t, dir, "foreign", "", 0o600)
	if err := os.Chown(p, 12345, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(p, true); err == nil || !strings.Contains(err.Error(), "somebody else") {
		t.Error(err)
	}
	if _, err := ReadFile(p, false); err != nil {
		t.Error(err)
	}
}

func TestPureParts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q := Query{
		Host: "a", Home: "/home/me", LocalUser: "me", Glob: Glob,
		HomeOf: func(name string) (string, error) { return "/home/" + name, nil },
		Read:   func(string, bool) ([]byte, error) { return []byte("IdentityFile ~other/k\nUser %u-%n\n"), nil },
	}
	s, err := Evaluate(q, File{Name: dir})
	if err != nil || s.IdentityFile[0] != "/home/other/k" || s.User != "me-a" {
		t.Errorf("%+v, %v", s, err)
	}
	q.Read = func(string, bool) ([]byte, error) { return []byte("ProxyJump gate\nProxyCommand x\n"), nil }
	q.Jump = "none"
	if s, err = Evaluate(q, File{Name: dir}); err != nil || s.ProxyJump != nil || s.ProxyCommand != "" {
		t.Errorf("%+v, %v", s, err)
	}
}
