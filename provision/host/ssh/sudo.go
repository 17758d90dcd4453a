package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// started is the line that tells sudo's own words from those of what it runs.
const started = "quorate: sudo started"

// sudo gives commands root's rights. A password goes to sudo's standard input,
// never into an argv; it is tried once for a connection, with nothing behind it
// that a second prompt of sudo could take for another try.
type sudo struct {
	needed   bool
	user     string
	password string
	once     *sync.Mutex
	checked  *result
}

type result struct {
	done bool
	err  error
}

func newSudo(c Config, user string) sudo {
	s := sudo{user: user, password: c.SudoPassword, once: &sync.Mutex{}, checked: &result{}}
	s.needed = c.Sudo == "always" || c.Sudo != "never" && user != "root"
	return s
}

// The login shell runs the line; the words after -c are quoted for it, and
// "$SSH_CONNECTION" is its own to fill in, since sudo drops the variable.
const (
	sudoPlain  = `env LC_ALL=C sudo -n -- sh -c `
	sudoStdin  = `env LC_ALL=C sudo -S -p '' -- sh -c `
	wrap       = `SSH_CONNECTION=$1; export SSH_CONNECTION; shift; echo "` + started + `" >&2; exec "$@"`
	wrapStdin  = `while :; do IFS= read -r l || exit 97; [ "$l" = "` + started + `" ] && break; done; ` + wrap
	connection = ` quorate "$SSH_CONNECTION" `
)

// check tries the password once. Later commands know that it is right.
func (s *sudo) check(ctx context.Context, k *Conn) error {
	if s.password == "" {
		return nil
	}
	s.once.Lock()
	defer s.once.Unlock()
	if s.checked.done {
		return s.checked.err
	}
	var stderr bytes.Buffer
	exit, err := k.exec(ctx, sudoStdin+quote([]string{wrap})+connection+"true", strings.NewReader(s.password+"\n"), io.Discard, &stderr)
	if err != nil {
		return err // not an answer about the password
	}
	s.checked.done = true
	if exit != 0 || !strings.Contains(stderr.String(), started) {
		s.checked.err = s.explain(stderr.String(), k)
	}
	return s.checked.err
}

func (s *sudo) exec(ctx context.Context, k *Conn, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	line := sudoPlain + quote([]string{wrap}) + connection + quote(argv)
	if s.password != "" {
		line = sudoStdin + quote([]string{wrapStdin}) + connection + quote(argv)
		head := strings.NewReader(s.password + "\n" + started + "\n")
		if stdin == nil {
			stdin = head
		} else {
			stdin = io.MultiReader(head, stdin)
		}
	}
	after := &afterStart{to: stderr}
	exit, err := k.exec(ctx, line, stdin, stdout, after)
	if err == nil && !after.began {
		return -1, s.explain(after.before.String(), k)
	}
	return exit, err
}

// explain turns sudo's refusal into what to do.
func (s *sudo) explain(said string, k *Conn) error {
	said = strings.TrimSpace(said)
	low := strings.ToLower(said)
	fail := func(what, hint string) error {
		if said != "" {
			what += fmt.Sprintf(" (it says: %s)", strings.ReplaceAll(said, "\n", "; "))
		}
		return errors.New(what + "\n  " + hint)
	}
	switch {
	case strings.Contains(low, "not in the sudoers") || strings.Contains(low, "may not run sudo") || strings.Contains(low, "not allowed"):
		return fail(fmt.Sprintf("user %q may not use sudo", s.user), "Give the user sudo rights on the host, or log in as another one.")
	case strings.Contains(low, "must have a tty"):
		return fail("sudo wants a terminal", fmt.Sprintf("Add \"Defaults:%s !requiretty\" to the host's sudoers.", s.user))
	case strings.Contains(low, "sorry, try again") || strings.Contains(low, "incorrect password"):
		return fail(fmt.Sprintf("the sudo password of user %q is wrong", s.user), "It was tried once. Check sudo_password of the connection.")
	case strings.Contains(low, "password is required") || strings.Contains(low, "terminal is required"):
		return fail(fmt.Sprintf("sudo wants a password of user %q", s.user), "Set sudo_password in the connection, or give the user NOPASSWD (or any) sudo rights.")
	case strings.Contains(low, "not found") || strings.Contains(low, "no such file"):
		return fail("sudo is not installed", "Install it on the host, or log in as root.")
	}
	return fail("sudo refuses", "Try it by hand: ssh "+s.user+"@"+k.hop.host+" sudo -n true")
}

// afterStart passes on what comes after the started line, and keeps what comes before.
type afterStart struct {
	to     io.Writer
	began  bool
	before bytes.Buffer
}

func (a *afterStart) Write(p []byte) (int, error) {
	if a.began {
		return a.to.Write(p)
	}
	if a.before.Len()+len(p) > 64<<10 {
		return 0, errors.New("sudo says too much")
	}
	a.before.Write(p)
	_, rest, found := bytes.Cut(a.before.Bytes(), []byte(started+"\n"))
	if !found {
		return len(p), nil
	}
	a.began = true
	if len(rest) > 0 {
		if _, err := a.to.Write(rest); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
