package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

func TestLosingTheConnection(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T) (*hosttest.Server, *Conn, host.Host) {
		s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users()})
		b := newBox(t, s, "root")
		b.c.KeepAlive = 300 * time.Millisecond // a machine that is busy answers within three of them
		c := b.mustDial(t)
		return s, c, New(c)
	}
	for name, lose := range map[string]func(*hosttest.Server){"cut": (*hosttest.Server).Cut, "silent": (*hosttest.Server).Freeze} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, h := open(t)
			done := make(chan error, 2)
			dir := t.TempDir()
			if _, err := h.Lock(t.Context(), host.LockRequest{Path: dir + "/lock"}); err != nil {
				t.Fatal(err)
			}
			tunnel, err := h.DialContext(t.Context(), "tcp", s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				_, err := h.Run(t.Context(), host.Command{Argv: []string{"sh", "-c", `: >"$1"; exec sleep 600`, "x", dir + "/runs"}})
				done <- err
			}()
			go func() {
				_, err := io.Copy(io.Discard, tunnel)
				done <- fmt.Errorf("tunnel: %v", err)
			}()
			for _, err := os.Stat(dir + "/runs"); err != nil; _, err = os.Stat(dir + "/runs") {
				time.Sleep(time.Millisecond)
			}
			lose(s)
			for range 2 {
				select {
				case err := <-done:
					var u *host.UnreachableError
					if !errors.As(err, &u) && !strings.Contains(err.Error(), "tunnel") {
						t.Errorf("got %v", err)
					}
				case <-time.After(time.Minute):
					t.Fatal("a call outlived its connection")
				}
			}
			var u *host.UnreachableError
			if _, err := h.Look(t.Context(), host.Query{}); !errors.As(err, &u) || !strings.Contains(err.Error(), "connection was lost") {
				t.Errorf("a look afterwards: %v", err)
			}
			if _, err := h.DialContext(t.Context(), "tcp", "127.0.0.1:1"); !errors.As(err, &u) {
				t.Errorf("dialling afterwards: %v", err)
			}
			if _, err := h.Upload(t.Context(), host.Upload{Path: dir + "/f", Blob: host.BytesBlob(nil)}); err == nil {
				t.Error("an upload afterwards went through")
			}
		})
	}
}

func TestOneRoundTripForACommand(t *testing.T) {
	t.Parallel()
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users()})
	b := newBox(t, s, "root")
	var deaf atomic.Bool
	release := make(chan struct{})
	b.c.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &halfDeaf{c, &deaf, release}, err
	}
	c := b.mustDial(t)
	for _, s := range c.spares {
		<-s.done
	}
	mark := filepath.Join(t.TempDir(), "done")
	deaf.Store(true) // from here on nothing that the host says arrives
	result := make(chan error, 1)
	go func() {
		_, err := New(c).Run(t.Context(), host.Command{Argv: []string{"sh", "-c", `cat >"$1.part"; mv "$1.part" "$1"`, "x", mark}, Stdin: []byte("all of it")})
		result <- err
	}()
	for range 3000 {
		if text, err := os.ReadFile(mark); err == nil {
			if string(text) != "all of it" {
				t.Fatalf("the command got %q", text)
			}
			close(release)
			if err := <-result; err != nil {
				t.Fatal(err)
			}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the command waits for more than one round trip")
}

// halfDeaf keeps what arrives to itself while deaf, until released.
type halfDeaf struct {
	net.Conn
	deaf    *atomic.Bool
	release chan struct{}
}

func TestACommandThatWasNotStarted(t *testing.T) {
	t.Parallel()
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), IgnoreExec: true})
	c := newBox(t, s, "root").mustDial(t)
	if _, err := New(c).Run(t.Context(), host.Command{Argv: []string{"id"}}); !errors.Is(err, errNotStarted) {
		t.Fatalf("got %v", err)
	}
}

func TestForwardingForbidden(t *testing.T) {
	t.Parallel()
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), NoForwarding: true})
	_, err := New(newBox(t, s, "root").mustDial(t)).DialContext(t.Context(), "tcp", "127.0.0.1:2379")
	var forbidden *host.ForwardingError
	if !errors.As(err, &forbidden) || forbidden.Host != "etcd1" || !strings.Contains(err.Error(), "AllowTcpForwarding") {
		t.Fatal(err)
	}
}

func TestTunnelDeadlines(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users()})
	conn, err := New(newBox(t, s, "root").mustDial(t)).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := errors.Join(conn.SetDeadline(time.Now().Add(time.Hour)), conn.SetReadDeadline(time.Now().Add(10*time.Millisecond))); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

func (h *halfDeaf) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	if h.deaf.Load() {
		<-h.release
	}
	return n, err
}

func TestSessionsAreNotLeaked(t *testing.T) {
	t.Parallel()
	for name, tick := range map[string]time.Duration{"near": 0, "far": farAway} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// One for each command that may run, and the reserve.
			s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users(), MaxSessions: maxSessions - 1})
			b := newBox(t, s, "root")
			var ticks atomic.Int64
			b.c.Now = func() time.Time { return time.Unix(0, ticks.Add(int64(tick))) } // all that is measured takes so long
			h := New(b.mustDial(t))
			var all sync.WaitGroup
			for range 200 {
				all.Go(func() {
					if _, err := h.Run(t.Context(), host.Command{Argv: []string{"true"}}); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if n := s.Refused(); n > 0 {
				t.Errorf("%d sessions too many were asked for", n)
			}
		})
	}
}
