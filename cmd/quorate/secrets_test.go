package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// operator runs the real quorate and keeps all it printed.
type operator struct {
	t   *testing.T
	bin string
	dir string
	env []string
	all bytes.Buffer
}

func newOperator(t *testing.T, dir string, env ...string) *operator {
	return &operator{t: t, bin: filepath.Join(binFolder(t), "quorate"), dir: dir, env: append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(dir, ".home"), "NO_COLOR=1",
	}, env...)}
}

func (o *operator) command(args ...string) *exec.Cmd {
	return &exec.Cmd{Path: o.bin, Args: append([]string{"quorate"}, args...), Dir: o.dir, Env: o.env}
}

// run wants an exit code.
func (o *operator) run(want int, args ...string) string {
	o.t.Helper()
	c := o.command(args...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	_ = c.Run() // the code is looked at
	o.all.Write(out.Bytes())
	if got := c.ProcessState.ExitCode(); got != want {
		o.t.Fatalf("quorate %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, want, out.String())
	}
	return out.String()
}

// Nothing that is printed, kept in a journal, a plan or the cache, or shown to
// other processes holds a key, a password or a passphrase.
func TestNoSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { killLeft(t, dir) })
	const passphrase, typo = "correct-horse-battery", "not-the-passphrase"
	text := fmt.Sprintf(`
cluster "vault" {
  connection { type = "local" }
  tls {
    encryption { passphrase = env("CA_PASSPHRASE") }
  }
  member "etcd1" {
    address     = "127.0.0.1"
    client_port = %d
    peer_port   = %d
  }
  client "app" {}
}
`, ports[0], ports[0]+peerOffset)
	if err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	// Whatever is kept for a run is below dir, too.
	scratch := filepath.Join(dir, ".scratch")
	if err := os.Mkdir(scratch, 0o700); err != nil {
		t.Fatal(err)
	}
	o := newOperator(t, dir, "CA_PASSPHRASE="+passphrase, "TMPDIR="+scratch, "XDG_RUNTIME_DIR="+scratch)
	o.run(exitDone, "validate", "--json")
	o.run(exitDone, "plan", "--diff", "all", "-o", "vault.plan")
	o.run(exitDone, "apply", "-y", "--json", "vault.plan")
	o.run(exitDone, "status", "--json")
	o.run(exitDone, "plan", "--json")
	o.run(exitDone, "env")
	o.run(exitDone, "ctl", "put", "k", "v")
	o.run(exitDone, "ctl", "--", "get", "k", "--debug")
	args, environ := o.watch(os.Interrupt)
	if runtime.GOOS == "linux" { // elsewhere there are no files in memory
		o.watch(os.Kill) // leaves nothing either
	}

	wrong := newOperator(t, dir, "CA_PASSPHRASE="+typo)
	wrong.run(exitDone, "apply", "-y") // nothing is to be signed, so nobody opens the key
	wrong.run(exitFailed, "ctl", "get", "k")
	o.all.Write(wrong.all.Bytes())

	// A mistake beside a secret: the excerpt must not show it.
	bad := filepath.Join(t.TempDir(), "bad.hcl")
	if err := os.WriteFile(bad, []byte("cluster \"x\" {\n  connection {\n    password = \"hunter23\"\n    port = password\n  }\n  member \"a\" { address = 7 }\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	o.run(exitUsage, "validate", "-f", bad)

	secrets := map[string]string{"the passphrase": passphrase, "the wrong passphrase": typo, "a password": "hunter23"}
	for name, line := range keyLines(t, dir) {
		secrets[name] = line
	}
	if len(secrets) < 6 { // three, and the keys of the client, the server, the peer
		t.Fatalf("only found %d secrets to look for", len(secrets))
	}
	places := kept(t, dir)
	places["output"], places["arguments of ctl"], places["environment of ctl"] = o.all.String(), args, environ
	for place, content := range places {
		for name, secret := range secrets {
			if place == "environment of ctl" && name == "the passphrase" {
				continue // the operator put it there
			}
			if strings.Contains(content, secret) {
				t.Errorf("%s is in %s", name, place)
			}
		}
		if strings.Contains(content, "PRIVATE KEY") {
			t.Errorf("a private key is in %s", place)
		}
	}
	if strings.Contains(environ, "quorate:") {
		t.Error("the proxy's password is in the environment of ctl")
	}
	o.run(exitDone, "destroy", "-y")
}

// watch starts a watch through ctl, reads what others can see of its processes, and ends it.
func (o *operator) watch(end os.Signal) (args, environ string) {
	o.t.Helper()
	c := o.command("ctl", "watch", "k", "--rev=1")
	r, w, err := os.Pipe()
	if err != nil {
		o.t.Fatal(err)
	}
	defer r.Close()
	c.Stdout = w
	if err := c.Start(); err != nil {
		o.t.Fatal(err)
	}
	w.Close()
	_ = r.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := r.Read(make([]byte, 1)); err != nil { // the first change has come: all of it runs
		o.t.Errorf("the watch saw nothing: %v", err)
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", c.Process.Pid)) // any thread may have started it
	if err != nil {
		o.t.Fatal(err)
	}
	var pids []string
	for _, t := range tasks {
		children, _ := os.ReadFile(t) // the thread may be gone
		pids = append(pids, strings.Fields(string(children))...)
	}
	if runtime.GOOS == "linux" && len(pids) == 0 {
		o.t.Error("ctl has no child")
	}
	for _, pid := range append(pids, fmt.Sprint(c.Process.Pid)) {
		a, _ := os.ReadFile("/proc/" + pid + "/cmdline")
		e, _ := os.ReadFile("/proc/" + pid + "/environ")
		args, environ = args+string(a), environ+string(e)
	}
	_ = c.Process.Signal(end)
	stuck := time.AfterFunc(time.Minute, func() { _ = c.Process.Kill() })
	_ = c.Wait()
	stuck.Stop()
	if got := c.ProcessState.ExitCode(); end != os.Kill && got != exitInterrupted {
		o.t.Errorf("interrupted ctl ended with %d", got)
	}
	for _, pid := range pids { // it is gone, or nobody's who would wait for it
		for until := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
			if len(line) == 0 {
				break
			}
			if time.Now().After(until) {
				o.t.Errorf("a child of ctl outlives it: %q", line)
				break
			}
		}
	}
	return args, environ
}

// keyLines finds every private key below dir and gives a line of each.
func keyLines(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "-key.pem") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if block, _ := pem.Decode(b); block == nil {
			t.Errorf("%s is no key", path)
		}
		out["the key "+filepath.Base(path)] = strings.Split(string(b), "\n")[1]
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// kept is everything below dir that is not a key itself, the spec, or data.
func kept(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "member":
			return filepath.SkipDir
		case d.IsDir(), strings.HasSuffix(path, "-key.pem"), strings.HasSuffix(path, ".hcl"), d.Name() == "kvserver", strings.HasSuffix(path, ".gz"), !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
