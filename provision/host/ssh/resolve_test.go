package ssh

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sshConfig = `
Host etcd1
  HostName 198.18.0.11
  User ops
  Port 2222
  IdentityFile ~/keys/%n-%p
  IdentityFile %d/second
  IdentitiesOnly yes
  UserKnownHostsFile ~/known_a "~/known_b"
  StrictHostKeyChecking no
  ProxyJump gate,inner:2200
  HostKeyAlias etcd-one

Host inner
  HostName inner.example
  User jumper

Host gate
  HostName gate.example
  ProxyJump outer

Host tunnelled
  ProxyCommand nc %h %p

Host quoted
  IdentityFile "~/my keys/id"
`

// describe says all that was decided about a way, a line for each hop.
func describe(hops []hop) string {
	var b strings.Builder
	for _, h := range hops {
		fmt.Fprintf(&b, "%s@%s known as %s", h.user, h.address(), h.knownName())
		fmt.Fprintf(&b, " keys %s own=%t only=%t", strings.Join(h.identities, ","), h.ownIdentities, h.identitiesOnly)
		fmt.Fprintf(&b, " hosts %s", strings.Join(h.knownHosts, ","))
		if h.acceptNew {
			b.WriteString(" accept-new")
		}
		if h.agentSock != "" {
			b.WriteString(" agent " + h.agentSock)
		}
		if h.password != "" {
			b.WriteString(" with password")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestRoute(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".ssh", "config"), []byte(sshConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	defaults := "keys HOME/.ssh/id_ed25519,HOME/.ssh/id_ecdsa,HOME/.ssh/id_rsa own=false only=false"
	known := "hosts HOME/.ssh/known_hosts,/etc/ssh/ssh_known_hosts"
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"nothing said": {Config{Host: "198.18.0.5"}, "me@198.18.0.5:22 known as 198.18.0.5:22 " + defaults + " " + known + "\n"},
		"an address of version 6": {Config{Host: "fd00::5", ProxyJump: []string{"root@[fd00::1]:2200", "fd00::2"}},
			"root@[fd00::1]:2200 known as [fd00::1]:2200 " + defaults + " " + known + "\n" +
				"me@[fd00::2]:22 known as [fd00::2]:22 " + defaults + " " + known + "\n" +
				"me@[fd00::5]:22 known as [fd00::5]:22 " + defaults + " " + known + "\n"},
		"all from ssh_config": {Config{Host: "etcd1", Password: "p"},
			"me@outer:22 known as outer:22 " + defaults + " " + known + "\n" +
				"me@gate.example:22 known as gate.example:22 " + defaults + " " + known + "\n" +
				"jumper@inner.example:2200 known as inner.example:2200 " + defaults + " " + known + "\n" +
				"ops@198.18.0.11:2222 known as etcd-one:22 keys HOME/keys/etcd1-2222,HOME/second own=true only=true hosts HOME/known_a,HOME/known_b accept-new with password\n"},
		"explicit wins": {
			Config{Host: "etcd1", User: "root", Port: 22, IdentityFile: []string{"~/k"}, KnownHostsFile: "~/hosts", StrictHostKeyChecking: "yes",
				ProxyJump: []string{"none"}, Agent: true, AuthSock: "/run/agent"},
			"root@198.18.0.11:22 known as etcd-one:22 keys HOME/k own=true only=true hosts HOME/hosts agent /run/agent\n"},
		"no ssh_config": {Config{Host: "etcd1", SSHConfig: "none", User: "u"}, "u@etcd1:22 known as etcd1:22 " + defaults + " " + known + "\n"},
		"quoted":        {Config{Host: "quoted"}, "me@quoted:22 known as quoted:22 keys HOME/my keys/id own=true only=false " + known + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Home, c.config.LocalUser = home, "me"
			hops, err := route(c.config.withDefaults())
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(describe(hops), home, "HOME"); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
	match := filepath.Join(home, "match")
	if err := os.WriteFile(match, []byte("Match exec \"true\"\n  User x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config Config
		words  []string
	}{
		"ProxyCommand":            {Config{Host: "tunnelled"}, []string{"ProxyCommand", "proxy_jump"}},
		"Match exec":              {Config{Host: "x", SSHConfig: match}, []string{match, `ssh_config = "none"`}},
		"a file that is not":      {Config{Host: "x", SSHConfig: "~/nowhere"}, []string{"nowhere", "no such file"}},
		"a bastion without port":  {Config{Host: "x", ProxyJump: []string{"gate:ssh"}}, []string{`"gate:ssh"`, "port"}},
		"a bastion without name":  {Config{Host: "x", ProxyJump: []string{"root@"}}, []string{`"root@"`}},
		"another policy":          {Config{Host: "x", StrictHostKeyChecking: "no"}, []string{"accept-new"}},
		"nobody to log in as":     {Config{Host: "x", LocalUser: "-"}, []string{"Set user"}},
		"a chain without any end": {Config{Host: "x", ProxyJump: []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}}, []string{"longer than 8"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Home = home
			if c.config.LocalUser == "" {
				c.config.LocalUser = "me"
			} else {
				c.config.LocalUser = ""
			}
			_, err := route(c.config.withDefaults())
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.words {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the error lacks %q: %v", w, err)
				}
			}
		})
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	if got, want := quote([]string{"a b", "it's", "", "$x\n"}), `'a b' 'it'\''s' '' '$x`+"\n'"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
