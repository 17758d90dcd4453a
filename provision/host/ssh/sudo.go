package ssh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// root says how commands get root's rights. Where the login user needs sudo, it is called once for a
// connection: it may take as long as it likes (a host that cannot resolve its own name makes it wait
// for 20 seconds), and a wrong password is tried once. What it starts makes root's shells for the
// commands; each is reached through four pipes by a session of the login user's. Where the host allows
// no session for that (MaxSessions 2), sudo is called for each command.
type root struct {
	needed   bool
	password string
	started  chan struct{} // closed when sudo has begun, or will not

	// These are guarded by Conn.mu, and stay as they are once started is closed, but for broker.
	known  bool // the next two hold
	err    error
	broker *broker // nil: each command calls sudo
	once   sync.Once
}

// broker is sudo's process on the host.
type broker struct {
	stdin io.WriteCloser
	dir   string // of the pipes
	next  int    // the number of the next shell
	over  <-chan struct{}
}

func newRoot(c Config, user string) *root {
	r := &root{password: c.SudoPassword, started: make(chan struct{})}
	r.needed = c.Sudo == "always" || c.Sudo != "never" && user != "root"
	if !r.needed {
		close(r.started)
	}
	return r
}

// can reports whether a session can be prepared already; Conn.mu is held.
func (r *root) can() bool { return !r.needed || r.known && r.err == nil }

// wait waits until sudo has begun, calling it if nobody has.
func (r *root) wait(ctx context.Context, k *Conn) error {
	if !r.needed {
		return nil
	}
	r.call(k)
	select {
	case <-r.started:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	case <-k.lost:
		return k.gone()
	}
}

// call calls sudo in the background, once.
func (r *root) call(k *Conn) {
	r.once.Do(func() {
		go func() {
			b, err := k.becomeRoot(r.password)
			k.mu.Lock()
			r.broker, r.err, r.known = b, err, true
			k.mu.Unlock()
			k.countSessions() // before others ask for sessions
			close(r.started)
		}()
	})
}

// lead is what a session is told first, so that what follows is root's; "" where it is that already.
func (r *root) lead(k *Conn) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case !r.needed:
		return ""
	case r.broker != nil:
		r.broker.next++
		n := fmt.Sprint(r.broker.next)
		go func(to io.Writer) { _, _ = io.WriteString(to, n+"\n") }(r.broker.stdin) // a failure shows in the session, which waits in vain
		return asLine("p=" + r.broker.dir + "/" + n + "; " + bridge)
	case r.password == "":
		return asLine("exec " + sudo("-n", keepConnection+waiting) + ` x "$SSH_CONNECTION"`)
	}
	// sudo may want the password, or not: what it leaves is passed over, up to the mark.
	past := "while IFS= read -r l && [ \"$l\" != " + k.mark + " ]; do :; done; "
	return asLine("exec "+sudo("-S -p ''", keepConnection+past+waiting)+` x "$SSH_CONNECTION"`) + r.password + "\n" + k.mark + "\n"
}

// giveUp has each command call sudo, on a host that allows no session beside the lock's for doing that once.
// That is so if none came free for a moment while at most the lock had one. What it gives is closed when
// sudo's own session is free; nil where there is nothing to give up.
func (r *root) giveUp(k *Conn, waited time.Duration) <-chan struct{} {
	const moment = 300 * time.Millisecond
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.broker == nil || k.running.Load() > 1 || waited < moment {
		return nil
	}
	b := r.broker
	r.broker = nil
	b.stdin.Close()
	return b.over
}

// holds reports whether sudo has a session of its own, which could be given up.
func (r *root) holds(k *Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return r.broker != nil
}

// sudo is shell text: a call that runs a script by root's shell.
func sudo(flags, script string) string {
	return "env LC_ALL=C sudo " + flags + " -- sh -c " + quote([]string{script})
}

// keepConnection gives a script the variable that sudo drops: a lock tells others where its holder is.
const keepConnection = `SSH_CONNECTION=$1; export SSH_CONNECTION; `

// sudoWait bounds a call of sudo: two DNS servers that do not answer cost it 20 s (resolv.conf's
// timeout of 5 s, and two attempts), and PAM modules as much again.
const sudoWait = 2 * time.Minute

// brokerScript is run by sudo. For each number that it reads it makes a shell that waits for a command
// at four pipes of the login user's; a file says that they are there. At the end it lets go of those to whom nobody came.
const brokerScript = `umask 077
` + keepConnection + `
d=$(mktemp -d /run/quorate-XXXXXXXXXX 2>/dev/null || mktemp -d) || exit 96
chmod 711 "$d"
end() { for f in "$d"/*; do if [ -p "$f" ]; then : <>"$f"; fi; done; rm -rf "$d"; }
trap end EXIT
trap 'exit 1' HUP INT TERM
echo "$2 $d"
while IFS= read -r n; do
  p=$d/$n
  mkfifo "$p.i" "$p.o" "$p.e" "$p.x" && chown "${SUDO_UID:-0}" "$p.i" "$p.o" "$p.e" "$p.x" && : >"$p.r" || exit 96
  (
    trap - EXIT HUP INT TERM
    exec <"$p.i" >"$p.o" 2>"$p.e" 7>"$p.x"
    rm -f "$p.i" "$p.o" "$p.e" "$p.x" "$p.r"
    ( ` + waiting + ` ) 7>&-
    echo $? >&7
  ) &
done
`

