package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"quorate/plan"
)

// FuzzManifest: what is read as a manifest can be written, reads the same
// again, and takes another spec.
func FuzzManifest(f *testing.F) {
	at := time.Date(2026, 8, 1, 7, 0, 0, 0, time.UTC)
	m := plan.Manifest{
		Format: plan.ManifestFormat, Cluster: "c", Member: "m", Token: "t", Formed: true, ClusterID: "2a", DataDir: "/var/lib/etcd",
		Files: map[string]string{"/a": "b"}, Made: []string{"/opt"}, Specs: []plan.AppliedSpec{{Digest: "d", At: at, By: "me@here"}},
		Runs: []plan.Run{{ID: "r", Verb: plan.Apply, At: at, By: "me@here", Changed: []plan.Kind{plan.KindFiles}, SpecDigest: "d", On: []string{"m"}}},
	}
	f.Add(m.Encode())
	f.Add([]byte(`{"format":1,"specs":[{"at":"0000-01-01T00:00:00+23:59"}]}`))
	f.Add([]byte(`{"format":1,"last_run":{"id":"r","verb":"apply","at":"2026-08-01T07:00:00Z"}}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := plan.ParseManifest(text)
		if err != nil {
			if m != nil {
				t.Errorf("%+v beside %v", m, err)
			}
			return
		}
		again, err := plan.ParseManifest(m.Encode())
		if diff := cmp.Diff(m, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
		m.Applied(plan.AppliedSpec{Digest: "new"})
		if n := len(m.Specs); n == 0 || n > plan.SpecsKept || m.Specs[n-1].Digest != "new" {
			t.Errorf("%+v", m.Specs)
		}
		m.Ran(plan.Run{ID: "new"})
		if n := len(m.Runs); n == 0 || n > plan.RunsKept || m.Runs[n-1].ID != "new" || m.Noted("new") == nil || m.Lacks("new") {
			t.Errorf("%+v", m.Runs)
		}
	})
}

// FuzzRecorded: what was recorded of a cluster can be written and reads the same again.
func FuzzRecorded(f *testing.F) {
	r := plan.Recorded{Format: plan.RecordedFormat, Cluster: "c", ClusterID: "2a", Token: "t", Members: []plan.RecordedMember{{ID: "1", Name: "a", PeerURLs: []string{"https://a:2380"}}}}
	f.Add(r.Encode())
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := plan.ParseRecorded(text)
		if err != nil {
			return
		}
		again, err := plan.ParseRecorded(r.Encode())
		if diff := cmp.Diff(r, again, cmpopts.EquateEmpty()); err != nil || diff != "" || r.Names() == "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}
