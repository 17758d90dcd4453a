package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/dustin/go-humanize/english"

	"quorate/cmd/quorate/internal/view"
	"quorate/provision"
)

// interrupts delivers the signals that stop a run. SIGHUP stays ignored where
// it was when the program started (nohup). SIGPIPE is taken so that a reader
// who goes away ends the output and not the program: see stream.
func interrupts() <-chan os.Signal {
	c := make(chan os.Signal, 4)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(c, syscall.SIGHUP)
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return c
}

// interruptible gives a context that ends at the first signal, and sets
// p.abort, which ends at the second Ctrl-C; one more ends the process. Outside
// a run there is nothing to finish, so the second Ctrl-C ends the process.
// SIGTERM and SIGHUP count as the first Ctrl-C however often they come: a
// terminal that is closed sends SIGHUP more than once.
func (p *process) interruptible(ctx context.Context) (context.Context, func()) {
	ctx, end := context.WithCancelCause(ctx)
	abort, abandon := context.WithCancelCause(context.WithoutCancel(ctx))
	p.abort = abort
	done := make(chan struct{})
	if p.signals != nil {
		go func() {
			for n := 0; ; {
				select {
				case <-done:
					return
				case s := <-p.signals:
					if n > 0 && s != os.Interrupt {
						continue
					}
					n++
					p.interrupt(n, end, abandon)
				}
			}
		}()
	}
	return ctx, sync.OnceFunc(func() { close(done); end(nil); abandon(nil) })
}

// interrupt answers the nth interrupt.
func (p *process) interrupt(n int, end, abandon context.CancelCauseFunc) {
	steps, running := p.flight.count()
	them := "them"
	if steps == 1 {
		them = "it"
	}
	switch {
	case n == 1 && steps > 0:
		p.say(fmt.Sprintf("finishing %s in flight (Ctrl-C again abandons %s)", english.Plural(steps, "step", "steps"), them))
		end(errInterrupted)
	case n == 1:
		p.say("stopping (Ctrl-C again leaves at once)")
		end(errInterrupted)
	case n == 2 && running:
		p.say(fmt.Sprintf("abandoning %s in flight (Ctrl-C again leaves at once)", english.Plural(steps, "step", "steps")))
		abandon(errInterrupted)
	default:
		p.exit(exitInterrupted)
	}
}

// say puts a line where a person sees it: above the progress of a run, or on standard error.
func (p *process) say(text string) {
	if !p.flight.say(text) {
		fmt.Fprintln(p.err, "\n"+text) // not behind the ^C that the terminal shows
	}
}

// flight knows the steps in flight of the run that is being carried out. The
// zero value knows of no run.
type flight struct {
	mu    sync.Mutex
	steps map[string]bool // nil outside a run
	line  func(string)    // prints a line above the progress; may be nil
}

// begin says that a run begins whose progress is drawn by to.
func (f *flight) begin(to view.Progress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.steps = map[string]bool{}
	if l, ok := to.(interface{ Line(string) }); ok {
		f.line = l.Line
	}
}

// end says that it is over; afterwards its progress is not written to.
func (f *flight) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.steps, f.line = nil, nil
}

// event keeps count.
func (f *flight) event(e provision.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch e.Type {
	case provision.StepStarted:
		f.steps[e.Step] = true
	case provision.StepDone, provision.StepSkipped, provision.StepFailed:
		delete(f.steps, e.Step)
	}
}

// count is the number of steps in flight, and whether there is a run at all.
func (f *flight) count() (steps int, running bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.steps), f.steps != nil
}

// say prints a line above the progress, if one is drawn.
func (f *flight) say(text string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.line == nil {
		return false
	}
	f.line(text)
	return true
}
