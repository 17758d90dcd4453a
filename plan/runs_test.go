package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"quorate/plan"
)

// A manifest of a version that noted the last run alone is understood, and is written anew with it.
func TestManifestOfOlderVersion(t *testing.T) {
	t.Parallel()
	m, err := plan.ParseManifest([]byte(`{"format": 1, "cluster": "lab", "member": "etcd1", "token": "t", "formed": true, "data_dir": "/d", "spec_digest": "s",
		"files": {"/a": "b"}, "last_run": {"id": "20260801T070000Z-aaaaaa", "verb": "apply", "at": "2026-08-01T07:00:00Z"}}`))
	if err != nil || m.Cluster != "lab" || !m.Formed || m.Files["/a"] != "b" {
		t.Fatalf("%+v %v", m, err)
	}
	if len(m.Runs) != 1 || m.Runs[0].ID != "20260801T070000Z-aaaaaa" || m.Runs[0].Verb != plan.Apply || m.Runs[0].At.Year() != 2026 {
		t.Errorf("%+v", m.Runs)
	}
	if text := string(m.Encode()); strings.Contains(text, "last_run") || !strings.Contains(text, `"runs"`) {
		t.Error(text)
	}
	m, err = plan.ParseManifest([]byte(`{"format": 1, "last_run": {"id": "", "verb": "", "at": "0001-01-01T00:00:00Z"}}`)) // of a bootstrap that was begun
	if err != nil || len(m.Runs) != 0 {
		t.Errorf("%+v %v", m, err)
	}
}

func TestManifestKeepsTheLastRuns(t *testing.T) {
	t.Parallel()
	var m plan.Manifest
	for i := range plan.RunsKept + 5 {
		m.Ran(plan.Run{ID: fmt.Sprintf("r%02d", i)})
	}
	m.Ran(plan.Run{ID: "r10", Verb: plan.Apply}) // noted again: as the newest, once
	if n := len(m.Runs); n != plan.RunsKept || m.Runs[n-1].ID != "r10" || m.Runs[0].ID != "r05" || m.Noted("r10").Verb != plan.Apply || m.Noted("r04") != nil {
		t.Errorf("%+v", m.Runs)
	}
}
