package snapshot

import (
	"io"
	"os"
	"sync"

	"quorate/internal/durable"
)

const (
	// blockSize is how much goes to a file and into a hash at a time, bytes: what stays in a core's cache.
	blockSize = 256 << 10
	// blocks of that size may wait.
	blocks = 4
	// beginEvery is after how many bytes the disk is given what was written.
	beginEvery = 8 << 20
)

// beside writes what it is given in a goroutine of its own, in order and by the block, so that who receives does not wait for
// files and hashes. What goes wrong is the error of a later Write, or of end.
type beside struct {
	to   io.Writer
	buf  []byte
	full chan []byte
	free chan []byte
	done chan struct{}

	once sync.Once
	err  error // once done is closed
}

func newBeside(to io.Writer) *beside {
	b := &beside{to: to, full: make(chan []byte, blocks), free: make(chan []byte, blocks+2), done: make(chan struct{})}
	go b.run()
	return b
}

func (b *beside) run() {
	defer close(b.done)
	for block := range b.full {
		if _, b.err = b.to.Write(block); b.err != nil {
			return
		}
		b.free <- block[:0] // there are never more of them than it holds
	}
}

func (b *beside) Write(p []byte) (n int, err error) {
	for n = len(p); len(p) > 0; {
		if b.buf == nil {
			select {
			case b.buf = <-b.free:
			default:
				b.buf = make([]byte, 0, blockSize)
			}
		}
		take := min(len(p), blockSize-len(b.buf))
		b.buf, p = append(b.buf, p[:take]...), p[take:]
		if len(b.buf) == blockSize {
			if err := b.pass(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// pass gives away what is full.
func (b *beside) pass() error {
	select {
	case b.full <- b.buf:
		b.buf = nil
		return nil
	case <-b.done:
		return b.err
	}
}

// end waits until all is written. Nothing may be written after it; it may be called again.
func (b *beside) end() error {
	b.once.Do(func() {
		if len(b.buf) > 0 {
			_ = b.pass() // the error is kept
		}
		close(b.full)
		<-b.done
	})
	return b.err
}

// flowing is a file that goes to the disk while it is written: at the end little is left to wait for, and a member's own log
// on that disk never waits for all of it at once.
type flowing struct {
	*os.File
	at, begun int64
}

func (f *flowing) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if f.at += int64(n); f.at-f.begun >= beginEvery {
		durable.Begin(f.File, f.begun, f.at-f.begun)
		f.begun = f.at
	}
	return n, err
}
