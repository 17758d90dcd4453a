package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

var errNotStarted = errors.New("the host did not start the command; it may be out of processes or memory")

// Exec runs argv with root's rights as Config.Sudo says: in one round trip where a reserved session is
// ready. The login shell only ever sees [waiting] or [atOnce], which every shell takes in the same way.
func (k *Conn) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if err := ctx.Err(); err != nil {
		return -1, err
	}
	if err := k.root.wait(ctx, k); err != nil {
		return -1, err
	}
	select {
	case k.slots <- struct{}{}:
		defer func() { <-k.slots; k.ended.Add(1) }()
	case <-ctx.Done():
		return -1, ctx.Err()
	case <-k.lost:
		return -1, k.gone()
	}
	s, err := k.patient(ctx)
	if err != nil {
		return -1, err
	}
	k.running.Add(1)
	defer k.running.Add(-1)
	if !k.c.Reads {
		k.reserve(k.ahead())
	}
	line := k.marked("exec " + quote(argv))
	switch {
	case s.ready:
	case k.root.needed:
		k.prepare(&s)
	default: // as one encoded line: what needs no input has no round trip to wait for it
		s.begin(atOnce(line))
		line = ""
	}
	p := k.start(s, line, stdin, stdout, stderr)
	defer s.channel.Close()
	select {
	case <-p.done:
		switch {
		case p.exited:
			return p.exit, p.err
		case p.err != nil:
			return -1, k.orGone(p.err) // what is read is acknowledged, and that fails too
		}
		return -1, k.orGone(errors.New("the session ended without an exit status"))
	case <-ctx.Done():
		// Best effort; what the command does after that is its own business.
		_, _ = s.channel.SendRequest("signal", false, ssh.Marshal(struct{ Name string }{"TERM"}))
		return -1, ctx.Err()
	case <-k.lost:
		return -1, k.gone()
	case <-s.refused:
		return -1, k.orGone(errNotStarted)
	}
}

// orGone prefers the connection's end to what it looks like to one command.
func (k *Conn) orGone(err error) error {
	wait := time.NewTimer(100 * time.Millisecond) // the end of the connection is noticed a moment later
	defer wait.Stop()
	select {
	case <-k.lost:
		return k.gone()
	case <-wait.C:
		return err
	}
}

// process is one running command.
type process struct {
	stdout, stderr *afterMark
	done           chan struct{} // closed when it is over; then the rest holds:
	exited         bool
	exit           int   // -1: a signal ended it
	err            error // of our own writers (an answer too long), or no shell has begun
}

// start runs shell text in a session that is prepared, or has it already, and feeds it: the text, its input
// and the end of the input go out together. What the login shell prints before the command begins is no part
// of its output.
func (k *Conn) start(s session, line string, stdin io.Reader, stdout, stderr io.Writer) *process {
	p := &process{exit: -1, done: make(chan struct{}), stdout: &afterMark{mark: k.mark, to: stdout}, stderr: &afterMark{mark: k.mark, to: stderr}}
	p.stdout.begun = k.noteStart()
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	if line != "" {
		stdin = io.MultiReader(strings.NewReader(asLine(line)), stdin)
	}
	go func() {
		if s.led != nil {
			<-s.led
		}
		_ = pump(s.channel, stdin) // a command may end before it read all
		_ = s.channel.CloseWrite()
	}()
	go p.follow(s, k)
	return p
}

// follow copies output until the host closes the channel.
func (p *process) follow(s session, k *Conn) {
	var copies sync.WaitGroup
	var errs [2]error
	for i, c := range []struct {
		to   io.Writer
		from io.Reader
	}{{p.stdout, s.channel}, {p.stderr, s.channel.Stderr()}} {
		copies.Go(func() {
			if errs[i] = pump(c.to, c.from); errs[i] != nil {
				s.channel.Close()
				_, _ = io.Copy(io.Discard, c.from)
			}
		})
	}
	for r := range s.requests {
		switch r.Type {
		case "exit-status":
			var status struct{ Code uint32 }
			if ssh.Unmarshal(r.Payload, &status) == nil {
				p.exited, p.exit = true, int(status.Code)
			}
		case "exit-signal":
			p.exited = true // exit stays -1
		}
		if r.WantReply {
			_ = r.Reply(false, nil)
		}
	}
	copies.Wait()
	if p.err = errors.Join(errs[0], errs[1]); p.err == nil && p.exited && !p.stdout.began {
		p.exit, p.err = -1, k.noShell(p.exit, p.stdout.before.String()+p.stderr.before.String())
	}
	close(p.done)
}

// noShell says that a session ended before the command in it began.
func (k *Conn) noShell(exit int, said string) error {
	if said = strings.TrimSpace(said); said == "" {
		said = "nothing"
	} else {
		said = fmt.Sprintf("%.500q", said)
	}
	return fmt.Errorf("the login shell of user %q ran no command: it ended with code %d and printed %s\n  %q has to run there: give the user a shell that does, and take out what forces another command (ForceCommand in sshd_config, command= in authorized_keys)",
		k.hop.user, exit, said, "sh -c …")
}

// slowStart is how long a command may take to begin before that is worth a word.
const slowStart = 3 * time.Second

// noteStart gives a function that is called when a command has begun, and remembers it if that took long.
func (k *Conn) noteStart() func() {
	asked := k.c.Now()
	return func() {
		if took := k.c.Now().Sub(asked); took >= slowStart {
			k.noteSlow("a command", took)
		}
	}
}

func (k *Conn) noteSlow(what string, took time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.slow == "" {
		k.slow = fmt.Sprintf("%s took %d s to begin for user %s (does the host resolve its own name? is a DNS server dead? what does its login shell do?)", what, int(took.Seconds()+0.5), k.hop.user)
	}
}

// Slow implements posix.Login.
func (k *Conn) Slow() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.slow
}

// mostBefore bounds what a login shell, or sudo, may say before a command begins.
const mostBefore = 64 << 10

// afterMark passes on what comes after the line with the mark, and keeps the beginning of what comes before.
type afterMark struct {
	mark   string
	to     io.Writer
	begun  func() // called once, when the mark has come
	began  bool
	before bytes.Buffer
}

func (a *afterMark) Write(p []byte) (int, error) {
	if a.began {
		return a.to.Write(p)
	}
	if a.before.Len()+len(p) > mostBefore {
		return 0, errors.New("too much was printed before the command began")
	}
	a.before.Write(p)
	_, rest, found := bytes.Cut(a.before.Bytes(), []byte(a.mark+"\n"))
	if !found {
		return len(p), nil
	}
	a.began = true
	if a.begun != nil {
		a.begun()
	}
	if len(rest) > 0 {
		if _, err := a.to.Write(rest); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// pump is io.Copy with a buffer that others have used before: a look is short, and three of its
// 32 KiB for each would be most of what it needs.
func pump(to io.Writer, from io.Reader) error {
	b := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(b)
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, b[:])
	return err
}

var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// quote makes an argv one line for the login shell, whichever it is: single
// quotes stop every shell from looking inside.
func quote(argv []string) string {
	quoted := make([]string, len(argv))
	for i, a := range argv {
		quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}
