package sshconfig

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// story is a file of testdata: its first lines say what is asked, DIR is the
// folder of the files, and HOME's .ssh is among them.
//
//	ask HOST [USER [PORT]]       compare what ssh -G says with what Evaluate says
//	want HOST KEYWORD VALUE…     what Evaluate says, where no ssh need be asked
//	refuse HOST WORDS…           Evaluate's error has the words
//	both                         ssh refuses what we refuse
//	since VERSION                an older ssh is not asked
//	no exec                      there is nobody to run Match exec
type story struct {
	name, dir string
	asks      [][]string
	wants     [][]string
	refusals  [][]string
	both      bool
	since     float64
	noExec    bool
}

func stories(t *testing.T) []story {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d stories, %v", len(files), err)
	}
	var all []story
	for _, f := range files {
		a, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		s := story{name: strings.TrimSuffix(filepath.Base(f), ".txt"), dir: t.TempDir()}
		for line := range strings.Lines(string(a.Comment)) {
			w := strings.Fields(line)
			switch {
			case len(w) == 0 || w[0] == "#":
			case w[0] == "ask":
				s.asks = append(s.asks, w[1:])
			case w[0] == "want":
				s.wants = append(s.wants, w[1:])
			case w[0] == "refuse":
				s.refusals = append(s.refusals, w[1:])
			case w[0] == "both":
				s.both = true
			case w[0] == "since":
				s.since, _ = strconv.ParseFloat(w[1], 64)
			case w[0] == "no":
				s.noExec = true
			default:
				t.Fatalf("%s: %q", f, line)
			}
		}
		for _, f := range a.Files {
			p := filepath.Join(s.dir, f.Name)
			if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, bytes.ReplaceAll(f.Data, []byte("DIR"), []byte(s.dir)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, s)
	}
	return all
}

// query asks like ssh -F config [-l USER] [-p PORT] HOST.
func (s story) query(t *testing.T, ask []string) (Query, File) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(me.Uid)
	q := Query{
		Host: ask[0], Home: me.HomeDir, LocalUser: me.Username, LocalHost: here, UID: uid, Read: ReadFile,
		Env: func(name string) (string, bool) { v, ok := environment(s)[name]; return v, ok },
		Glob: func(p string) ([]string, error) { // glob(3) asks HOME, everything else the password file
			return Glob(strings.Replace(p, me.HomeDir+"/", s.dir+"/", 1))
		},
		Exec: func(command string) (bool, error) { return exec.Command("/bin/sh", "-c", command).Run() == nil, nil },
	}
	if s.noExec {
		q.Exec = nil
	}
	if len(ask) > 1 {
		q.User = ask[1]
	}
	if len(ask) > 2 {
		q.Port, _ = strconv.Atoi(ask[2])
	}
	return q, File{Name: filepath.Join(s.dir, "config"), User: true, Required: true}
}

func environment(s story) map[string]string {
	return map[string]string{"HOME": s.dir, "PATH": os.Getenv("PATH"), "SHELL": "/bin/sh", "PLACE": "here", "SOCKET": "/run/other"}
}

// openSSH runs ssh -G.
func (s story) openSSH(ssh string, ask []string) (map[string][]string, error) {
	args := []string{"-G", "-F", filepath.Join(s.dir, "config")}
	if len(ask) > 1 {
		args = append(args, "-l", ask[1])
	}
	if len(ask) > 2 {
		args = append(args, "-p", ask[2])
	}
	c := exec.Command(ssh, append(args, "--", ask[0])...)
	for k, v := range environment(s) {
		c.Env = append(c.Env, k+"="+v)
	}
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.Bytes())
	}
	said := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		said[k] = append(said[k], v)
	}
	return said, nil
}

