package provision_test

import (
	"strings"
	"testing"

	"quorate/plan"
)

const upstreamMembers = `
cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  member "etcd2" { address = "192.168.7.102" }
  member "etcd3" { address = "192.168.7.103" }
  server {
    etcd {
      version = "3.7.3"
      source "amd64" {
        url    = "https://mirror.example/etcd.tar.gz"
        sha256 = "1111111111111111111111111111111111111111111111111111111111111111"
      }
    }
  }
}`

func anotherRelease(hcl string) string {
	return strings.NewReplacer("3.7.3", "3.7.4", "1111", "2222").Replace(hcl)
}

// TestFetch: a release that is not on this side comes with the plan's first
// step, whatever only looks leaves it there, and a machine that never had it
// finds nothing to do on hosts that have it.
func TestFetch(t *testing.T) {
	t.Parallel()
	r := newRig(t, upstreamMembers)
	p, err := r.plan()
	must(t, err)
	if r.fetches > 0 {
		t.Error("a plan fetched")
	}
	if p.Steps[0].Kind != plan.KindCA || p.Steps[1].Kind != plan.KindFetch {
		t.Errorf("the first steps are %s, %s", p.Steps[0].ID, p.Steps[1].ID)
	}

	r.offline = true
	r.world.ResetCalls()
	if err := r.apply(); err == nil || !strings.Contains(err.Error(), "no route to the mirror") {
		t.Fatalf("applied: %v", err)
	}
	for _, m := range r.world.Machines() {
		if left := m.Paths("/opt"); len(left) > 0 {
			t.Errorf("%s was touched before the release was here: %v", m.Name(), left)
		}
	}
	r.offline = false
	must(t, r.apply())
	r.settled(t)
	if r.fetches != 1 {
		t.Errorf("fetched %d times", r.fetches)
	}

	r.cached = "" // another machine
	before := r.world.Dump()
	if p, err = r.plan(); err != nil || len(p.Steps) > 0 {
		t.Errorf("%v, %d steps: %+v", err, len(p.Steps), p.Steps)
	}
	must(t, r.apply())
	if r.fetches != 1 || r.world.Dump() != before {
		t.Errorf("fetched %d times, or something was changed", r.fetches)
	}

	// Another release, rolled from a machine that does not have it.
	r.respec(anotherRelease(upstreamMembers))
	must(t, r.apply())
	if r.fetches != 2 {
		t.Errorf("fetched %d times", r.fetches)
	}
	r.cached = ""
	if p, err = r.plan(); err != nil || len(p.Steps) > 0 {
		t.Errorf("after the roll: %v, %d steps", err, len(p.Steps))
	}
}
