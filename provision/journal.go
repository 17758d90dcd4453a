package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"quorate/provision/host"
)

// journalExt is how the names of journals end; before it stands the run's id.
const journalExt = ".jsonl"

// journal is a file of events, one JSON object a line, mode 0600. It is locked (flock) while its run is under way, so
// that a run that was killed can be told from one that lives. Nothing here deletes journals.
type journal struct {
	file *os.File
	enc  *json.Encoder
}

func (r *run) openJournal() error {
	dir := r.session.world.Runs
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot keep a journal: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, r.opt.ID+journalExt), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("cannot keep a journal: %w", err)
	}
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_EX) // a file system without locks loses only what the lock would tell
	r.journal = &journal{file: f, enc: json.NewEncoder(r.session.world.Filter.Writer(f, false))}
	return nil
}

func (r *run) closeJournal() {
	if r.journal != nil {
		_ = r.journal.file.Close() // every line was written when it happened
	}
}

func (j *journal) path() string {
	if j == nil {
		return ""
	}
	return j.file.Name()
}

// tell gives an event its time and run, and hands it to the journal and the screen, in one order for both.
func (r *run) tell(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.At, e.Run = r.session.world.Clock(), r.opt.ID
	if r.journal != nil && e.Type != Progress {
		_ = r.journal.enc.Encode(e) // a full disk here must not stop a run half-way
	}
	if r.opt.Events != nil && e.Type != HostCall {
		r.opt.Events(e)
	}
}

// journaled is a host whose calls are told to a run.
type journaled struct {
	host.Host
	member string
	run    *run
}

// noted tells of a call once it has ended.
func noted[T any](j *journaled, name string, call func() (T, error)) (T, error) {
	clock := j.run.session.world.Clock
	began := clock()
	out, err := call()
	j.run.tell(Event{Type: HostCall, Member: j.member, Call: name, Seconds: clock().Sub(began).Seconds(), Error: text(err)})
	return out, err
}

func (j *journaled) Look(ctx context.Context, q host.Query) (*host.Look, error) {
	return noted(j, "look", func() (*host.Look, error) { return j.Host.Look(ctx, q) })
}

func (j *journaled) Download(ctx context.Context, d host.Download) (host.Downloaded, error) {
	return noted(j, "download "+d.Path, func() (host.Downloaded, error) { return j.Host.Download(ctx, d) })
}

func (j *journaled) Write(ctx context.Context, w host.WriteRequest) ([]host.Change, error) {
	name := "write"
	for _, f := range w.Files {
		name += " " + f.Path
	}
	return noted(j, name, func() ([]host.Change, error) { return j.Host.Write(ctx, w) })
}

func (j *journaled) Upload(ctx context.Context, u host.Upload) (host.Change, error) {
	return noted(j, "upload "+u.Path+" "+u.Blob.Digest(), func() (host.Change, error) { return j.Host.Upload(ctx, u) })
}

func (j *journaled) Service(ctx context.Context, r host.ServiceRequest) (host.UnitState, error) {
	var what []string
	for _, w := range []struct {
		on   bool
		word string
	}{{r.Reload, "reload"}, {r.Enable, "enable"}, {r.Disable, "disable"}, {r.Verb != "", r.Verb}} {
		if w.on {
			what = append(what, w.word)
		}
	}
	return noted(j, "service "+strings.Join(what, "+")+" "+r.Unit, func() (host.UnitState, error) { return j.Host.Service(ctx, r) })
}

func (j *journaled) Run(ctx context.Context, c host.Command) (host.Result, error) {
	return noted(j, "run "+strings.Join(c.Argv, " "), func() (host.Result, error) { return j.Host.Run(ctx, c) })
}

func (j *journaled) Aside(ctx context.Context, r host.AsideRequest) (host.Aside, error) {
	return noted(j, "aside "+r.Dir+" "+r.Name, func() (host.Aside, error) { return j.Host.Aside(ctx, r) })
}

func (j *journaled) Move(ctx context.Context, r host.MoveRequest) (host.Moved, error) {
	name := "move "
	if r.Try {
		name = "try to move "
	}
	return noted(j, name+r.From.Path()+" "+r.To.Path(), func() (host.Moved, error) { return j.Host.Move(ctx, r) })
}

func (j *journaled) Remove(ctx context.Context, r host.RemoveRequest) ([]string, error) {
	var what []string
	for _, e := range r.Entries {
		for _, n := range e.Names {
			what = append(what, e.Dir+"/"+n)
		}
	}
	return noted(j, "remove "+strings.Join(append(what, r.Files...), " "), func() ([]string, error) { return j.Host.Remove(ctx, r) })
}
