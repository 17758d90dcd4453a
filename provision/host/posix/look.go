package posix

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"quorate/provision/host"
)

// Look implements host.Host: one run of look.sh.
func (h *Host) Look(ctx context.Context, q host.Query) (*host.Look, error) {
	// A member that starts, or what an earlier run has left under way, writes while files are read.
	for wait := 100 * time.Millisecond; ; wait *= 3 {
		l, err := h.look(ctx, q)
		var moving *movingError
		if errors.As(err, &moving) && wait < 3*time.Second {
			select {
			case <-time.After(wait):
				continue
			case <-ctx.Done():
			}
		}
		if err != nil {
			return nil, fmt.Errorf("cannot look at host %q: %w", h.o.Name, err)
		}
		return l, nil
	}
}

// movingError says that something changed while it was looked at.
type movingError struct{ path string }

func (e *movingError) Error() string { return e.path + " changed while it was looked at; try again" }

func (h *Host) look(ctx context.Context, q host.Query) (*host.Look, error) {
	q, request, err := h.asked(ctx, q)
	if err != nil {
		return nil, err
	}
	start := h.o.Now()
	body, err := h.script(ctx, "look", lookScript, request)
	took := h.o.Now().Sub(start)
	if err != nil {
		return nil, err
	}
	return h.found(ctx, q, body, took)
}

// asked is the query as look.sh is asked, and its request.
func (h *Host) asked(ctx context.Context, q host.Query) (host.Query, []string, error) {
	q, err := h.probesToRun(ctx, q)
	if err != nil {
		return q, nil, err
	}
	request, err := h.lookRequest(q)
	return q, request, err
}

// found is what look.sh answered, within a time in which it read the clock.
func (h *Host) found(ctx context.Context, q host.Query, body []byte, took time.Duration) (*host.Look, error) {
	a, err := parseAnswer(body)
	if err != nil {
		return nil, err
	}
	l := &host.Look{
		Facts: a.facts, Files: map[string]host.FileState{}, Dirs: a.dirs, Units: map[string]host.UnitState{},
		Ports: map[int]host.PortState{}, Accounts: a.accounts, Space: a.space, Mounts: map[string]host.MountState{}, Probes: a.probes,
	}
	// The clock was read some time between the two readings of ours: the middle
	// is off by half the way at most.
	l.Facts.Clock = a.facts.Clock.Add(took / 2)
	l.Facts.ClockError = took / 2
	if t, ok := h.t.(Login); ok {
		l.Facts.Slow, l.Facts.OneSession = t.Slow(), t.OneSession()
	}
	if h.o.Services != nil {
		l.Facts.Manager = h.o.Services.Manager()
	}
	l.Facts.Addresses = a.local
	if h.o.Addresses != nil {
		if l.Facts.Addresses, err = h.o.Addresses(); err != nil {
			return nil, err
		}
	}
	if err := h.files(q, a, l); err != nil {
		return nil, err
	}
	if err := h.units(ctx, q, a, l); err != nil {
		return nil, err
	}
	for _, p := range q.Ports {
		l.Ports[p] = a.port(p)
	}
	for _, d := range q.Dirs {
		s, ok := l.Dirs[d.Path]
		if !ok {
			return nil, fmt.Errorf("the answer does not tell of the folder %s", d.Path)
		}
		// A folder bound from the same file system is of one device with its parent.
		s.MountPoint = s.Exists && (s.MountPoint || a.mountAt(d.Path).Known)
		l.Dirs[d.Path] = s
	}
	for _, name := range q.Accounts {
		if _, ok := l.Accounts[name]; !ok {
			return nil, fmt.Errorf("the answer does not tell of the account %s", name)
		}
	}
	for _, p := range q.Space {
		if _, ok := l.Space[p]; !ok {
			return nil, fmt.Errorf("the answer does not tell of the space at %s", p)
		}
		point, ok := a.mounts[p]
		if !ok {
			return nil, fmt.Errorf("the answer does not tell of the file system at %s", p)
		}
		l.Mounts[p] = a.mountAt(point)
	}
	for _, p := range q.Probes {
		l.Probes[p.Name] = p.Keep(l.Probes[p.Name])
	}
	return l, nil
}

// probesToRun leaves out the probes of units with a process, where the units
// are not the script's to ask about; where they are, the units are asked for.
func (h *Host) probesToRun(ctx context.Context, q host.Query) (host.Query, error) {
	var units []string
	for _, p := range q.Probes {
		if p.Unless != "" {
			units = append(units, p.Unless)
		}
	}
	if len(units) == 0 {
		return q, nil
	}
	if h.o.Services == nil {
		q.Units = append(slices.Clip(q.Units), units...)
		return q, nil
	}
	states, err := h.o.Services.State(ctx, units, h.knownDigests())
	if err != nil {
		return q, err
	}
	q.Probes = slices.DeleteFunc(slices.Clone(q.Probes), func(p host.Probe) bool { return p.Unless != "" && states[p.Unless].PID != 0 })
	return q, nil
}

