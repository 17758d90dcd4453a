package provision_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quorate/plan"
	"quorate/provision"
)

// noted is what a host would note of runs, each of which was to be noted on all three.
func noted(ids ...string) *plan.Manifest {
	m := &plan.Manifest{Formed: true}
	for _, id := range ids {
		m.Ran(plan.Run{ID: id, Verb: plan.Apply, By: "bob@other", Changed: []plan.Kind{plan.KindFiles}, On: []string{"etcd1", "etcd2", "etcd3"}})
	}
	return m
}

// told is what the history says, one run a word.
func told(runs []*provision.KnownRun) string {
	var out []string
	for _, r := range runs {
		text := r.ID + "=" + string(r.Ending)
		if r.Here != nil {
			text += "+here"
		}
		for _, h := range r.Hosts {
			text += "+" + h.Member
		}
		for _, m := range r.Missing {
			text += "-" + m
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func TestHistory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, id := range []string{"r2", "r4"} {
		must(t, os.WriteFile(filepath.Join(dir, id+".jsonl"), []byte(`{"type":"run-started","verb":"apply","steps":2}`+"\n"), 0o600))
	}
	forming := &plan.Manifest{}
	for _, tt := range []struct {
		name      string
		manifests map[string]*plan.Manifest
		want      string
	}{
		{"here alone", nil, "r4=cut-off+here r2=cut-off+here"},
		{"all hosts", map[string]*plan.Manifest{"etcd1": noted("r1", "r2"), "etcd2": noted("r1", "r2"), "etcd3": noted("r1", "r2")},
			"r4=cut-off+here r2=cut-off+here+etcd1+etcd2+etcd3 r1=recorded+etcd1+etcd2+etcd3"},
		{"a host lacks the newest", map[string]*plan.Manifest{"etcd1": noted("r3", "r5"), "etcd2": noted("r3"), "etcd3": noted("r3", "r5")},
			"r5=partly-recorded+etcd1+etcd3-etcd2 r4=cut-off+here r3=recorded+etcd1+etcd2+etcd3 r2=cut-off+here"},
		{"a bootstrap that has not finished", map[string]*plan.Manifest{"etcd1": noted("r5"), "etcd2": forming, "etcd3": nil},
			"r5=partly-recorded+etcd1-etcd2 r4=cut-off+here r2=cut-off+here"},
		{"a host made anew since", map[string]*plan.Manifest{"etcd1": noted("r3", "r5"), "etcd2": noted("r5")}, // says nothing of r3
			"r5=recorded+etcd1+etcd2 r4=cut-off+here r3=recorded+etcd1 r2=cut-off+here"},
		{"an older version's note", map[string]*plan.Manifest{"etcd1": {Runs: []plan.Run{{ID: "r5", Verb: plan.Apply}}}, "etcd2": noted("r3")},
			"r5=recorded+etcd1 r4=cut-off+here r3=recorded+etcd2 r2=cut-off+here"},
	} {
		runs, older, err := provision.History(dir, provision.Notes{Manifests: tt.manifests}, 0)
		if got := told(runs); err != nil || older != 0 || got != tt.want {
			t.Errorf("%s: %s, want %s (%d older, %v)", tt.name, got, tt.want, older, err)
		}
	}
	runs, older, err := provision.History(dir, provision.Notes{Manifests: map[string]*plan.Manifest{"etcd1": noted("r1", "r3")}}, 3)
	if got := told(runs); err != nil || older != 1 || got != "r4=cut-off+here r3=recorded+etcd1 r2=cut-off+here" {
		t.Errorf("%s, %d older, %v", got, older, err)
	}
}

// Every run that changed hosts is in their manifests, with who and what; one that changed nothing is not.
func TestManifestsNoteRuns(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	must(t, r.apply())
	r.respec(strings.Replace(threeMembers, `client "apiserver" {}`, `server { snapshot_count = 5000 }`, 1))
	must(t, r.apply())
	must(t, r.apply())
	s := r.session()
	defer s.Close()
	n, err := s.Notes(context.Background())
	must(t, err)
	if len(n.Problems) > 0 || len(n.Manifests) != 3 {
		t.Fatalf("%+v", n)
	}
	for member, m := range n.Manifests {
		if len(m.Runs) != 2 || m.Runs[0].ID != "run-1" || m.Runs[1].ID != "run-2" {
			t.Fatalf("%s: %+v", member, m.Runs)
		}
		last := m.Runs[1]
		if last.By != "ana@desk" || last.Verb != plan.Apply || !last.At.Equal(now) || last.SpecDigest != m.SpecDigest ||
			!slices.Equal(last.Changed, []plan.Kind{plan.KindFiles, plan.KindRestart}) || !slices.Equal(last.On, []string{"etcd1", "etcd2", "etcd3"}) {
			t.Errorf("%s: %+v", member, last)
		}
	}
	r.settled(t) // whatever the runs are, they are no change
}

// A host that cannot be asked is named; the others are asked.
func TestNotesOfUnreachableHost(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	must(t, r.apply())
	r.world.Machine("etcd2").SetUnreachable(errors.New("no route to host"))
	s := r.session()
	defer s.Close()
	n, err := s.Notes(context.Background())
	if err != nil || len(n.Manifests) != 2 || n.Problems["etcd2"] == "" {
		t.Errorf("%+v %v", n, err)
	}
}

// earlier is what a plan made now says of the latest run; "" for nothing.
func (r *rig) earlier(t *testing.T) string {
	t.Helper()
	s := r.session()
	defer s.Close()
	o, err := s.Observe(context.Background())
	must(t, err)
	k := s.Earlier(o)
	if k == nil {
		return ""
	}
	return told([]*provision.KnownRun{k})
}

func TestEarlier(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	r.dir = t.TempDir()
	if got := r.earlier(t); got != "" {
		t.Errorf("%s before any run", got)
	}
	kv := r.world.Machine("etcd2")
	kv.Handle("kvserver", nil)
	if r.apply() == nil {
		t.Fatal("the run did not fail")
	}
	if got := r.earlier(t); got != "run-1=failed+here" {
		t.Errorf("%s after a run that failed", got)
	}
	kv.Handle("kvserver", keys)
	must(t, r.apply())
	if got := r.earlier(t); got != "" {
		t.Errorf("%s after a run that went well", got)
	}

	// Another operator's run, which was cut when one of three had noted it.
	mine := r.dir
	r.dir = t.TempDir()
	r.respec(strings.Replace(threeMembers, `client "apiserver" {}`, `server { snapshot_count = 5000 }`, 1))
	ctx, cancel := context.WithCancelCause(context.Background())
	s := r.session()
	must(t, s.Lock(ctx, plan.Apply, 0))
	p, err := r.build(s, plan.Build)
	must(t, err)
	run := fmt.Sprintf("run-%d", r.runs)
	_, err = s.Apply(ctx, context.Background(), p, provision.RunOptions{ID: run, Parallelism: 1, Events: func(e provision.Event) {
		if e.Type == provision.StepDone && strings.HasPrefix(e.Step, "record ") {
			cancel(errors.New("enough"))
		}
	}})
	if err == nil {
		t.Fatal("the run was not interrupted")
	}
	must(t, s.Close())
	if got := r.earlier(t); !strings.HasPrefix(got, run+"=interrupted+here+etcd") {
		t.Errorf("%s where it was interrupted", got)
	}
	r.dir = mine
	if got := r.earlier(t); !strings.HasPrefix(got, run+"=partly-recorded+etcd") || !strings.Contains(got, "-etcd") {
		t.Errorf("%s on another machine", got)
	}
	must(t, r.apply())
	if got := r.earlier(t); got != "" {
		t.Errorf("%s after a run that went on", got)
	}
}
