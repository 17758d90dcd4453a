package ssh

import (
	"os"
	"path/filepath"
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
		bin := t.TempDir()
		if err := os.WriteFile(filepath.Join(bin, "env"), []byte("#!/bin/sh\necho \"env: 'sudo': No such file or directory\" >&2\nexit 127\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		b := newBox(t, hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), Bin: bin}), "ops")
		b.c.Sudo = "auto"
		if _, err := New(b.mustDial(t)).Run(t.Context(), host.Command{Argv: []string{"true"}}); err == nil || !strings.Contains(err.Error(), "sudo is not installed") {
			t.Error(err)
		}
	})
}
