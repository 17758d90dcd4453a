package stories

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quorate/test/lab"
)

func contains(r result, secret string) bool {
	return strings.Contains(r.stdout, secret) || strings.Contains(r.stderr, secret)
}

// body is the text between the lines that frame a PEM block, the part that
// must not be anywhere else.
func body(pem string) string {
	var longest string
	for line := range strings.Lines(pem) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "-----") && len(line) > len(longest) {
			longest = line
		}
	}
	return longest
}

// No password, passphrase or private key is in any output, journal, plan,
// manifest or log, nor in the arguments of any process on the hosts.
func TestSecretsStayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	const passphrase = "open-sesame-4711"
	s.spec(`
  connection {
    user          = "` + lab.UserSudoPW + `"
    sudo_password = env("SUDO_PASSWORD")
  }
  tls {
    encryption { passphrase = env("PASSPHRASE") }
  }
  client "app" {}`)
	env := []string{"SUDO_PASSWORD=" + s.Password(), "PASSPHRASE=" + passphrase}
	run := func(args ...string) result { return s.must(append(append([]string(nil), env...), args...)...) }

	// A watcher on each host notes the arguments and environment of every process it meets.
	for _, h := range s.Hosts() {
		s.check(h.WriteFile(s.Context(), "/root/watch.sh", []byte(`
			while :; do
				cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n'
			done | awk '!seen[$0]++ { print; fflush() }' >/root/seen`)))
		s.on(h, "systemd-run", "--quiet", "--unit=watch", "--nice=5", "sh", "/root/watch.sh")
	}
	var said []result
	said = append(said, run("plan", "-o", "lab.plan", "--diff=all"), run("plan", "--json"))
	said = append(said, run("apply", "-y", "lab.plan"), run("status", "--json"), run("plan"), run("apply", "-y", "--json"))
	said = append(said, s.quorate("SUDO_PASSWORD=wrong-0815", "PASSPHRASE="+passphrase, "apply", "-y"))
	said = append(said, s.quorate("SUDO_PASSWORD="+s.Password(), "PASSPHRASE=wrong-0816", "apply", "-y"))

	secrets := map[string]string{
		"the sudo password": s.Password(), "the passphrase": passphrase,
		"a wrong sudo password": "wrong-0815", "a wrong passphrase": "wrong-0816",
	}
	for _, h := range s.Hosts() {
		files := s.shell(h, "find / -xdev -name '*-key.pem' -not -path '/proc/*'")
		if len(strings.Fields(files)) < 3 {
			t.Errorf("%s: the keys are not where this story looks: %q", h.Name(), files)
		}
		for _, f := range strings.Fields(files) {
			secrets["the key "+f+" of "+h.Name()] = body(s.on(h, "cat", f))
		}
	}
	app, err := os.ReadFile(filepath.Join(s.dir, "pki/lab/clients/app-key.pem"))
	s.check(err)
	secrets["the key of client app"] = body(string(app))

	for what, secret := range secrets {
		if len(secret) < 8 {
			t.Fatalf("%s is too short to look for: %q", what, secret)
		}
		for _, r := range said {
			if contains(r, secret) {
				t.Errorf("%s is in the output of quorate %s", what, strings.Join(r.args, " "))
			}
		}
	}
	s.noSecretInFiles(secrets)
	for _, h := range s.Hosts() {
		journal, err := h.Journal(s.Context(), "")
		s.check(err)
		if !strings.Contains(journal, "COMMAND=") {
			t.Errorf("%s: sudo logged no command, so this story sees nothing", h.Name())
		}
		s.on(h, "systemctl", "stop", "watch")
		if seen := s.on(h, "cat", "/root/seen"); !strings.Contains(seen, "kvserver") {
			t.Errorf("%s: the watcher saw no process of ours, so this story sees nothing", h.Name())
		}
		places := map[string]string{
			"the journal": journal, "the arguments or environment of a process": s.on(h, "cat", "/root/seen"),
			"a manifest or configuration": s.shell(h, "find /etc/quorate /etc/systemd/system /run/quorate -type f ! -name '*-key.pem' -exec cat {} +"),
		}
		for where, text := range places {
			for what, secret := range secrets {
				if strings.Contains(text, secret) {
					t.Errorf("%s: %s is in %s", h.Name(), what, where)
				}
			}
		}
	}
}

// noSecretInFiles looks through everything on the operator's side.
func (s *stage) noSecretInFiles(secrets map[string]string) {
	s.Helper()
	files := 0
	s.check(filepath.WalkDir(s.op.Home(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for what, secret := range secrets {
			own := what == "the key of client app" && filepath.Base(path) == "app-key.pem"
			if !own && bytes.Contains(b, []byte(secret)) {
				s.Errorf("%s is in %s", what, path)
			}
		}
		return nil
	}))
	if files < 5 {
		s.Errorf("only %d files on the operator's side: this story looks in the wrong place", files)
	}
	info, err := os.Stat(filepath.Join(s.dir, "pki/lab/ca-key.pem.age"))
	s.check(err)
	if info.Mode().Perm() != 0o600 {
		s.Errorf("the CA's key has mode %o", info.Mode().Perm())
	}
}
