package ssh

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

func TestSudo(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]struct {
		want, refuse string // sudo's
		has          string // the operator's password
		words        []string
	}{
		"no password needed":           {},
		"a password nobody asked for":  {has: "sudopw"},
		"password":                     {want: "sudopw", has: "sudopw"},
		"wrong password":               {want: "sudopw", has: "other", words: []string{"password", "wrong", "sudo_password"}},
		"no password":                  {want: "sudopw", has: "", words: []string{"wants a password", "sudo_password"}},
		"not a sudoer":                 {refuse: "ops is not in the sudoers file.", words: []string{`user "ops" may not use sudo`}},
		"not a sudoer, with password":  {refuse: "ops is not in the sudoers file.", has: "x", words: []string{`user "ops" may not use sudo`}},
		"terminal wanted":              {refuse: "sudo: sorry, you must have a tty to run sudo", words: []string{"!requiretty"}},
		"something else is the matter": {refuse: "sudo: unable to open audit system", words: []string{"unable to open audit system"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bin, prompts := hosttest.FakeSudo(t, o.want, o.refuse)
			s := hosttest.NewServer(t, hosttest.ServerOptions{Users: map[string]hosttest.User{"ops": {Interactive: true, Password: "login"}}, Bin: bin})
			b := newBox(t, s, "ops")
			b.c.Password, b.c.Sudo, b.c.SudoPassword = "login", "auto", o.has
			if o.has == "" {
				b.c.Password = ""
				key, pem := keyPair(t, "")
				s = hosttest.NewServer(t, hosttest.ServerOptions{Users: map[string]hosttest.User{"ops": {Keys: []ssh.PublicKey{key}}}, Bin: bin})
				b.put(t, ".ssh/known_hosts", s.KnownHosts(""))
				b.c.Port, b.c.IdentityFile = s.Port(), []string{b.put(t, "k", pem)}
			}
			h := New(b.mustDial(t))
			in := "sudopw\nand more\n"
			for range 2 {
				r, err := h.Run(t.Context(), host.Command{Argv: []string{"sh", "-c", "cat; echo err >&2"}, Stdin: []byte(in)})
				if len(o.words) == 0 {
					if err != nil || string(r.Stdout) != in || string(r.Stderr) != "err\n" {
						t.Errorf("%q, %q, %v", r.Stdout, r.Stderr, err)
					}
					continue
				}
				if err == nil {
					t.Fatal("no error")
				}
				for _, w := range o.words {
					if !strings.Contains(err.Error(), w) {
						t.Errorf("the error lacks %q: %v", w, err)
					}
				}
			}
			if asked, _ := os.ReadFile(prompts); strings.Contains(string(asked), "2") || o.words != nil && strings.Count(string(asked), "1") > 1 {
				t.Errorf("passwords were tried as often as this: %q", asked)
			}
			ran, err := os.ReadFile(prompts + ".argv")
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range append(s.Commands(), string(ran)) {
				if strings.Contains(c, "sudopw") || strings.Contains(c, "login") {
					t.Errorf("a password in a command line: %s", c)
				}
			}
		})
	}
	t.Run("no sudo at all", func(t *testing.T) {
		t.Parallel()
		s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), Bin: t.TempDir()})
		b := newBox(t, s, "ops")
		b.c.Sudo = "auto"
		conn := b.mustDial(t)
		if err := conn.sudo.explain("env: 'sudo': No such file or directory", conn); !strings.Contains(err.Error(), "not installed") {
			t.Error(err)
		}
	})
}
