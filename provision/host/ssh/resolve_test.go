package ssh

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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

Host percent
  IdentityFile ~/100%%/k
Host quoted
  IdentityFile "~/my keys/id"

Host behind
  ProxyJump %r@gate-%n:22
Host gate-*
  ProxyJump none
  IdentityFile ~/gate
  IdentityAgent /run/gate

Host behind-tunnel
  ProxyJump tunnelled
Host token
  PKCS11Provider /lib/token.so
Host stick
  SecurityKeyProvider /lib/sk.so
Host asking
  KnownHostsCommand /bin/keys %H
Host nowhere
  CanonicalizeHostname always
  CanonicalDomains example.com

Match originalhost picky exec "test %n = picky"
  User by-command
Match originalhost killed exec "kill -9 $$"
  User never
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
	if err := os.Mkdir(filepath.Join(home, "etc"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "etc", "ssh_config"), []byte("Host system\n  User admin\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	defaults := "keys HOME/.ssh/id_ed25519,HOME/.ssh/id_ecdsa,HOME/.ssh/id_rsa own=false only=false"
	global := "HOME/etc/ssh_known_hosts,HOME/etc/ssh_known_hosts2"
	known := "hosts HOME/.ssh/known_hosts,HOME/.ssh/known_hosts2," + global
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
				"ops@198.18.0.11:2222 known as etcd-one:22 keys HOME/keys/etcd1-2222,HOME/second own=true only=true hosts HOME/known_a,HOME/known_b," + global + " accept-new with password\n"},
		"explicit wins": {
			Config{Host: "etcd1", User: "root", Port: 22, IdentityFile: []string{"~/k"}, KnownHostsFile: "~/hosts", StrictHostKeyChecking: "yes",
				ProxyJump: []string{"none"}, Agent: true, AuthSock: "/run/agent"},
			"root@198.18.0.11:22 known as etcd-one:22 keys HOME/k own=true only=true hosts HOME/hosts," + global + " agent /run/agent\n"},
		"no ssh_config": {Config{Host: "etcd1", SSHConfig: "none", User: "u"}, "u@etcd1:22 known as etcd1:22 " + defaults + " " + known + "\n"},
		"quoted":        {Config{Host: "quoted"}, "me@quoted:22 known as quoted:22 keys HOME/my keys/id own=true only=false " + known + "\n"},
		"tokens of the host in its bastion": {Config{Host: "behind", User: "u", Agent: true, AuthSock: "/run/agent"},
			"u@gate-behind:22 known as gate-behind:22 keys HOME/gate own=true only=false " + known + " agent /run/gate\n" +
				"u@behind:22 known as behind:22 " + defaults + " " + known + " agent /run/agent\n"},
		"a percent sign": {Config{Host: "percent"}, "me@percent:22 known as percent:22 keys HOME/100%/k own=true only=false " + known + "\n"},
		"identities of each hop": {Config{Host: "x", ProxyJump: []string{"other", "gate-1"}, IdentityFile: []string{"~/100%/k"}},
			"me@other:22 known as other:22 keys HOME/100%/k own=true only=false " + known + "\n" +
				"me@gate-1:22 known as gate-1:22 keys HOME/gate own=true only=false " + known + "\n" +
				"me@x:22 known as x:22 keys HOME/100%/k own=true only=false " + known + "\n"},
		"no bastion, whatever ssh_config says": {Config{Host: "tunnelled", ProxyJump: []string{"none"}}, "me@tunnelled:22 known as tunnelled:22 " + defaults + " " + known + "\n"},
		"Match exec":                           {Config{Host: "picky"}, "by-command@picky:22 known as picky:22 " + defaults + " " + known + "\n"},
		"another file, and not the system's":   {Config{Host: "system", SSHConfig: "~/.ssh/config"}, "me@system:22 known as system:22 " + defaults + " " + known + "\n"},
		"the system's file":                    {Config{Host: "system"}, "admin@system:22 known as system:22 " + defaults + " " + known + "\n"},
		"a token with identity_file":           {Config{Host: "token", IdentityFile: []string{"/k"}}, "me@token:22 known as token:22 keys /k own=true only=false " + known + "\n"},
		"a command with host_keys":             {Config{Host: "asking", HostKeys: []string{"SHA256:x"}}, "me@asking:22 known as asking:22 " + defaults + " " + known + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Home, c.config.LocalUser, c.config.etc = home, "me", filepath.Join(home, "etc")
			hops, err := route(t.Context(), c.config.withDefaults())
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.ReplaceAll(describe(hops), home, "HOME"); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
	match := filepath.Join(home, "match")
	if err := os.WriteFile(match, []byte("Match localnetwork 10.0.0.0/8\n  User x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config Config
		words  []string
	}{
		"ProxyCommand":                       {Config{Host: "tunnelled"}, []string{"ProxyCommand", "proxy_jump"}},
		"behind a bastion with ProxyCommand": {Config{Host: "behind-tunnel"}, []string{"ProxyCommand", `"tunnelled"`}},
		"a bastion with ProxyCommand":        {Config{Host: "x", ProxyJump: []string{"tunnelled"}}, []string{"ProxyCommand", `"tunnelled"`}},
		"PKCS11Provider":                     {Config{Host: "token"}, []string{"PKCS11Provider", "identity_file"}},
		"SecurityKeyProvider":                {Config{Host: "stick"}, []string{"SecurityKeyProvider", "identity_file"}},
		"KnownHostsCommand":                  {Config{Host: "asking"}, []string{"KnownHostsCommand", "host_keys"}},
		"CanonicalizeHostname":               {Config{Host: "nowhere"}, []string{"CanonicalizeHostname", "line "}},
		"a command that is killed":           {Config{Host: "killed"}, []string{"Match exec", "signal: killed"}},
		"no shell":                           {Config{Host: "picky", Env: func(string) (string, bool) { return "/nonexistent", true }}, []string{"Match exec", "/nonexistent"}},
		"Match localnetwork":                 {Config{Host: "x", SSHConfig: match}, []string{match, `ssh_config = "none"`}},
		"a file that is not":                 {Config{Host: "x", SSHConfig: "~/nowhere"}, []string{"nowhere", "no such file"}},
		"a bastion without port":             {Config{Host: "x", ProxyJump: []string{"gate:ssh"}}, []string{`"gate:ssh"`, "port"}},
		"a bastion without name":             {Config{Host: "x", ProxyJump: []string{"root@"}}, []string{`"root@"`}},
		"another policy":                     {Config{Host: "x", StrictHostKeyChecking: "no"}, []string{"accept-new"}},
		"nobody to log in as":                {Config{Host: "x", LocalUser: "-"}, []string{"Set user"}},
		"a chain without any end":            {Config{Host: "x", ProxyJump: []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}}, []string{"longer than 8"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Home, c.config.etc = home, filepath.Join(home, "etc")
			if c.config.LocalUser == "" {
				c.config.LocalUser = "me"
			} else {
				c.config.LocalUser = ""
			}
			_, err := route(t.Context(), c.config.withDefaults())
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

func TestMatchExecThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := matchExec(ctx, "/bin/sh", "sleep 60; true"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	if got, want := quote([]string{"a b", "it's", "", "$x\n"}), `'a b' 'it'\''s' '' '$x`+"\n'"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
