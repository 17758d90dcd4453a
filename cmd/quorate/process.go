package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"quorate/provision/redact"
)

// process is everything this program takes from the machine it runs on. Only
// main makes one from the real thing; commands get it as an argument.
type process struct {
	args []string
	// lookup reads the environment; environ is all of it.
	lookup  func(string) (string, bool)
	environ []string
	in      io.Reader
	out     io.Writer
	err     io.Writer
	now     func() time.Time
	// inTerminal, outTerminal: a person is at that end. width of the terminal, in columns.
	inTerminal, outTerminal, errTerminal bool
	width                                int
	// askSecret reads a line without showing it; nil when nobody is there.
	askSecret func(question string) (string, error)
	// filter stands before everything that is printed or kept; it learns the spec's secrets.
	filter redact.Filter
	// signals delivers the interrupts; nil: none come.
	signals <-chan os.Signal
	// exit ends the process at once.
	exit func(code int)
	// flight is the run that is being carried out: what an interrupt is answered with depends on it.
	flight flight
	// abort ends when the steps in flight are to be abandoned; set by interruptible.
	abort context.Context
}

// realProcess looks at the machine.
func realProcess() *process {
	p := &process{
		args: os.Args, lookup: os.LookupEnv, environ: os.Environ(),
		in: os.Stdin, now: time.Now,
		inTerminal:  term.IsTerminal(int(os.Stdin.Fd())),
		outTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		errTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		width:       80,
		exit:        os.Exit,
	}
	p.out, p.err = &stream{file: os.Stdout, terminal: p.outTerminal}, &stream{file: os.Stderr, terminal: p.errTerminal}
	if p.outTerminal {
		if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w > 0 {
			p.width = w
		}
	}
	// Standard input may be a pipe (a value for ctl put) and somebody still be there.
	if p.inTerminal || p.errTerminal {
		p.askSecret = readSecret
	}
	p.signals = interrupts()
	return p
}

// env is the value of a variable, "" when it is not set.
func (p *process) env(name string) string {
	v, _ := p.lookup(name)
	return v
}

// readSecret asks on the terminal itself, whatever standard input is.
func readSecret(question string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer tty.Close()
	fd := int(tty.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	// A signal that ends the process meanwhile must not leave the terminal mute.
	defer func() { _ = term.Restore(fd, state) }()
	fmt.Fprintf(tty, "\r\x1b[K%s: ", question) // over what waiting has written
	b, err := term.ReadPassword(fd)
	fmt.Fprintln(tty)
	return string(b), err
}

// prompt asks for a passphrase; fresh asks twice, for a new one.
func (p *process) prompt(question string, fresh bool) (string, error) {
	first, err := p.askSecret(question)
	p.filter.Hide(first)
	if err != nil || !fresh {
		return first, err
	}
	again, err := p.askSecret("The same again")
	if err == nil && again != first {
		err = errors.New("the two are not the same")
	}
	return first, err
}

// ask puts a question and reads one line. It gives up when ctx ends.
func (p *process) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(p.out, question)
	if unread(p.out) {
		return "", errors.New("nobody sees the question: standard output is closed")
	}
	type answer struct {
		line string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		line, err := readLine(p.in)
		got <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case a := <-got:
		return strings.TrimSpace(a.line), a.err
	}
}

// readLine reads to the end of the line, byte by byte: what follows is not ours.
func readLine(r io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		n, err := r.Read(b)
		if n == 1 {
			if b[0] == '\n' {
				return string(line), nil
			}
			line = append(line, b[0])
		}
		if errors.Is(err, io.EOF) && len(line) > 0 {
			return string(line), nil
		}
		if err != nil {
			return "", err
		}
	}
}
