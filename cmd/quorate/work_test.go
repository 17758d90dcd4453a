package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"quorate/plan"
	"quorate/plan/spec"
)

// TestShownInOrder: a cluster is shown as soon as it is ready, while others are still looked at, and
// nothing of it is kept: neither its connections while it is shown, nor its plan afterwards.
func TestShownInOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := `
cluster "a" {
  connection { type = "local" }
  member "a1" { address = "127.0.0.1" }
}
cluster "b" {
  connection { type = "local" }
  member "b1" {
    address     = "127.0.0.1"
    client_port = 12379
    peer_port   = 12380
  }
}
`
	if err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{
		lookup: func(name string) (string, bool) { return dir, name == "HOME" },
		now:    time.Now, out: io.Discard, err: io.Discard,
	}
	l, err := loadSpec(p, specOptions{File: dir}, false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	shown := make(chan struct{})
	how := look{build: func(c *spec.Cluster, o *plan.Observed, opt plan.Options) (*plan.Plan, error) {
		if c.Name == "b" {
			select {
			case <-shown:
			case <-ctx.Done():
				t.Error("b is looked at to the end before a is shown")
			}
		}
		return plan.Build(c, o, opt)
	}}
	var jobs []*job
	err = inOrder(ctx, p, l, how, func(j *job, following bool) (verdict, err error) {
		if j.plan == nil || j.observed == nil {
			t.Errorf("%s has no plan", j.cluster.Name)
		}
		if j.session != nil {
			t.Errorf("%s is still connected", j.cluster.Name)
		}
		if following != (j.cluster.Name == "b") {
			t.Errorf("%s: following is %t", j.cluster.Name, following)
		}
		if j.cluster.Name == "a" {
			close(shown)
		}
		jobs = append(jobs, j)
		return map[string]error{"a": said(exitHeld), "b": said(exitPending)}[j.cluster.Name], nil
	})
	if exitCode(err) != exitHeld {
		t.Errorf("the worst of held and pending is %v", err)
	}
	if len(jobs) != 2 {
		t.Fatalf("%d clusters were shown", len(jobs))
	}
	for _, j := range jobs {
		if j.plan != nil || j.observed != nil {
			t.Errorf("the plan of %s is kept", j.cluster.Name)
		}
	}
}
