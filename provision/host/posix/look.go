package posix

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"quorate/provision/host"
)

// contentLimit is host.FileQuery's, and look.sh's.
const contentLimit = 1 << 20

// Look implements host.Host: one run of look.sh.
func (h *Host) Look(ctx context.Context, q host.Query) (*host.Look, error) {
	l, err := h.look(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("cannot look at host %q: %w", h.o.Name, err)
	}
	return l, nil
}

func (h *Host) look(ctx context.Context, q host.Query) (*host.Look, error) {
	request, err := h.lookRequest(q)
	if err != nil {
		return nil, err
	}
	start := h.o.Now()
	body, err := h.script(ctx, "look", lookScript, request)
	took := h.o.Now().Sub(start)
	if err != nil {
		return nil, err
	}
	a, err := parseAnswer(body)
	if err != nil {
		return nil, err
	}
	l := &host.Look{
		Facts: a.facts, Files: map[string]host.FileState{}, Dirs: a.dirs, Units: map[string]host.UnitState{},
		Ports: map[int]host.PortState{}, Accounts: a.accounts, Space: a.space,
	}
	// The clock was read some time between the two readings of ours: the middle
	// is off by half the way at most.
	l.Facts.Clock = a.facts.Clock.Add(took / 2)
	l.Facts.ClockError = took / 2
	if h.o.Services != nil {
		l.Facts.Manager = h.o.Services.Manager()
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
		if _, ok := l.Dirs[d.Path]; !ok {
			return nil, fmt.Errorf("the answer does not tell of the folder %s", d.Path)
		}
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
	}
	return l, nil
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
		if err := checkPath(d.Path); err != nil {
			return nil, err
		}
		add("d", d.Path)
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
		if s.Type == "file" {
			switch {
			case a.digests[f.Path] != "":
				s.Digest = a.digests[f.Path]
			case s.Stamp == f.KnownStamp:
				s.Digest = f.KnownDigest
			default:
				return fmt.Errorf("%s changed while it was looked at; try again", f.Path)
			}
			if s.Mode&0o111 != 0 {
				h.learn(s.Stamp, s.Digest)
			}
			if f.Content {
				if s.Size > contentLimit {
					return fmt.Errorf("%s has %d bytes, more than the %d that a look carries", f.Path, s.Size, contentLimit)
				}
				s.Content, ok = a.contents[f.Path]
				sum := sha256.Sum256(s.Content)
				if !ok || hex.EncodeToString(sum[:]) != s.Digest {
					return fmt.Errorf("%s changed while it was looked at; try again", f.Path)
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
		l.Units[u] = h.process(a.units[i], a)
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
