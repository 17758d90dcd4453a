package fleet

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision"
	"quorate/provision/world"
)

// What the simulated hosts say passes the real adapters, and the plan made of
// it is empty; after a file is gone it is not.
func TestFleet(t *testing.T) {
	t.Parallel()
	f, err := New(t.Context(), t.TempDir(), 6)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := os.ReadFile(filepath.Join(f.Dir, "main.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	s, diags := spec.Load([]spec.File{{Name: "main.hcl", Bytes: text}}, spec.Options{Dir: f.Dir, Home: f.Dir})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for i, c := range s.Clusters {
		if p := planned(t, f, c); !p.Empty() || len(p.Held) > 0 || p.Before.Healthy != perCluster {
			t.Errorf("cluster %s: %d steps, %d held, %d healthy", c.Name, len(p.Steps), len(p.Held), p.Before.Healthy)
		}
		if i == 1 {
			f.members[perCluster].machine.RemoveAll(plan.LayoutOf(c, c.Members[0]).Cert("client"))
			if p := planned(t, f, c); p.Empty() {
				t.Error("a certificate is gone and the plan is empty")
			}
		}
	}
	if _, err := New(t.Context(), t.TempDir(), 4); err == nil {
		t.Error("a fleet of four hosts in clusters of three")
	}
}

// planned plans a cluster over SSH, twice: the second time with the digests remembered.
func planned(t *testing.T, f *Fleet, c *spec.Cluster) (p *plan.Plan) {
	t.Helper()
	for range 2 {
		w, err := world.New(c, world.Environment{
			User: "fleet", Hostname: "fleet", Home: f.Dir, CacheDir: filepath.Join(f.Dir, "cache"),
			Executable: filepath.Join(f.Dir, "kvserver"), Run: "test", Clock: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		session := provision.Open(w, c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		o, err := session.Observe(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if p, err = plan.Build(c, o, plan.Options{Now: time.Now(), Token: "test", SpecDigest: spec.Digest(c)}); err != nil {
			t.Fatal(err)
		}
		if err := session.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return p
}
