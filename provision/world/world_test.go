package world

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	etcd "go.etcd.io/etcd/api/v3/version"

	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision/host"
	"quorate/provision/host/ssh"
)

// fakeELF writes a file with the header of a Linux executable for a machine (ELF's number).
func fakeELF(t *testing.T, path string, machine uint16) {
	t.Helper()
	h := make([]byte, 64)
	copy(h, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(h[16:], 2) // executable
	binary.LittleEndian.PutUint16(h[18:], machine)
	binary.LittleEndian.PutUint32(h[20:], 1)
	binary.LittleEndian.PutUint16(h[52:], 64)
	if err := os.WriteFile(path, h, 0o755); err != nil {
		t.Fatal(err)
	}
}

const amd64, arm64, riscv = 62, 183, 243

func TestFindKVServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := Environment{CacheDir: t.TempDir(), Executable: filepath.Join(dir, "quorate")}
	c := &spec.Cluster{Name: "lab", Dir: filepath.ToSlash(t.TempDir())}
	find := func(platform string) (string, error) {
		got, err := newBinaries(c, e).Find(platform)
		if err != nil {
			return "", err
		}
		return got["kvserver"].Blob.Digest(), nil
	}
	if _, err := find("linux/amd64"); err == nil || !strings.Contains(err.Error(), "kvserver-linux-amd64 does not exist") {
		t.Errorf("nothing is there: %v", err)
	}
	fakeELF(t, filepath.Join(dir, "kvserver"), amd64)
	plain, err := find("linux/amd64")
	if err != nil || plain == "" {
		t.Fatal(err)
	}
	if _, err := find("linux/arm64"); err == nil || !strings.Contains(err.Error(), "kvserver is for linux/amd64") {
		t.Errorf("another architecture: %v", err)
	}
	fakeELF(t, filepath.Join(dir, "kvserver-linux-arm64"), arm64)
	named, err := find("linux/arm64")
	if err != nil || named == plain {
		t.Errorf("by its full name: %q, %v", named, err)
	}
	// A wrong name does not help.
	fakeELF(t, filepath.Join(dir, "kvserver-linux-riscv64"), riscv)
	fakeELF(t, filepath.Join(dir, "kvserver-linux-arm64"), amd64)
	if _, err := find("linux/arm64"); err == nil {
		t.Error("a binary under the wrong name was taken")
	}
	if err := os.WriteFile(filepath.Join(dir, "kvserver"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := find("linux/amd64"); err == nil || !strings.Contains(err.Error(), "no executable") {
		t.Errorf("a script: %v", err)
	}
	// The spec's place, a folder or a file, relative to the spec.
	mine := filepath.Join(filepath.FromSlash(c.Dir), "mine")
	fakeELF(t, mine, amd64)
	c.Server.Binary = "mine"
	if got, err := find("linux/amd64"); err != nil || got == "" {
		t.Errorf("a file of the spec: %v", err)
	}
	c.Server.Binary = "nowhere"
	if _, err := find("linux/amd64"); err == nil {
		t.Error("found nowhere")
	}
}

// A kvserver with another digest than the spec pins is not found, and so never pushed.
func TestKVServerPinned(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := Environment{CacheDir: t.TempDir(), Executable: filepath.Join(dir, "quorate")}
	c := &spec.Cluster{Name: "lab", Dir: filepath.ToSlash(dir)}
	path := filepath.Join(dir, "kvserver")
	fakeELF(t, path, amd64)
	found, err := newBinaries(c, e).Find("linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	is, other := found["kvserver"].Blob.Digest(), strings.Repeat("0", 64)
	for _, tc := range []struct {
		pins map[string]string
		want string // of the error; "" is success
	}{
		{nil, ""},
		{map[string]string{"amd64": is, "arm64": other}, ""},
		{map[string]string{"amd64": other}, "kvserver at " + path + " is not the one that the spec pins (server: kvserver_sha256): its sha256 is " + is + " and not " + other},
		{map[string]string{"arm64": is}, "has no sha256 of one for amd64: that of " + path + " is " + is},
	} {
		c.Server.KVServerSHA256 = tc.pins
		got, err := newBinaries(c, e).Find("linux/amd64")
		if tc.want == "" && err != nil || tc.want != "" && (got != nil || err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("pins %v: %v, %v", tc.pins, got, err)
		}
	}
}

// This test's own binary is a real one, of this platform; it holds no server,
// so what this program was built with counts.
func TestSelf(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := platformOf(self); err != nil || got != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("%s, %v", got, err)
	}
	if got := etcdVersion(self); got != etcd.Version {
		t.Errorf("etcd %s", got)
	}
}

func TestUpstream(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fakeELF(t, filepath.Join(dir, "kvserver"), amd64)
	fakeELF(t, filepath.Join(dir, "etcd"), amd64)
	raw, err := os.ReadFile(filepath.Join(dir, "etcd"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	c := &spec.Cluster{Name: "lab", Dir: filepath.ToSlash(dir)}
	c.Server.Etcd = &spec.Release{Version: "3.6.11", Sources: map[string]spec.Source{"amd64": {URL: "etcd", SHA256: hex.EncodeToString(sum[:])}}}
	e := Environment{CacheDir: t.TempDir(), Executable: filepath.Join(dir, "quorate")}
	b := newBinaries(c, e)
	got, err := b.Find("linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	// A look fetches nothing, and knows the archive.
	if s := got["etcd"]; s.Blob != nil || s.Version != "3.6.11" || s.Archive != (plan.Archive{URL: "etcd", SHA256: hex.EncodeToString(sum[:])}) {
		t.Errorf("%+v", s)
	}
	if left, _ := os.ReadDir(filepath.Join(e.CacheDir, "etcd")); len(left) > 0 {
		t.Errorf("a look wrote %v", left)
	}
	heard := int64(0)
	if s, err := b.Fetch(t.Context(), "linux/amd64", func(got, _ int64) { heard = got }); err != nil || s.Blob == nil || heard != int64(len(raw)) {
		t.Fatalf("%+v, %v, %d bytes", s, err, heard)
	}
	if got, err = b.Find("linux/amd64"); err != nil {
		t.Fatal(err)
	}
	if s := got["etcd"]; s.Version != "3.6.11" || s.Blob.Digest() != hex.EncodeToString(sum[:]) {
		t.Errorf("%+v", s)
	}
	fakeELF(t, filepath.Join(dir, "kvserver-linux-arm64"), arm64)
	if _, err := newBinaries(c, e).Find("linux/arm64"); err == nil || !strings.Contains(err.Error(), "no source of etcd 3.6.11 for arm64") {
		t.Errorf("%v", err)
	}
	c.Server.Etcd.Sources["amd64"] = spec.Source{URL: "etcd", SHA256: strings.Repeat("0", 64)}
	if _, err := newBinaries(c, e).Fetch(t.Context(), "linux/amd64", nil); err == nil || !strings.Contains(err.Error(), "its sha256 is") {
		t.Errorf("a wrong digest: %v", err)
	}
	c.Server.Etcd.Sources["amd64"] = spec.Source{URL: "nowhere.tar.gz", SHA256: strings.Repeat("0", 64)}
	if got, err := newBinaries(c, e).Find("linux/amd64"); err != nil || !strings.Contains(got["etcd"].Problem, "nowhere.tar.gz") {
		t.Errorf("a path that is not there: %+v, %v", got["etcd"], err)
	}
}

// What a binary says about itself wins over a slip of the pen in the spec.
func TestUpstreamVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := filepath.Join(dir, "kvserver")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", server, "quorate/cmd/kvserver") // as make build does: the cache serves both
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := etcdVersion(server); got != etcd.Version {
		t.Errorf("it holds etcd %s", got)
	}
	f, err := os.Open(server)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	c := &spec.Cluster{Name: "lab", Dir: filepath.ToSlash(dir)}
	c.Server.Binary = "kvserver"
	c.Server.Etcd = &spec.Release{Version: "3.5.32", Sources: map[string]spec.Source{"amd64": {URL: "kvserver", SHA256: hex.EncodeToString(h.Sum(nil))}}}
	_, err = newBinaries(c, Environment{CacheDir: t.TempDir()}).Fetch(t.Context(), "linux/amd64", nil)
	if err == nil || !strings.Contains(err.Error(), "says that it is "+etcd.Version+", the spec says 3.5.32") {
		t.Error(err)
	}
}

func TestStamps(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "stamps")
	c := &spec.Cluster{Name: "lab", Dir: "/specs", Members: []*spec.Member{{Name: "etcd1", Address: "10.0.0.1"}}}
	s := openStamps(dir, c)
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("nothing was seen and something was written")
	}
	s.Seen("etcd1", "/bin/x", "1:2:3", "abc")
	s.Seen("etcd1", "/bin/y", "", "abc") // a look that gave no stamp
	if err := s.Save(); err != nil {
		t.Fatal(err)
	}
	s = openStamps(dir, c)
	if st, d := s.Known("etcd1", "/bin/x"); st != "1:2:3" || d != "abc" {
		t.Errorf("%q %q", st, d)
	}
	if st, _ := s.Known("etcd1", "/bin/y"); st != "" {
		t.Errorf("%q", st)
	}
	// The same name on another machine is another file.
	c.Members[0].Address = "10.0.0.2"
	if st, _ := openStamps(dir, c).Known("etcd1", "/bin/x"); st != "" {
		t.Error("another machine's digest was taken")
	}
	// Losing it costs time only.
	c.Members[0].Address = "10.0.0.1"
	if err := os.WriteFile(s.path, []byte("{broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if st, _ := openStamps(dir, c).Known("etcd1", "/bin/x"); st != "" {
		t.Error("a broken file was believed")
	}
}

func TestRemember(t *testing.T) {
	t.Parallel()
	if remember(nil) != nil {
		t.Error("nobody became somebody")
	}
	var asked []string
	ask := remember(func(q string, fresh bool) (string, error) {
		asked = append(asked, q) // unguarded on purpose: one question at a time
		if q == "c" {
			return "", errors.New("closed")
		}
		return "answer " + q, nil
	})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, q := range []string{"a", "b"} {
				if got, err := ask(q, false); got != "answer "+q || err != nil {
					t.Errorf("%q, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
	if len(asked) != 2 {
		t.Errorf("asked %q", asked)
	}
	if _, err := ask("c", false); err == nil {
		t.Error("no error")
	}
	_, _ = ask("a", true)
	if len(asked) != 4 {
		t.Errorf("a fresh one is asked for again: %q", asked)
	}
}

func TestSSHConfig(t *testing.T) {
	t.Parallel()
	c := &spec.Cluster{Name: "lab", Dir: "/specs"}
	m := &spec.Member{Name: "etcd1", Address: "10.0.0.1", Connection: spec.Connection{
		Type: "ssh", Port: 2222, User: "ops", IdentityFile: []string{"keys/id", "/abs/id"}, Passphrase: spec.NewSecret("pp"),
		Password: spec.NewSecret("pw"), SudoPassword: spec.NewSecret("sp"), SSHConfig: "ssh/config", KnownHostsFile: "known",
		ProxyJump: []string{"bastion"}, HostKeys: []string{"SHA256:x"}, StrictHostKeyChecking: "yes", Sudo: "always",
		Agent: true, ConnectTimeout: time.Second, WaitForHost: time.Minute, KeepAlive: 15 * time.Second,
	}}
	e := Environment{
		Home: "/home/me", User: "me", Hostname: "desk", AuthSock: "/sock", Clock: clock,
		Env: func(name string) (string, bool) { return name, true },
	}
	env := func(c ssh.Config) string { v, _ := c.Env("SHELL"); return v }
	got := sshConfig(c, m, e)
	for what, ok := range map[string]bool{
		"address":   got.Host == "10.0.0.1" && got.Port == 2222 && got.Name == "etcd1",
		"login":     got.User == "ops" && got.Passphrase == "pp" && got.Password == "pw" && got.SudoPassword == "sp" && got.Sudo == "always",
		"keys":      len(got.IdentityFile) == 2 && got.IdentityFile[0] == "/specs/keys/id" && got.IdentityFile[1] == "/abs/id",
		"files":     got.SSHConfig == "/specs/ssh/config" && got.KnownHostsFile == "/specs/known",
		"host keys": len(got.HostKeys) == 1 && got.StrictHostKeyChecking == "yes" && len(got.ProxyJump) == 1,
		"times":     got.ConnectTimeout == time.Second && got.WaitForHost == time.Minute && got.KeepAlive == 15*time.Second && got.Now != nil,
		"around":    got.Home == "/home/me" && got.LocalUser == "me" && got.LocalHost == "desk" && env(got) == "SHELL" && got.AuthSock == "/sock" && got.Agent && got.Prompt == nil,
	} {
		if !ok {
			t.Errorf("%s: %+v", what, got)
		}
	}
	m.Connection.Host, m.Connection.SSHConfig, m.Connection.KnownHostsFile = "alias", "none", ""
	e.Prompt = func(q string, fresh bool) (string, error) { return q, nil }
	got = sshConfig(c, m, e)
	if got.Host != "alias" || got.SSHConfig != "none" || got.KnownHostsFile != "" {
		t.Errorf("%+v", got)
	}
	if q, _ := got.Prompt(t.Context(), "/k"); q != "Passphrase for the SSH key /k" {
		t.Errorf("asks %q", q)
	}
}

// Both kinds of connection come out of the same door.
func TestConnect(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := &spec.Cluster{Name: "lab", Dir: filepath.ToSlash(dir)}
	local := &spec.Member{Name: "etcd1", Address: "127.0.0.1", Connection: spec.Connection{Type: "local", Root: "root"}}
	remote := &spec.Member{Name: "etcd2", Address: "127.0.0.1", Connection: spec.Connection{Type: "ssh", Port: 1, SSHConfig: "none", ConnectTimeout: time.Second}}
	c.Members = []*spec.Member{local, remote}
	w, err := New(c, Environment{Clock: clock, Home: dir, User: "me", Hostname: "desk", CacheDir: filepath.Join(dir, "cache"), Run: "r1", Runs: "runs"})
	if err != nil {
		t.Fatal(err)
	}
	if w.Holder.Who != "me@desk" || w.Holder.Run != "r1" || w.Runs != "runs" {
		t.Errorf("%+v %s", w.Holder, w.Runs)
	}
	h, err := w.Connect(t.Context(), local)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	look, err := h.Look(t.Context(), host.Query{})
	if err != nil || look.Facts.Arch != runtime.GOARCH || h.Name() != "etcd1" {
		t.Errorf("%+v, %v", look, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var unreachable *host.UnreachableError
	if _, err := w.Connect(ctx, remote); !errors.As(err, &unreachable) {
		t.Errorf("port 1: %v", err)
	}
}
