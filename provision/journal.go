package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"quorate/provision/host"
)

// journal is a file of events, one JSON object a line, mode 0600.
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
	f, err := os.OpenFile(filepath.Join(dir, r.opt.ID+".jsonl"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("cannot keep a journal: %w", err)
	}
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

func (j *journaled) note(call string, since time.Time, err error) {
	j.run.tell(Event{Type: HostCall, Member: j.member, Call: call, Seconds: j.run.session.world.Clock().Sub(since).Seconds(), Error: text(err)})
}

func (j *journaled) now() time.Time { return j.run.session.world.Clock() }

func (j *journaled) Look(ctx context.Context, q host.Query) (*host.Look, error) {
	t := j.now()
	out, err := j.Host.Look(ctx, q)
	j.note("look", t, err)
	return out, err
}

func (j *journaled) Write(ctx context.Context, w host.WriteRequest) ([]host.Change, error) {
	t := j.now()
	out, err := j.Host.Write(ctx, w)
	var paths []string
	for _, f := range w.Files {
		paths = append(paths, f.Path)
	}
	j.note("write "+strings.Join(paths, " "), t, err)
	return out, err
}

func (j *journaled) Upload(ctx context.Context, u host.Upload) (host.Change, error) {
	t := j.now()
	out, err := j.Host.Upload(ctx, u)
	j.note("upload "+u.Path+" "+u.Blob.Digest(), t, err)
	return out, err
}

func (j *journaled) Service(ctx context.Context, r host.ServiceRequest) (host.UnitState, error) {
	t := j.now()
	out, err := j.Host.Service(ctx, r)
	var what []string
	for _, w := range []struct {
		on   bool
		word string
	}{{r.Reload, "reload"}, {r.Enable, "enable"}, {r.Disable, "disable"}, {r.Verb != "", r.Verb}} {
		if w.on {
			what = append(what, w.word)
		}
	}
	j.note("service "+strings.Join(what, "+")+" "+r.Unit, t, err)
	return out, err
}

func (j *journaled) Run(ctx context.Context, c host.Command) (host.Result, error) {
	t := j.now()
	out, err := j.Host.Run(ctx, c)
	j.note("run "+strings.Join(c.Argv, " "), t, err)
	return out, err
}

func (j *journaled) Aside(ctx context.Context, r host.AsideRequest) (host.Aside, error) {
	t := j.now()
	out, err := j.Host.Aside(ctx, r)
	j.note("aside "+r.Dir+" "+r.Name, t, err)
	return out, err
}

func (j *journaled) Remove(ctx context.Context, r host.RemoveRequest) ([]string, error) {
	t := j.now()
	out, err := j.Host.Remove(ctx, r)
	var what []string
	for _, e := range r.Entries {
		for _, n := range e.Names {
			what = append(what, e.Dir+"/"+n)
		}
		if e.Self {
			what = append(what, e.Dir)
		}
	}
	j.note("remove "+strings.Join(append(what, r.Files...), " "), t, err)
	return out, err
}