// say is what ssh -G would print of the settings.
func say(s Settings) map[string][]string {
	said := map[string][]string{
		"hostname": {s.HostName}, "port": {strconv.Itoa(s.Port)}, "user": {s.User}, "identityfile": s.IdentityFile, "certificatefile": s.CertificateFile,
		"identitiesonly":        {map[bool]string{true: "yes", false: "no"}[s.IdentitiesOnly]},
		"userknownhostsfile":    {strings.Join(s.UserKnownHostsFile, " ")},
		"globalknownhostsfile":  {strings.Join(s.GlobalKnownHostsFile, " ")},
		"stricthostkeychecking": {map[string]string{"yes": "true", "no": "false", "off": "false"}[s.StrictHostKeyChecking]},
		"addressfamily":         {s.AddressFamily},
	}
	if v := said["stricthostkeychecking"]; v[0] == "" {
		v[0] = s.StrictHostKeyChecking
	}
	for k, v := range map[string]string{
		"hostkeyalias": s.HostKeyAlias, "identityagent": s.IdentityAgent, "bindaddress": s.BindAddress,
		"revokedhostkeys": strings.Join(s.RevokedHostKeys, " "), "proxycommand": s.ProxyCommand, "pkcs11provider": s.PKCS11Provider,
	} {
		if v != "" {
			said[k] = []string{v}
		}
	}
	var jumps []string
	for _, j := range s.ProxyJump {
		text := j.Host
		if j.Port != 0 {
			text = net.JoinHostPort(j.Host, strconv.Itoa(j.Port))
		}
		if j.User != "" {
			text = j.User + "@" + text
		}
		jumps = append(jumps, text)
	}
	if jumps != nil {
		said["proxyjump"] = []string{strings.Join(jumps, ",")}
	}
	return said
}

// expanded are values that ssh -G prints as they are written in the file.
func expanded(q Query, said map[string][]string, key string) []string {
	short, _, _ := strings.Cut(q.LocalHost, ".")
	r := strings.NewReplacer("%%", "%", "%h", said["hostname"][0], "%n", q.Host, "%p", said["port"][0], "%r", said["user"][0], "%d", q.Home,
		"%u", q.LocalUser, "%l", q.LocalHost, "%L", short, "%i", strconv.Itoa(q.UID), "${PLACE}", "here")
	var out []string
	for _, v := range said[key] {
		if strings.EqualFold(v, "none") {
			continue
		}
		if rest, ok := strings.CutPrefix(v, "~/"); ok {
			v = q.Home + "/" + rest
		}
		out = append(out, strings.NewReplacer("[", "", "]", "").Replace(r.Replace(v)))
	}
	return out
}

func installed(t *testing.T) (string, float64) {
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		return "", 0
	}
	out, err := exec.Command(ssh, "-V").CombinedOutput()
	m := regexp.MustCompile(`OpenSSH_(\d+\.\d+)`).FindSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("%s: %v", out, err)
	}
	version, _ := strconv.ParseFloat(string(m[1]), 64)
	return ssh, version
}

func TestStories(t *testing.T) {
	t.Parallel()
	ssh, version := installed(t)
	for _, s := range stories(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.tell(t)
			if len(s.asks) == 0 && !s.both {
				return
			}
			if ssh == "" || version < s.since {
				t.Skipf("no ssh of version %v", max(s.since, 8.7))
			}
			s.judge(t, ssh)
		})
	}
}

func (s story) tell(t *testing.T) {
	for _, w := range s.wants {
		q, f := s.query(t, w[:1])
		got, err := Evaluate(q, f)
		if err != nil {
			t.Error(err)
			continue
		}
		if v := strings.Join(say(got)[w[1]], " "); v != strings.ReplaceAll(strings.Join(w[2:], " "), "HOME", q.Home) {
			t.Errorf("%s: %s is %q", w[0], w[1], v)
		}
	}
	for _, w := range s.refusals {
		q, f := s.query(t, w[:1])
		_, err := Evaluate(q, f)
		if err == nil {
			t.Errorf("%s is not refused", w[0])
			continue
		}
		if !strings.Contains(err.Error(), strings.Join(w[1:], " ")) || !strings.Contains(err.Error(), s.dir) {
			t.Errorf("%s: %v", w[0], err)
		}
	}
}

