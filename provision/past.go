package provision

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"quorate/plan"
)

// PastRun is a run as its journal on this side tells it. A journal is what was written until then: one of a run that
// was killed has no end, and may end within a line.
type PastRun struct {
	ID     string    `json:"run"`
	Verb   plan.Verb `json:"verb,omitempty"`
	By     string    `json:"by,omitempty"` // user@machine; "" in journals of older versions
	Began  time.Time `json:"began"`
	Ending Ending    `json:"ending"`
	// Seconds from its beginning to its end, or to the last thing that was written.
	Seconds float64 `json:"seconds"`
	// Steps of its plan, and how many of them came to what; those that a journal without an end does not name count as not reached.
	Steps  int            `json:"planned"`
	Counts map[Result]int `json:"counts"`
	// StoppedAt is the title of the first step that failed or was abandoned, or else of the first to begin of those that were
	// under way when the journal ends; StoppedBefore, where there is none, that of the first step that was not reached.
	StoppedAt     string `json:"stopped_at,omitempty"`
	StoppedBefore string `json:"stopped_before,omitempty"`
	// Error of the run, or of reading its journal.
	Error string `json:"error,omitempty"`
	// Unread counts lines that could not be read, without one that was cut at the end.
	Unread  int    `json:"unread,omitempty"`
	Journal string `json:"file"`
}

// Done is how many steps came to what they are for.
func (r *PastRun) Done() int { return r.Counts[Changed] + r.Counts[Unchanged] }

// PastStep is a step of a past run.
type PastStep struct {
	StepReport
	Member string    `json:"member,omitempty"`
	Began  time.Time `json:"began,omitzero"` // zero: it was not reached
	// Calls on the hosts while it was under way, the last [CallsKept]; only of a step that failed, or did not end. On the
	// host of its member, or, where it has none, on all.
	Calls []PastCall `json:"calls,omitempty"`
	// Earlier counts the calls before those.
	Earlier int `json:"earlier_calls,omitempty"`
}

// PastCall is a call on a host. It is noted when it ends: one that never ended is not there.
type PastCall struct {
	Member  string  `json:"member"`
	Call    string  `json:"call"`
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error,omitempty"`
}

// CallsKept is how many calls of a step are kept: what led to a failure is near its end.
const CallsKept = 20

// Journals are the ids of the runs whose journals lie in a folder, the newest first; none where there is no folder.
func Journals(dir string) ([]string, error) {
	if dir == "" {
		return nil, nil // none are kept
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list the journals: %w", err)
	}
	var out []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), journalExt); ok && e.Type().IsRegular() {
			out = append(out, id)
		}
	}
	slices.Reverse(out) // they were in the order of their names, which begin with the time
	return out, nil
}

// ReadRun reads the journal of a run without its steps. It reads one line at a time, so that memory does not grow with the
// journal. What cannot be read is said in the answer; nil: there is no journal.
func ReadRun(dir, id string) *PastRun {
	run, _ := readJournal(filepath.Join(dir, id+journalExt), id, false)
	return run
}

// ReadSteps is [ReadRun] with the steps that the journal names, in the order in which they began.
func ReadSteps(dir, id string) (*PastRun, []*PastStep) {
	return readJournal(filepath.Join(dir, id+journalExt), id, true)
}

func readJournal(path, id string, keep bool) (*PastRun, []*PastStep) {
	r := &reading{run: &PastRun{ID: id, Began: beganAt(id), Counts: map[Result]int{}, Journal: path}, keep: keep}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		defer f.Close()
		err = r.lines(f)
	}
	if err != nil || r.read == 0 && r.run.Unread > 0 {
		if err == nil {
			err = errors.New("no line of it is an event")
		}
		r.run.Ending, r.run.Error = RunUnreadable, err.Error()
		return r.run, nil
	}
	if r.run.Ending == "" {
		r.cut(locked(f))
	}
	return r.run, r.steps
}

// beganAt is the time that a run's id begins with; zero if it does not.
func beganAt(id string) time.Time {
	text, _, _ := strings.Cut(id, "-")
	at, _ := time.Parse("20060102T150405Z", text)
	return at
}

// locked reports whether a run holds its journal. The answer is no where locks cannot be had.
func locked(f *os.File) bool {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	}
	return errors.Is(err, syscall.EWOULDBLOCK)
}

// reading is a journal being read.
type reading struct {
	run    *PastRun
	keep   bool        // the steps, not only those under way
	steps  []*PastStep // in the order in which they began
	flying []*PastStep // under way
	read   int         // lines
	last   time.Time
}

// lineLimit is how long a line may be: longer than anything that a step or a call says, whose outputs are bounded.
const lineLimit = 1 << 20

