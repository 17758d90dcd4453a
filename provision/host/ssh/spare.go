package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// reserved sessions are kept ahead of need. One takes two round trips to get
// ready, a command takes one: with two of them commands that follow one
// another never wait for a session, and the third is for two commands at once. On
// a far host nothing else happens in the two trips, and several steps begin together.
const (
	reserved    = 3
	reservedFar = 5
)

// farAway is the round trip from which on those of a command are most of what it takes.
const farAway = 20 * time.Millisecond

// ahead is how many sessions are kept ready: for who only looks, the one for his look.
func (k *Conn) ahead() int {
	switch {
	case k.c.Reads:
		return 1
	case k.roundTrip() >= farAway:
		return min(reservedFar, maxSessions-1-len(k.slots))
	}
	return reserved
}

// roundTrip is the shortest that was seen; 0 until then.
func (k *Conn) roundTrip() time.Duration { return time.Duration(k.distance.Load()) }

// travelled notes how long an answer took that the host gives at once.
func (k *Conn) travelled(took time.Duration) {
	for {
		known := k.distance.Load()
		if known != 0 && known <= int64(took) || k.distance.CompareAndSwap(known, int64(max(took, 1))) {
			return
		}
	}
}

// waiting is what runs in a session: it reads one line and does what that says. sshd takes no input for
// a session before something runs in it (the channel's window is 0 until then), so a command that is
// started only when it is wanted gets its input a round trip later. The shell's read takes no more
// than the line; what follows is the command's. A login shell sees this, or [atOnce], and every one reads
// them alike, csh and fish too: one line, without a quote or an exclamation mark in the quotes.
const waiting = `IFS= read -r l && l=$(printf %b "$l") && eval "$l"`

// asLine makes shell text one line for waiting, which undoes it by printf %b.
func asLine(text string) string { return inOneLine.Replace(text) + "\n" }

var inOneLine = strings.NewReplacer(`\`, `\\`, "\n", `\n`)

// atOnce is a script that does what shell text says, and that every login shell reads alike, as waiting.
func atOnce(text string) string {
	b := append(make([]byte, 0, 2*len(text)), `eval "$(printf %b "`...)
	for ; text != ""; text = text[1:] {
		same := 0
		for same < len(text) && forEveryShell[text[same]] == "" {
			same++
		}
		b = append(b, text[:same]...)
		if text = text[same:]; text == "" {
			break
		}
		b = append(b, forEveryShell[text[0]]...)
	}
	return string(append(b, `")"`...))
}

// forEveryShell has, for printf %b, the bytes that not all shells read alike in double quotes.
var forEveryShell = func() (written [256]string) {
	for c := range written {
		switch {
		case c == '\n':
			written[c] = `\n`
		case c < ' ' || c >= 0x7f || strings.IndexByte("\\'\"!$`", byte(c)) >= 0:
			written[c] = fmt.Sprintf(`\0%03o`, c)
		}
	}
	return written
}()

// marked is shell text before which the mark of this connection is printed, on both outputs.
func (k *Conn) marked(text string) string {
	return "echo " + k.mark + "; echo " + k.mark + " >&2; " + text
}

// spare is a session opened ahead, so that a command costs one round trip.
type spare struct {
	done chan struct{} // closed when it is open, or is not; then the rest holds:
	session
	err error

	claimed bool // somebody waits for it; guarded by Conn.mu
}

// session is a channel that a command may have.
type session struct {
	channel  ssh.Channel
	requests <-chan *ssh.Request
	// ready: waiting runs in it. Otherwise nothing does yet.
	ready   bool
	refused chan struct{} // closed if the host did not start what was asked for; set when it is prepared
	led     chan struct{} // closed when what leads to root's shell was sent
}

// countSessions opens the first sessions, and finds out by them whether the host allows more than one at a
// time; for a reader, who keeps one, by another one.
func (k *Conn) countSessions() {
	k.reserve(k.ahead())
	k.mu.Lock()
	opening := slices.Clone(k.spares)
	k.mu.Unlock()
	go func() {
		defer close(k.counted)
		open, refused := 0, false
		if k.root.needed {
			open++ // sudo's
		}
		for _, s := range opening {
			if <-s.done; s.err == nil {
				open++
			} else {
				refused = true
			}
		}
		if open == 1 && !refused {
			channel, _, err := k.client().OpenChannel("session", nil)
			if refused = err != nil; !refused {
				channel.Close()
			}
		}
		k.single = refused && open < 2
	}()
}

