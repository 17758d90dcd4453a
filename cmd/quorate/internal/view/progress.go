package view

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"quorate/provision"
)

// Progress shows a run while it goes on. Event may be called from many
// goroutines; Close before anything else is printed.
type Progress interface {
	Event(provision.Event)
	Close()
}

// Lines is a line per step, for pipes and logs.
func Lines(w io.Writer, o Options) Progress { return &lines{p: paper{w: w, o: o}} }

type lines struct {
	mu sync.Mutex
	p  paper
}

func (l *lines) Event(e provision.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if text := l.p.said(e); text != "" {
		l.p.line("%s", text)
	}
}

func (l *lines) Close() {}

// said is the line about an event, "" for those that are not worth one: those
// that are end their step, but for Waiting.
func (p *paper) said(e provision.Event) painted {
	text := e.Title
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	what := p.paint("", text)
	took := p.paint(dim, " ("+Seconds(e.Seconds)+")")
	switch e.Type {
	case provision.Waiting:
		return p.paint(yellow, "waiting   ") + p.paint("", e.Title+": "+e.Member+" is "+e.Detail) + p.paint(dim, " (for "+Seconds(e.Seconds)+")")
	case provision.StepDone:
		return p.paint(green, "done      ") + what + took
	case provision.StepSkipped:
		return p.paint(dim, "as it is  ") + what + took
	case provision.StepFailed:
		if e.Result == provision.Partly {
			return p.paint(red, "in part   ") + p.paint("", e.Title) + took
		}
		return p.paint(red, "failed    ") + p.paint("", e.Title) + took
	case provision.NotReached:
		return p.paint(yellow, "not begun ") + what
	}
	return ""
}

// Bars is a terminal's view: what is in flight at the bottom (a bar for each
// transfer, a clock for each other step), a line above for what ended.
func Bars(w io.Writer, o Options) Progress {
	return &bars{
		p:    paper{w: w, o: o},
		c:    mpb.New(mpb.WithOutput(w), mpb.WithAutoRefresh(), mpb.WithWidth(32), mpb.WithRefreshRate(100*time.Millisecond)),
		live: map[string]flight{},
	}
}

type bars struct {
	p    paper
	c    *mpb.Progress
	mu   sync.Mutex
	live map[string]flight // by step
}

// flight is a step under way.
type flight struct {
	bar *mpb.Bar
	// what is being sent; "" while nothing is.
	what string
}

func (b *bars) Event(e provision.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e.Type {
	case provision.StepStarted:
		b.live[e.Step] = flight{bar: b.c.New(0, mpb.NopStyle(),
			mpb.PrependDecorators(decor.Spinner(nil, decor.WC{W: 2}), decor.Name(b.p.o.text(e.Title)+" ")),
			mpb.AppendDecorators(decor.Elapsed(decor.ET_STYLE_GO)),
			mpb.BarRemoveOnComplete())}
	case provision.Progress:
		b.transfer(e)
	case provision.Waiting:
		fmt.Fprintln(b.c, b.p.said(e))
	default:
		b.end(e)
	}
}

// transfer turns the clock of a step into a bar once bytes move, and into
// another one when the next file follows.
func (b *bars) transfer(e provision.Event) {
	f := b.live[e.Step]
	if what := strings.TrimSpace(e.Member + " " + e.Title); f.what != what {
		if f.bar != nil {
			f.bar.Abort(true)
		}
		f = flight{what: what, bar: b.c.New(e.Total, mpb.BarStyle().Lbound("").Rbound("").Filler("█").Tip("█").Padding("░"),
			mpb.PrependDecorators(decor.Name("  "+b.p.o.text(what)+" ", decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f")),
			mpb.BarRemoveOnComplete())}
		b.live[e.Step] = f
	}
	f.bar.SetTotal(e.Total, false)
	f.bar.SetCurrent(e.Sent)
}

func (b *bars) end(e provision.Event) {
	text := b.p.said(e)
	if text == "" {
		return
	}
	if f, ok := b.live[e.Step]; ok {
		f.bar.Abort(true)
		delete(b.live, e.Step)
	}
	fmt.Fprintln(b.c, text)
}

// Line prints a line above what is in flight.
func (b *bars) Line(text string) { fmt.Fprintln(b.c, b.p.o.text(text)) }

func (b *bars) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.live {
		f.bar.Abort(true)
	}
	b.c.Wait()
}