func probeLines(p host.Probe, services bool) ([]string, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	if p.IfExists != "" {
		if err := checkPath(p.IfExists); err != nil {
			return nil, err
		}
	}
	seconds := (cmp.Or(p.Timeout, host.ProbeTimeout) + time.Second - 1) / time.Second
	unless := p.Unless
	if services {
		unless = "" // it was looked at already
	}
	// One byte more than is kept shows that there is more.
	lines := []string{fmt.Sprintf("q\t%s\t%d\t%d\t%s\t%s", p.Name, seconds, cmp.Or(p.Limit, host.ProbeLimit)+1, cmp.Or(unless, "-"), cmp.Or(p.IfExists, "-"))}
	for _, arg := range p.Argv {
		lines = append(lines, "g\t"+arg)
	}
	return lines, nil
}

func (h *Host) lookRequest(q host.Query) ([]string, error) {
	var request []string
	seen := map[string]bool{}
	add := func(kind, value string) {
		if line := kind + "\t" + value; !seen[line] {
			seen[line] = true
			request = append(request, line)
		}
	}
	for _, f := range q.Files {
		if err := checkPath(f.Path); err != nil {
			return nil, err
		}
		add("f", f.Path)
		if f.Content {
			add("c", f.Path)
		}
		if plain(f.KnownStamp) && f.KnownDigest != "" {
			add("k", f.KnownStamp+"\t"+f.Path)
		}
	}
	for _, d := range q.Dirs {
		if err := errors.Join(checkPath(d.Path), checkPath(d.Log())); err != nil {
			return nil, err
		}
		add("d", d.Path+"\t"+d.Log())
	}
	if h.o.Services != nil {
		request = append(request, "m")
	} else {
		for _, u := range q.Units {
			if err := checkUnit(u); err != nil {
				return nil, err
			}
			add("u", u)
		}
		for _, stamp := range slices.Sorted(maps.Keys(h.knownDigests())) {
			add("x", stamp)
		}
	}
	for _, p := range q.Ports {
		add("p", fmt.Sprintf("%04X", p))
	}
	for _, name := range q.Accounts {
		if !ownerForm.MatchString(name) || strings.Contains(name, ":") {
			return nil, fmt.Errorf("%q is no account's name", name)
		}
		add("a", name)
	}
	for _, p := range q.Space {
		if err := checkPath(p); err != nil {
			return nil, err
		}
		add("s", p)
	}
	names := map[string]bool{}
	for _, p := range q.Probes {
		lines, err := probeLines(p, h.o.Services != nil)
		if err != nil {
			return nil, err
		}
		if names[p.Name] {
			return nil, fmt.Errorf("the probe %q is there twice", p.Name)
		}
		names[p.Name] = true
		request = append(request, lines...)
	}
	return request, nil
}

// plain reports whether s can be a field of a request: a stamp that came from
// a file of ours may have been tampered with.
func plain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == '\\' })
}

func (h *Host) files(q host.Query, a *answer, l *host.Look) error {
	for _, f := range q.Files {
		s, ok := a.files[f.Path]
		if !ok {
			l.Files[f.Path] = host.FileState{}
			continue
		}
		s.Exposed = a.exposed(f.Path)
		if s.Type == "file" {
			switch {
			case a.digests[f.Path] != "":
				s.Digest = a.digests[f.Path]
			case s.Stamp == f.KnownStamp:
				s.Digest = f.KnownDigest
			default:
				return &movingError{f.Path}
			}
			if s.Mode&0o111 != 0 {
				h.learn(s.Stamp, s.Digest)
			}
			if f.Content {
				if s.Size > host.ContentLimit {
					return fmt.Errorf("%s has %d bytes, more than the %d that a look carries", f.Path, s.Size, host.ContentLimit)
				}
				s.Content, ok = a.contents[f.Path]
				if !ok || host.Digest(s.Content) != s.Digest {
					return &movingError{f.Path}
				}
			}
		}
		l.Files[f.Path] = s
	}
	return nil
}

func (h *Host) units(ctx context.Context, q host.Query, a *answer, l *host.Look) error {
	if h.o.Services != nil {
		if len(q.Units) == 0 {
			return nil
		}
		states, err := h.o.Services.State(ctx, q.Units, h.knownDigests())
		if err != nil {
			return err
		}
		l.Units = states
		return nil
	}
	if l.Facts.Manager == "" {
		for _, u := range q.Units {
			l.Units[u] = host.UnitState{}
		}
		return nil
	}
	if len(a.units) != len(unique(q.Units)) {
		return fmt.Errorf("systemctl told of %d units, %d were asked for", len(a.units), len(unique(q.Units)))
	}
	for i, u := range unique(q.Units) {
		s := h.process(a.units[i], a)
		host.ReadLog(&s, strings.Join(a.logs[u], "\n"))
		l.Units[u] = s
	}
	return nil
}

// process fills in what /proc says about a unit's main process.
func (h *Host) process(s host.UnitState, a *answer) host.UnitState {
	if s.PID == 0 {
		return s
	}
	link := fmt.Sprintf("/proc/%d/exe", s.PID)
	stamp := a.exes[link]
	s.Exe = strings.TrimSuffix(a.links[link], " (deleted)")
	s.ConfigDigest = a.environ[fmt.Sprintf("/proc/%d/environ", s.PID)]
	switch {
	case a.digests[link] != "":
		s.ExeDigest = a.digests[link]
		h.learn(stamp, s.ExeDigest)
	case stamp != "":
		// One of the files of this look, or of an earlier one: see files.
		s.ExeDigest = h.knownDigests()[stamp]
	}
	return s
}

func unique(in []string) []string {
	var out []string
	for _, s := range in {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
