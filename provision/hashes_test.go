package provision_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"quorate/kvserver"
	"quorate/plan"
)

func TestHashes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		world    func(r *rig)
		revision int64
		want     plan.Sameness
		minority []string
		asked    []string // member@revision, in their order
	}{
		"the revision that every member has": {
			world:    func(r *rig) { r.etcd.peers["etcd2"].lag = 3 },
			revision: 7, want: plan.Same, asked: []string{"etcd1@7", "etcd2@0", "etcd3@7"},
		},
		"one differs": {
			world:    func(r *rig) { r.etcd.peers["etcd3"].hash.Hash = 2 },
			revision: 10, want: plan.Differ, minority: []string{"etcd3"}, asked: []string{"etcd1@0", "etcd2@0", "etcd3@0"},
		},
		"one is down, the others differ": {
			world:    func(r *rig) { r.etcd.peers["etcd2"].hash.Hash = 2; r.etcd.stop("etcd3") },
			revision: 10, want: plan.Differ, asked: []string{"etcd1@0", "etcd2@0"},
		},
		"one is down": {
			world:    func(r *rig) { r.etcd.stop("etcd3") },
			revision: 10, want: plan.Unasked, asked: []string{"etcd1@0", "etcd2@0"},
		},
		"one has forgotten what it hashed when it compacted at the newest revision": {
			world: func(r *rig) {
				for n, m := range r.etcd.peers {
					m.hash.CompactRevision = 10
					if n != "etcd3" {
						m.memory = &kvserver.Hash{Hash: 8, Revision: 10, CompactRevision: 5}
					}
				}
			},
			revision: 10, want: plan.Same, asked: []string{"etcd1@0", "etcd2@0", "etcd3@0"},
		},
		"a compaction comes in between, and is everywhere at the second try": {
			world: func(r *rig) {
				r.etcd.hashing = func(member string, revision int64) {
					if member != "etcd2" || revision == 10 {
						return
					}
					r.etcd.mu.Lock()
					defer r.etcd.mu.Unlock()
					r.etcd.revision = 12
					for _, m := range r.etcd.peers {
						m.hash = kvserver.Hash{Hash: 9, CompactRevision: 11}
					}
				}
			},
			revision: 12, want: plan.Same, asked: []string{"etcd1@0", "etcd2@0", "etcd2@10", "etcd3@0", "etcd3@10", "etcd1@0", "etcd2@0", "etcd3@0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, threeMembers)
			if err := r.apply(); err != nil {
				t.Fatal(err)
			}
			r.etcd.revision = 10
			for _, m := range r.etcd.peers {
				m.hash = kvserver.Hash{Hash: 1, CompactRevision: 5}
			}
			c.world(r)
			var asked []string
			react := r.etcd.hashing
			r.etcd.hashing = func(member string, revision int64) {
				asked = append(asked, fmt.Sprintf("%s@%d", member, revision))
				if react != nil {
					react(member, revision)
				}
			}
			s := r.session()
			defer s.Close()
			o, err := s.Observe(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			h, err := s.Hashes(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			same, minority := h.Compare()
			if h.Revision != c.revision || same != c.want || !slices.Equal(minority, c.minority) {
				t.Errorf("at revision %d %s, minority %v: %+v", h.Revision, same, minority, h.Answers)
			}
			if !slices.Equal(asked, c.asked) {
				t.Errorf("asked %v", asked)
			}
			for _, m := range r.cluster.Members {
				if a := h.Answers[m.Name]; (a.Hash == nil) == (a.Problem == "") {
					t.Errorf("%s: neither a hash nor why there is none, or both: %+v", m.Name, a)
				}
			}
		})
	}
}
