package hosttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

func testRelay(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := s.h.Relay(ctx, []string{"cat"})
	if err != nil {
		t.Fatal(err)
	}
	cancel() // it bounds the beginning only
	big := bytes.Repeat([]byte("0123456789abcdef\x00\n"), 40_000)
	go func() {
		for _, part := range [][]byte{big[:1], big[1:70_000], big[70_000:]} {
			if _, err := conn.Write(part); err != nil {
				t.Error(err)
			}
		}
	}()
	back := make([]byte, len(big))
	if _, err := io.ReadFull(conn, back); err != nil || !bytes.Equal(back, big) {
		t.Fatalf("what went in did not come out: %v", err)
	}
	// It has deadlines, and goes on after one.
	if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(back[:1]); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past the deadline: %v", err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(back[:1]); n != 1 || back[0] != 'x' {
		t.Errorf("after the deadline: %v", err)
	}
	// Other calls go on beside it.
	if !s.TwoSessions {
		if _, err := s.h.Relay(t.Context(), []string{"cat"}); err != nil {
			t.Error(err)
		}
	}
	s.dir(t, s.Dir)
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if _, err := conn.Read(back[:1]); err == nil {
		t.Error("a closed relay gave something")
	}
	if err := conn.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if _, err := s.h.Relay(t.Context(), nil); err == nil {
		t.Error("no command at all was run")
	}
	if _, err := s.h.Relay(ctx, []string{"cat"}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
}

func testRelayThatEnds(t *testing.T, s *suite) {
	conn, err := s.h.Relay(t.Context(), []string{"sh", "-c", "echo out; echo bad luck >&2; exit 3"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	out, err := io.ReadAll(conn)
	if string(out) != "out\n" || err == nil || !strings.Contains(err.Error(), "bad luck") || !strings.Contains(err.Error(), s.h.Name()) {
		t.Errorf("%q, %v", out, err)
	}
	// The session's end is its end.
	h := s.session(t)
	last, err := h.Relay(t.Context(), []string{"cat"})
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	if _, err := io.ReadAll(last); err == nil {
		t.Error("a relay whose session ended has ended well")
	}
	if _, err := h.Relay(t.Context(), []string{"cat"}); err == nil {
		t.Error("a closed session began a relay")
	}
	// A command that is not there.
	none, err := s.h.Relay(t.Context(), []string{s.path("no such command")})
	if err != nil {
		return
	}
	defer none.Close()
	if _, err := io.ReadAll(none); err == nil || !strings.Contains(err.Error(), "127") && !strings.Contains(err.Error(), "not found") {
		t.Errorf("a command that is not there: %v", err)
	}
}