// bridge joins a session of the login user's with root's shell at the pipes $p. It ends as the command
// does; when the session ends, so do the pipes.
const bridge = `until [ -e "$p.r" ]; do [ -d "${p%/*}" ] || exit 96; sleep 0.01; done
exec 3>"$p.i" 4<"$p.o" 5<"$p.e" 7<"$p.x" 6<&0
cat <&6 >&3 4<&- 5<&- 7<&- &
i=$!
exec 3>&-
cat <&5 >&2 4<&- 7<&- &
e=$!
cat <&4
wait $e
kill $i 2>/dev/null
c=96
read -r c <&7
exit $c`

// becomeRoot calls sudo. The error, if it is sudo's, says what to do.
func (k *Conn) becomeRoot(password string) (*broker, error) {
	asked := k.c.Now()
	channel, requests, err := k.client().OpenChannel("session", nil)
	if err != nil {
		return nil, k.orGone(fmt.Errorf("the host opens no session (MaxSessions in its sshd_config?): %w", err))
	}
	s := session{channel: channel, requests: requests}
	s.begin(waiting)
	prompt, ready, flags := "quorate-sudo-"+rand.Text()+": ", "quorate-root-"+rand.Text(), "-n"
	if password != "" {
		flags = "-S -p " + quote([]string{prompt})
	}
	in, stdin := io.Pipe()
	told := &told{prompt: prompt, password: password, stdin: stdin, dir: make(chan string, 1), ready: ready}
	p := k.start(s, k.marked("exec "+sudo(flags, brokerScript)+` quorate-root "$SSH_CONNECTION" `+ready), in, (*brokerOut)(told), (*brokerErr)(told))
	limit := time.NewTimer(sudoWait)
	defer limit.Stop()
	select {
	case dir := <-told.dir:
		if took := k.c.Now().Sub(asked); took >= slowStart {
			k.noteSlow("sudo", took)
		}
		go func() { <-p.done; channel.Close(); in.Close() }()
		return &broker{stdin: stdin, dir: dir, over: p.done}, nil
	case <-p.done:
		err = p.err
		if err == nil {
			err = k.explainSudo(p.exit, told)
		}
	case <-s.refused:
		err = k.orGone(errNotStarted)
	case <-k.lost:
		err = k.gone()
	case <-limit.C:
		err = fmt.Errorf("sudo did not begin within %s (it says: %q)\n  Try it by hand: ssh %s@%s sudo -n true", sudoWait, told.text(), k.hop.user, k.hop.host)
	}
	stdin.Close()
	channel.Close()
	return nil, err
}

// told is what comes back from sudo and the broker.
type told struct {
	prompt, password, ready string
	stdin                   io.WriteCloser
	dir                     chan string

	mu     sync.Mutex
	said   []byte // on standard error
	asked  int    // how often the password
	answer []byte // the broker's line
	begun  bool
}

func (t *told) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(strings.ReplaceAll(string(t.said), t.prompt, ""))
}

type brokerOut told

// Write looks for the broker's line.
func (t *brokerOut) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.begun {
		return len(p), nil
	}
	if len(t.answer)+len(p) > mostBefore {
		return 0, errors.New("sudo says too much")
	}
	t.answer = append(t.answer, p...)
	_, rest, found := strings.Cut(string(t.answer), t.ready+" ")
	dir, _, whole := strings.Cut(rest, "\n")
	if found && whole {
		t.begun = true
		t.dir <- dir
	}
	return len(p), nil
}

type brokerErr told

// Write looks for sudo's question, which is ours by its text, and answers it once: whoever is
// asked again has given the wrong password, and a further try might lock the account.
func (t *brokerErr) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.said)+len(p) > mostBefore {
		if t.begun {
			return len(p), nil
		}
		return 0, errors.New("sudo says too much")
	}
	t.said = append(t.said, p...)
	for n := strings.Count(string(t.said), t.prompt); t.asked < n; {
		if t.asked++; t.asked == 1 {
			go func() { _, _ = io.WriteString(t.stdin, t.password+"\n") }()
		} else {
			_ = t.stdin.Close()
		}
	}
	return len(p), nil
}

// explainSudo turns sudo's refusal into what to do.
func (k *Conn) explainSudo(exit int, t *told) error {
	said := t.text()
	low := strings.ToLower(said)
	fail := func(what, hint string) error {
		if said != "" {
			what += fmt.Sprintf(" (it says: %s)", strings.ReplaceAll(said, "\n", "; "))
		}
		return errors.New(what + "\n  " + hint)
	}
	user := k.hop.user
	switch {
	case exit == 127: // env's, for a program that is not there
		return fail("sudo is not installed", "Install it on the host, or log in as root.")
	case strings.Contains(low, "not in the sudoers") || strings.Contains(low, "may not run sudo") || strings.Contains(low, "not allowed"):
		return fail(fmt.Sprintf("user %q may not use sudo", user), "Give the user sudo rights on the host, or log in as another one.")
	case strings.Contains(low, "must have a tty"):
		return fail("sudo wants a terminal", fmt.Sprintf("Add \"Defaults:%s !requiretty\" to the host's sudoers.", user))
	case t.asked > 1 || strings.Contains(low, "incorrect password"):
		return fail(fmt.Sprintf("the sudo password of user %q is wrong", user), "It was tried once. Check sudo_password of the connection.")
	case strings.Contains(low, "password is required") || strings.Contains(low, "terminal is required"):
		return fail(fmt.Sprintf("sudo wants a password of user %q", user), "Set sudo_password in the connection, or give the user NOPASSWD (or any) sudo rights.")
	}
	return fail("sudo refuses", "Try it by hand: ssh "+user+"@"+k.hop.host+" sudo -n true")
}