// lines reads all lines. One that is no event is counted, unless it is the last and was cut.
func (r *reading) lines(in io.Reader) error {
	s := bufio.NewReaderSize(in, 64<<10)
	for {
		line, whole, err := nextLine(s)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(line) > 0 {
			var e Event
			switch {
			case json.Unmarshal(line, &e) == nil && e.Type != "":
				r.read++
				r.event(e)
			case whole:
				r.run.Unread++
			}
		}
		if err != nil {
			return nil
		}
	}
}

// nextLine is a line without its end; whole says that it had one. Of a line over the limit the beginning is given.
func nextLine(in *bufio.Reader) (line []byte, whole bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if room := lineLimit - len(line); room > 0 {
			line = append(line, part[:min(room, len(part))]...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimSuffix(line, []byte("\n")), err == nil, err
		}
	}
}

// event takes in what happened.
func (r *reading) event(e Event) {
	run := r.run
	if e.At.After(r.last) {
		r.last = e.At
	}
	switch e.Type {
	case RunStarted:
		run.Began, run.Verb, run.By, run.Steps = e.At, e.Verb, e.By, e.Steps
		if e.Verb == "" { // older versions say it in the title alone
			var cluster string
			_, _ = fmt.Sscanf(e.Title, "%s %s %d steps", &run.Verb, &cluster, &run.Steps)
		}
	case RunFinished:
		run.Ending, run.Seconds, run.Error = e.Ending, e.Seconds, e.Error
		if e.Ending == "" {
			run.Ending = olderEnding(e.Error)
		}
	case StepStarted:
		s := &PastStep{StepReport: StepReport{ID: e.Step, Title: e.Title}, Member: e.Member, Began: e.At}
		r.flying = append(r.flying, s)
		if r.keep {
			r.steps = append(r.steps, s)
		}
	case HostCall:
		for _, s := range r.flying {
			if s.Member != "" && s.Member != e.Member {
				continue
			}
			if s.Calls = append(s.Calls, PastCall{Member: e.Member, Call: e.Call, Seconds: e.Seconds, Error: e.Error}); len(s.Calls) > CallsKept {
				s.Calls = slices.Delete(s.Calls, 0, 1)
				s.Earlier++
			}
		}
	case StepDone, StepSkipped, StepFailed:
		r.ended(e)
	case NotReached:
		run.Counts[Unreached]++
		if run.StoppedAt == "" && run.StoppedBefore == "" {
			run.StoppedBefore = e.Title
		}
		if r.keep {
			r.steps = append(r.steps, &PastStep{StepReport: StepReport{ID: e.Step, Title: e.Title, Result: Unreached}, Member: e.Member})
		}
	}
}

// ended takes in how a step ended.
func (r *reading) ended(e Event) {
	i := slices.IndexFunc(r.flying, func(s *PastStep) bool { return s.ID == e.Step })
	if i < 0 {
		return // its beginning could not be read
	}
	s := r.flying[i]
	r.flying = slices.Delete(r.flying, i, i+1)
	s.Result, s.Seconds, s.Detail, s.Error = e.Result, e.Seconds, e.Detail, e.Error
	if s.Result == "" { // of an older version
		s.Result = map[EventType]Result{StepDone: Changed, StepSkipped: Unchanged, StepFailed: Failed}[e.Type]
	}
	r.run.Counts[s.Result]++
	if e.Type != StepFailed {
		s.Calls, s.Earlier = nil, 0
		return
	}
	if r.run.StoppedAt == "" {
		r.run.StoppedAt, r.run.StoppedBefore = s.Title, ""
	}
}

// cut closes a journal that has no end.
func (r *reading) cut(alive bool) {
	run, result := r.run, CutOff
	run.Ending = RunCutOff
	if alive {
		run.Ending, result = RunUnderWay, InFlight
	}
	if !r.last.IsZero() && !run.Began.IsZero() {
		run.Seconds = r.last.Sub(run.Began).Seconds()
	}
	for _, s := range r.flying {
		s.Result = result
		run.Counts[result]++
		if run.StoppedAt == "" {
			run.StoppedAt, run.StoppedBefore = s.Title, ""
		}
	}
	named := 0
	for _, n := range run.Counts {
		named += n
	}
	if left := run.Steps - named; left > 0 {
		run.Counts[Unreached] += left
	}
}

// olderEnding is how a run ended, by what it came to: journals of older versions say no more.
func olderEnding(err string) Ending {
	switch {
	case err == "":
		return RunDone
	case strings.HasPrefix(err, "interrupted with "):
		return RunInterrupted
	}
	return RunFailed
}