// OneSession implements posix.Login.
func (k *Conn) OneSession() bool {
	<-k.counted
	return k.single
}

// reserve opens sessions in the background until there are n.
func (k *Conn) reserve(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.spares) < n {
		k.spares = append(k.spares, k.open(false))
	}
}

// open opens a session. While nobody has claimed it by then, it is made ready.
func (k *Conn) open(claimed bool) *spare {
	s := &spare{done: make(chan struct{}), claimed: claimed}
	go func() {
		defer close(s.done)
		asked := k.c.Now()
		if s.channel, s.requests, s.err = k.client().OpenChannel("session", nil); s.err != nil {
			return
		}
		k.travelled(k.c.Now().Sub(asked))
		k.mu.Lock()
		s.ready = !s.claimed && k.root.can()
		k.mu.Unlock()
		if s.ready {
			k.prepare(&s.session)
		}
	}()
	return s
}

// prepare has waiting run in a session, with root's rights.
func (k *Conn) prepare(s *session) {
	s.begin(waiting)
	s.ready, s.led = true, make(chan struct{})
	lines, led, channel := k.root.lead(k), s.led, s.channel
	go func() {
		defer close(led)
		if lines != "" {
			_, _ = io.WriteString(channel, lines) // a failure shows in what follows
		}
	}()
}

// begin runs a script in a session, and does not wait for the answer.
func (s *session) begin(script string) {
	refused := make(chan struct{})
	s.refused = refused
	channel := s.channel
	command := ssh.Marshal(struct{ Command string }{quote([]string{"sh", "-c", script})})
	go func() {
		if ok, err := channel.SendRequest("exec", true, command); err == nil && !ok {
			close(refused)
		}
	}()
}

// ended reports whether what waited in a spare session is gone already.
func (s *spare) ended() bool {
	select {
	case <-s.requests: // its exit status, or the end of the session
		return true
	default:
		return false
	}
}

// take is the oldest spare session, or another one.
func (k *Conn) take(ctx context.Context) (session, error) {
	k.mu.Lock()
	own := len(k.spares) == 0
	var s *spare
	if own {
		s = k.open(true)
	} else {
		s, k.spares = k.spares[0], k.spares[1:]
		s.claimed = true
	}
	k.mu.Unlock()
	select {
	case <-s.done:
	case <-ctx.Done():
		go func() { // the session that comes yet is not for us
			if <-s.done; s.err == nil {
				s.channel.Close()
			}
		}()
		return session{}, ctx.Err()
	case <-k.lost:
		return session{}, k.gone()
	}
	switch {
	case s.err == nil && s.ready && s.ended():
		s.channel.Close()
		return k.take(ctx)
	case s.err == nil:
		return s.session, nil
	case !own:
		return k.take(ctx) // the reserve was refused; ask in earnest
	}
	return session{}, k.orGone(fmt.Errorf("the host opens no session (MaxSessions in its sshd_config?): %w", s.err))
}

// sessionWait bounds how long a command waits for others to leave a session to it, on a host
// that allows fewer than usual: nobody's command has ended in that time.
const sessionWait = 10 * time.Second

// patient is take, except that a host with too many sessions is asked again
// while other commands run that may end.
func (k *Conn) patient(ctx context.Context) (session, error) {
	const pause = 50 * time.Millisecond
	const lag = time.Second // for which sshd may still count a session that has ended
	ended, waited := k.ended.Load(), time.Duration(0)
	for ; ; waited += pause {
		s, err := k.take(ctx)
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) {
			return s, err
		}
		if over := k.root.giveUp(k, waited); over != nil {
			select {
			case <-over: // its session is free
				continue
			case <-ctx.Done():
				return session{}, ctx.Err()
			case <-k.lost:
				return session{}, k.gone()
			}
		}
		if len(k.slots) < 2 && !k.root.holds(k) && !k.spared() && waited >= lag {
			return s, err
		}
		if n := k.ended.Load(); n != ended {
			ended, waited = n, 0
		} else if waited >= sessionWait {
			return session{}, err
		}
		select {
		case <-ctx.Done():
			return session{}, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// spared reports whether a session was opened ahead meanwhile, or is being opened: it may be the one that
// was asked for in vain.
func (k *Conn) spared() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.spares) > 0
}
