package main

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
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

// raw is the file behind a stream, for those who must have it itself: a
// child's standard output, the drawing of progress on a terminal.
func raw(w io.Writer) io.Writer {
	if s, ok := w.(*stream); ok {
		return s.file
	}
	return w
}

// unread reports whether nobody reads w any more.
func unread(w io.Writer) bool {
	s, ok := w.(*stream)
	return ok && s.closed.Load()
}