func (s story) judge(t *testing.T, ssh string) {
	for _, w := range s.refusals {
		if _, err := s.openSSH(ssh, w[:1]); err == nil && s.both {
			t.Errorf("%s: ssh does not refuse it", w[0])
		}
	}
	for _, ask := range s.asks {
		q, f := s.query(t, ask)
		want, err := s.openSSH(ssh, ask)
		if err != nil {
			t.Fatal(err)
		}
		settings, err := Evaluate(q, f)
		if err != nil {
			t.Error(err)
			continue
		}
		got := say(settings)
		if want["proxyjump"] != nil {
			delete(want, "proxycommand") // the one that ssh makes of it
		}
		if settings.IdentityFile == nil {
			delete(want, "identityfile") // the defaults
		}
		for _, k := range []string{
			"hostname", "port", "user", "hostkeyalias", "proxyjump", "proxycommand", "identityfile", "certificatefile", "identitiesonly", "identityagent",
			"userknownhostsfile", "globalknownhostsfile", "stricthostkeychecking", "revokedhostkeys", "addressfamily", "bindaddress",
		} {
			g, w := got[k], want[k]
			switch k {
			case "identityfile", "certificatefile", "proxyjump":
				w = expanded(q, want, k)
				for i := range g {
					g[i] = strings.NewReplacer("[", "", "]", "").Replace(g[i])
				}
			case "userknownhostsfile", "globalknownhostsfile":
				w = []string{strings.ReplaceAll(strings.Join(w, " "), "~/", q.Home+"/")}
				if none(w[0]) {
					w[0] = ""
				}
			case "addressfamily":
				if g[0] == "" {
					g = []string{"any"}
				}
			}
			if !slices.Equal(g, w) {
				t.Errorf("ask %v: %s is %q, ssh says %q", ask, k, g, w)
			}
		}
	}
}

// TestAlgorithms compares with what ssh makes of the lists.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	ssh, _ := installed(t)
	if ssh == "" {
		t.Skip("no ssh")
	}
	s := story{dir: t.TempDir()}
	ask := func(config string) map[string][]string {
		if err := os.WriteFile(filepath.Join(s.dir, "config"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		said, err := s.openSSH(ssh, []string{"h"})
		if err != nil {
			t.Fatal(err)
		}
		return said
	}
	defaults := ask("")
	for keyword, lists := range map[string][]string{
		"Ciphers":           {"aes256-ctr", "aes256-ctr,aes128-ctr", "-aes*,chacha*", "+3des-cbc,aes256-cbc", "^aes256-ctr", "-aes???-ctr"},
		"MACs":              {"hmac-sha2-512", "-*-etm@openssh.com", "^hmac-sha2-512,hmac-sha1", "+hmac-md5"},
		"KexAlgorithms":     {"curve25519-sha256", "-ecdh-*", "+diffie-hellman-group14-sha1", "^ecdh-sha2-nistp256"},
		"HostKeyAlgorithms": {"ssh-ed25519,ssh-rsa", "+ssh-rsa", "-*cert*", "^rsa-sha2-512,rsa-sha2-256", "ecdsa-sha2-*"},
	} {
		all, err := exec.Command(ssh, "-Q", keyword).Output()
		if err != nil {
			t.Fatal(err)
		}
		key := strings.ToLower(keyword)
		for _, list := range lists {
			got := strings.Join(Algorithms(list, strings.Split(defaults[key][0], ","), strings.Fields(string(all))), ",")
			if want := ask(keyword + " " + list)[key][0]; got != want {
				t.Errorf("%s %s\n  is %s\nssh: %s", keyword, list, got, want)
			}
		}
	}
	if got := Algorithms("nonsense", []string{"a"}, []string{"a", "b"}); len(got) > 0 {
		t.Error(got)
	}
}
