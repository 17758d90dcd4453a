package ssh

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// defaultSilence is how long a command may say nothing before we ask whether it was started at all.
const defaultSilence = 15 * time.Second

var errNotStarted = errors.New("the host did not start the command; it may be out of processes or memory")

// Exec runs argv with root's rights as Config.Sudo says.
func (k *Conn) Exec(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if err := ctx.Err(); err != nil {
		return -1, err
	}
	if !k.sudo.needed {
		return k.exec(ctx, quote(argv), stdin, stdout, stderr)
	}
	if err := k.sudo.check(ctx, k); err != nil {
		return -1, err
	}
	return k.sudo.exec(ctx, k, argv, stdin, stdout, stderr)
}

// exec runs a command line, which is one simple command, as the login user: in
// one round trip where a reserved session is ready, and nothing waits for the
// request's own answer.
func (k *Conn) exec(ctx context.Context, line string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	select {
	case k.slots <- struct{}{}:
		defer func() { <-k.slots; k.ended.Add(1) }()
	case <-ctx.Done():
		return -1, ctx.Err()
	case <-k.lost:
		return -1, k.gone()
	}
	session, err := k.patient(ctx)
	if err != nil {
		return -1, err
	}
	if !k.c.Reads {
		k.reserve(k.ahead())
	}
	channel := session.channel
	p := &process{channel: channel, exit: -1, done: make(chan struct{}), heard: make(chan struct{}), answered: make(chan struct{})}
	defer channel.Close()
	if err := session.start(line, stdin); err != nil {
		return -1, k.orGone(err)
	}
	go p.follow(session.requests, stdout, stderr)
	quiet := time.NewTimer(k.silence)
	defer quiet.Stop()
	for {
		select {
		case <-p.done:
			if p.probed.Load() {
				<-p.answered
			}
			switch {
			case p.err != nil:
				return -1, p.err
			case p.idle.Load():
				return -1, errNotStarted
			case p.exited:
				return p.exit, nil
			}
			return -1, k.orGone(errors.New("the session ended without an exit status"))
		case <-ctx.Done():
			// Best effort; what the command does after that is its own business.
			_, _ = channel.SendRequest("signal", false, ssh.Marshal(struct{ Name string }{"TERM"}))
			return -1, ctx.Err()
		case <-k.lost:
			return -1, k.gone()
		case <-quiet.C:
			p.probed.Store(true)
			go p.probe()
		}
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
	channel  ssh.Channel
	heard    chan struct{} // closed at its first sign of life
	hearOnce sync.Once
	probed   atomic.Bool   // we asked whether it was started
	answered chan struct{} // closed when we know
	idle     atomic.Bool   // it was not

	done   chan struct{} // closed when it is over; then the rest holds:
	exited bool
	exit   int   // -1: a signal ended it
	err    error // of our own writers: an answer too long
}

// follow copies output until the host closes the channel.
func (p *process) follow(requests <-chan *ssh.Request, stdout, stderr io.Writer) {
	var copies sync.WaitGroup
	var errs [2]error
	for i, to := range []io.Writer{stdout, stderr} {
		from := io.Reader(p.channel)
		if i == 1 {
			from = p.channel.Stderr()
		}
		copies.Go(func() {
			errs[i] = pump(to, &hearing{from, p})
			if errs[i] != nil {
				p.channel.Close()
				_, _ = io.Copy(io.Discard, from)
			}
		})
	}
	for r := range requests {
		switch r.Type {
		case "exit-status":
			var status struct{ Code uint32 }
			if ssh.Unmarshal(r.Payload, &status) == nil {
				p.exited, p.exit = true, int(status.Code)
			}
		case "exit-signal":
			p.exited = true // exit stays -1
		}
		p.hear()
		if r.WantReply {
			_ = r.Reply(false, nil)
		}
	}
	copies.Wait()
	p.err = errors.Join(errs[0], errs[1])
	close(p.done)
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

func (p *process) hear() { p.hearOnce.Do(func() { close(p.heard) }) }

type hearing struct {
	io.Reader
	p *process
}

func (h *hearing) Read(b []byte) (int, error) {
	n, err := h.Reader.Read(b)
	if n > 0 {
		h.p.hear()
	}
	return n, err
}

// probe finds out whether a silent command was started: sshd runs one command
// for each channel, so a second one is refused exactly if there is a first.
func (p *process) probe() {
	defer close(p.answered)
	select {
	case <-p.heard:
		return
	case <-p.done:
		return
	default:
	}
	if started, err := p.channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{"true"})); err == nil && started {
		p.idle.Store(true)
		p.channel.Close()
	}
}

// quote makes an argv one line for the login shell, whichever it is: single
// quotes stop every shell from looking inside.
func quote(argv []string) string {
	quoted := make([]string, len(argv))
	for i, a := range argv {
		quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}
