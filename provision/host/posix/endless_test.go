package posix

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"quorate/provision/host"
)

// talker is a host that never stops talking, on both outputs.
type talker struct{ line string }

func (e talker) Exec(ctx context.Context, _ []string, _ io.Reader, stdout, stderr io.Writer) (int, error) {
	text := []byte(strings.Repeat(e.line, 1+(32<<10)/len(e.line)))
	for ctx.Err() == nil {
		if _, err := stderr.Write(text); err != nil {
			return -1, err
		}
		if _, err := stdout.Write(text); err != nil {
			return -1, err
		}
	}
	return -1, ctx.Err()
}

func (talker) Dial(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
func (talker) Close() error                                           { return nil }

// TestAHostThatNeverStopsTalking: whatever is asked of it, a host that talks for ever is given up, by what
// it has said and not by the clock, and does not fill the operator's memory.
func TestAHostThatNeverStopsTalking(t *testing.T) {
	for what, line := range map[string]string{"lines": "fail\tx\n", "one line": "x", "progress": "progress\tx\n"} {
		t.Run(what, func(t *testing.T) {
			h := New(talker{line}, Options{Name: "h1", Now: time.Now})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			for call, do := range map[string]func() error{
				"look": func() error { _, err := h.Look(ctx, host.Query{Units: []string{"u.service"}}); return err },
				"lock": func() error {
					_, err := h.Lock(ctx, host.LockRequest{Path: "/run/lock", Look: &host.Query{}})
					return err
				},
				"write": func() error { _, err := h.Write(ctx, host.WriteRequest{Files: []host.File{{Path: "/f"}}}); return err },
				"upload": func() error {
					_, err := h.Upload(ctx, host.Upload{Path: "/f", Blob: host.BytesBlob([]byte("b"))})
					return err
				},
				"download": func() error {
					_, err := h.Download(ctx, host.Download{Path: "/f", To: io.Discard})
					return err
				},
				"service": func() error {
					_, err := h.Service(ctx, host.ServiceRequest{Unit: "u.service", Verb: "start", Wait: time.Hour})
					return err
				},
				"run":   func() error { _, err := h.Run(ctx, host.Command{Argv: []string{"true"}}); return err },
				"aside": func() error { _, err := h.Aside(ctx, host.AsideRequest{Dir: "/d", Name: "n"}); return err },
				"move": func() error {
					_, err := h.Move(ctx, host.MoveRequest{From: host.Tree{Dir: "/d", Name: "m"}, To: host.Tree{Dir: "/e", Name: "m"}, Keep: "k"})
					return err
				},
				"remove": func() error { _, err := h.Remove(ctx, host.RemoveRequest{Files: []string{"/f"}}); return err },
			} {
				if err := do(); err == nil || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v", call, err)
				}
			}
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if m.HeapAlloc > 3*answerLimit {
				t.Errorf("%d MiB are held", m.HeapAlloc>>20)
			}
		})
	}
}
