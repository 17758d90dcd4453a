package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// Writes of 32 KiB that wait for their answer. The most are the 2 MiB of OpenSSH's window. But sshd moves
// all of its queue for each piece that it adds or takes (sshbuf.c), and with a full one it spends more time on
// that than on everything else: so no more than the round trip asks for at a rate that few hosts exceed.
const (
	leastInFlight = 8
	mostInFlight  = 64
	writeSize     = 32 << 10
	stageRate     = 25 << 20 // bytes a second
)

// inFlight is how many writes are sent ahead on a connection with that round trip.
func inFlight(roundTrip time.Duration) int {
	return min(max(int(roundTrip.Seconds()*stageRate/writeSize), leastInFlight), mostInFlight)
}

// lan is the round trip up to which a host is in the same building, on a network of a gigabit or more.
const lan = time.Millisecond

// Near implements posix.Near.
func (k *Conn) Near() bool {
	d := k.roundTrip()
	return 0 < d && d < lan
}

// Prepare begins the sftp subsystem in the background, once: it takes three
// round trips that nothing needs to wait for.
func (k *Conn) Prepare() { k.subsystem() }

func (k *Conn) subsystem() *lazySFTP {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sftp == nil {
		k.sftp = &lazySFTP{done: make(chan struct{}), close: func() {}}
		go k.begin(k.sftp)
	}
	return k.sftp
}

func (k *Conn) begin(s *lazySFTP) {
	defer close(s.done)
	channel, requests, err := k.client().OpenChannel("session", nil)
	if err != nil {
		s.err = err
		return
	}
	go ssh.DiscardRequests(requests)
	ok, err := channel.SendRequest("subsystem", true, ssh.Marshal(struct{ Name string }{"sftp"}))
	if err == nil && !ok {
		err = errors.New("the host has no sftp subsystem")
	}
	if err == nil {
		s.client, err = sftp.NewClientPipe(channel, channel, sftp.MaxConcurrentRequestsPerFile(mostInFlight), sftp.UseConcurrentWrites(true))
	}
	if err != nil {
		channel.Close()
		s.err = err
		return
	}
	s.close = func() { channel.Close(); s.client.Close() }
}

// drop forgets a subsystem that was interrupted; the next stage begins another.
func (k *Conn) drop(s *lazySFTP) {
	k.mu.Lock()
	if k.sftp == s {
		k.sftp = nil
	}
	k.mu.Unlock()
	s.close()
}

// Stage writes r into a new file as the login user, over sftp; with cat on a host
// without the subsystem, and on one so far away that sftp would be given the whole
// window too: what is sent ahead is the same then, and opening the file costs no trip of its own.
func (k *Conn) Stage(ctx context.Context, path string, r io.Reader) error {
	if inFlight(k.roundTrip()) == mostInFlight {
		return k.stageByCat(ctx, path, r)
	}
	s := k.subsystem()
	select {
	case <-s.done:
	case <-ctx.Done():
		return ctx.Err()
	case <-k.lost:
		return k.gone()
	}
	if s.err != nil {
		k.drop(s)
		return k.stageByCat(ctx, path, r)
	}
	stop := context.AfterFunc(ctx, func() { k.drop(s) })
	defer stop()
	err := k.writeFile(s.client, path, r)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		return nil
	}
	k.drop(s)
	return k.orGone(fmt.Errorf("cannot stage to %s: %w", path, err))
}

func (k *Conn) writeFile(c *sftp.Client, name string, r io.Reader) error {
	asked := k.c.Now()
	f, err := c.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY)
	if err != nil {
		return err
	}
	_, err = f.ReadFromWithConcurrency(r, inFlight(k.c.Now().Sub(asked)))
	// Every write was answered, and whoever asked for the file compares its
	// digest: what the close would say is not worth a round trip.
	go f.Close()
	return err
}

func (k *Conn) stageByCat(ctx context.Context, path string, r io.Reader) error {
	stderr := &keep{}
	exit, err := k.exec(ctx, quote([]string{"sh", "-c", `set -C; umask 077; exec cat >"$1"`, "quorate-stage", path}), r, io.Discard, stderr)
	if err == nil && exit != 0 {
		err = fmt.Errorf("cannot stage to %s: %s", path, stderr.text)
	}
	return err
}

// keep holds the first words of an error.
type keep struct{ text []byte }

func (k *keep) Write(p []byte) (int, error) {
	if room := 1024 - len(k.text); room > 0 {
		k.text = append(k.text, p[:min(room, len(p))]...)
	}
	return len(p), nil
}
