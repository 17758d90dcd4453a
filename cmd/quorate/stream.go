package main

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"

	"quorate/provision/redact"
)

// stream is standard output or standard error. Once nobody reads it any more
// (a closed pipe: `quorate apply | head`; a terminal that is gone) what is
// written is dropped without an error: losing the reader ends the output, not
// the run. Other errors, such as a full disk, are passed on.
type stream struct {
	file     *os.File
	terminal bool
	closed   atomic.Bool
}

func (s *stream) Write(b []byte) (int, error) {
	if s.closed.Load() {
		return len(b), nil
	}
	n, err := s.file.Write(b)
	if errors.Is(err, syscall.EPIPE) || s.terminal && errors.Is(err, syscall.EIO) {
		s.closed.Store(true)
		return len(b), nil
	}
	return n, err
}

// screen is an output of ours: what is written to it is filtered on its way to the writer below.
type screen struct {
	io.Writer
	below io.Writer
}

// filtered puts the filter before an output; colors lets ours pass.
func filtered(f *redact.Filter, w io.Writer, colors bool) io.Writer {
	return &screen{f.Writer(w, colors), w}
}

// raw is the file behind an output, for those who must have it itself: a
// child's standard output, the drawing of progress on a terminal.
func raw(w io.Writer) io.Writer {
	w = below(w)
	if s, ok := w.(*stream); ok {
		return s.file
	}
	return w
}

// below is the writer that w filters for, or w itself.
func below(w io.Writer) io.Writer {
	if s, ok := w.(*screen); ok {
		return s.below
	}
	return w
}

// unread reports whether nobody reads w any more.
func unread(w io.Writer) bool {
	s, ok := below(w).(*stream)
	return ok && s.closed.Load()
}
