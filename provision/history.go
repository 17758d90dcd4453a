package provision

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"quorate/plan"
	"quorate/provision/host"
)

// Notes are what the hosts' manifests say, by member; a host that has none is there as nil.
type Notes struct {
	Manifests map[string]*plan.Manifest
	// Problems of hosts that could not be asked, by member.
	Problems map[string]string
}

// Notes reads the manifest of every host, all at once, one round trip each. It takes no lock and writes nothing.
func (s *Session) Notes(ctx context.Context) (Notes, error) {
	n := Notes{Manifests: map[string]*plan.Manifest{}, Problems: map[string]string{}}
	var mu sync.Mutex
	parallel(len(s.cluster.Members), func(i int) {
		name := s.cluster.Members[i].Name
		m, err := s.manifest(ctx, name)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			n.Problems[name] = err.Error()
			return
		}
		n.Manifests[name] = m
	})
	if ctx.Err() != nil {
		return n, context.Cause(ctx)
	}
	return n, nil
}

// manifest of a member's host; nil: there is none.
func (s *Session) manifest(ctx context.Context, member string) (*plan.Manifest, error) {
	h, err := s.Reader(ctx, member)
	if err != nil {
		return nil, err
	}
	path := s.layout[member].Manifest
	look, err := h.Look(ctx, host.Query{Files: []host.FileQuery{{Path: path, Content: true}}})
	if err != nil || !look.Files[path].Exists {
		return nil, err
	}
	return plan.ParseManifest(look.Files[path].Content)
}

// KnownRun is a run, and who knows of it: this side by its journal, hosts by their manifests.
type KnownRun struct {
	ID     string    `json:"run"`
	Verb   plan.Verb `json:"verb,omitempty"`
	By     string    `json:"by,omitempty"`
	Began  time.Time `json:"began"`
	Ending Ending    `json:"ending"`
	// Here is what the journal on this side says; nil: there is none.
	Here *PastRun `json:"journal,omitempty"`
	// Hosts that note the run, in the order of their members' names.
	Hosts []HostNote `json:"hosts,omitempty"`
	// Missing are members on whose hosts the run was to be noted, and that do not note it.
	Missing []string `json:"missing,omitempty"`
}

// HostNote is what one host notes of a run.
type HostNote struct {
	Member     string      `json:"member"`
	Changed    []plan.Kind `json:"changed,omitempty"`
	SpecDigest string      `json:"spec_digest,omitempty"`
}

// KnownRuns are the ids of the runs that the journals in a folder and the hosts know, each once, the newest first.
func KnownRuns(dir string, n Notes) ([]string, error) {
	ids, err := Journals(dir)
	if err != nil {
		return nil, err
	}
	for _, m := range n.Manifests {
		if m != nil {
			for _, r := range m.Runs {
				ids = append(ids, r.ID)
			}
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return strings.Compare(b, a) })
	return slices.Compact(ids), nil
}

// KnownAs joins what the journal in a folder and the hosts know of one run.
func KnownAs(dir string, n Notes, id string) *KnownRun {
	k := n.run(id)
	if r := ReadRun(dir, id); r != nil {
		k.journal(r)
	}
	return k
}

// History is what is known of the newest limit runs, the newest first, and how many older ones there are. A limit of 0
// is all. Only the journals of the runs that it gives are read.
func History(dir string, n Notes, limit int) (runs []*KnownRun, older int, err error) {
	ids, err := KnownRuns(dir, n)
	if err != nil {
		return nil, 0, err
	}
	if limit > 0 && len(ids) > limit {
		ids, older = ids[:limit], len(ids)-limit
	}
	for _, id := range ids {
		runs = append(runs, KnownAs(dir, n, id))
	}
	return runs, older, nil
}

// run is what the hosts note of a run.
func (n Notes) run(id string) *KnownRun {
	k := &KnownRun{ID: id, Ending: RunRecorded}
	on := map[string]bool{}
	for _, member := range slices.Sorted(maps.Keys(n.Manifests)) {
		r := n.Manifests[member].Noted(id)
		if r == nil {
			continue
		}
		k.Verb, k.By, k.Began = r.Verb, r.By, r.At
		k.Hosts = append(k.Hosts, HostNote{Member: member, Changed: r.Changed, SpecDigest: r.SpecDigest})
		for _, o := range r.On {
			on[o] = true
		}
	}
	for _, member := range slices.Sorted(maps.Keys(on)) {
		if n.Manifests[member].Lacks(id) {
			k.Missing, k.Ending = append(k.Missing, member), RunPartly
		}
	}
	return k
}

// journal adds what the journal on this side says, which goes before what hosts note.
func (k *KnownRun) journal(r *PastRun) {
	k.Here, k.Ending = r, r.Ending
	k.Verb, k.By = cmp.Or(r.Verb, k.Verb), cmp.Or(r.By, k.By)
	if !r.Began.IsZero() {
		k.Began = r.Began
	}
}

// Earlier is the latest run of the cluster that is known, by its journal on this side or by what the hosts that were
// seen note, if it did not end well. nil: it did, or nobody can say. What a run of another operator's left on hosts
// before any of them had noted it is known to nobody.
func (s *Session) Earlier(o *plan.Observed) *KnownRun {
	n := Notes{Manifests: map[string]*plan.Manifest{}}
	for name, h := range o.Hosts {
		n.Manifests[name] = h.Manifest
	}
	runs, _, err := History(s.world.Runs, n, 1)
	if err != nil || len(runs) == 0 || !runs[0].Ending.Unfinished() || runs[0].Ending == RunUnreadable {
		return nil
	}
	return runs[0]
}
