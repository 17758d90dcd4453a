package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"quorate/kvserver"
	"quorate/kvserver/servertest"
)

func inspect(t *testing.T, m *servertest.Member) kvserver.Inspection {
	t.Helper()
	out, err := run(t, "inspect", "--data-dir", m.DataDir)
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	var i kvserver.Inspection
	if err := json.Unmarshal([]byte(out), &i); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(i.Problems) > 0 || i.DataDir != m.DataDir || i.WALDir != filepath.Join(m.DataDir, "member", "wal") {
		t.Errorf("%s: %+v", m.Name, i)
	}
	return i
}

// What is asked for besides is what the member itself would say.
func TestInspectMore(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 1)
	c.Start()
	cl := client(t, c, c.Members...)
	first := writes(t, cl)
	h, err := cl.HashKV(t.Context(), cl.Endpoints()[0], 0)
	if err != nil {
		t.Fatal(err)
	}
	m := c.Members[0]
	look := func() (i kvserver.Inspection) {
		out, err := run(t, "inspect", "--data-dir", m.DataDir, "--check", "--hash")
		if err == nil {
			err = json.Unmarshal([]byte(out), &i)
		}
		if err != nil || len(i.Problems) > 0 {
			t.Fatalf("%v %s", err, out)
		}
		return i
	}
	if i := look(); !i.Running || i.Checked || i.DB != nil {
		t.Errorf("%+v", i)
	}
	if err := m.Stop(); err != nil {
		t.Fatal(err)
	}
	i := look()
	if !i.Checked || i.DB.Hash == nil || *i.DB.Hash != h.Hash || i.DB.Revision != h.Header.Revision || i.DB.CompactRevision != first+10 || i.DB.SizeInUse <= 0 || i.DB.SizeInUse > i.DB.Size || i.Log.Vote != i.MemberID {
		t.Errorf("%+v %+v %+v, the member said %+v", i, i.DB, i.Log, h)
	}
}

// A disk through its life, compared with what the member itself says.
func TestInspect(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 3)
	m1, m2 := c.Members[0], c.Members[1]
	if i := inspect(t, m1); i.Member || i.Running {
		t.Errorf("%+v", i)
	}

	// Alone, without a leader: running, and then stopped.
	m1.Start()
	servertest.Until(t, "a campaign", func(context.Context) error {
		if !strings.Contains(m1.Log(), "became pre-candidate") {
			return errors.New("none yet")
		}
		return nil
	})
	running := inspect(t, m1)
	if !running.Member || !running.Running || !running.BootstrapOnly || running.DB != nil || *running.Log != (kvserver.InspectedLog{Term: 1, Commit: 3, LastTerm: 1, LastIndex: 3}) {
		t.Errorf("%+v %+v", running, running.Log)
	}
	m1.Kill()
	stopped := inspect(t, m1)
	if stopped.Running || !stopped.BootstrapOnly || stopped.DB == nil || stopped.DB.Revision != 1 || stopped.DB.Applied > 3 || *stopped.Log != *running.Log || stopped.ClusterID != running.ClusterID {
		t.Errorf("%+v %+v %+v", stopped, stopped.Log, stopped.DB)
	}
	if len(running.Members) != 3 || running.Members[0].Name == "" {
		t.Errorf("%+v", running.Members)
	}

	// With the others: served.
	c.Start()
	a := c.Admin()
	for _, k := range []string{"a", "b", "c"} {
		if _, err := a.Put(t.Context(), "m2", k, strings.Repeat(k, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	var learner kvserver.Member
	var members []kvserver.Member
	servertest.Until(t, "a learner", func(ctx context.Context) (err error) {
		learner, members, err = a.AddLearner(ctx, "m1", []string{"https://127.0.0.9:1"})
		return err
	})
	if _, err := a.Remove(t.Context(), "m1", learner.ID); err != nil {
		t.Fatal(err)
	}
	status, err := a.Status(t.Context(), "m1")
	if err != nil {
		t.Fatal(err)
	}
	now := inspect(t, m1)
	if !now.Running || now.BootstrapOnly || now.ClusterID != kvserver.ID(status.ClusterID) || now.MemberID != kvserver.ID(status.MemberID) || now.Log.LastIndex < status.RaftAppliedIndex || now.Log.Term != status.RaftTerm {
		t.Errorf("%+v %+v, the member says %+v", now, now.Log, status)
	}
	if err := m1.Stop(); err != nil {
		t.Fatal(err)
	}
	i := inspect(t, m1)
	if i.Running || i.BootstrapOnly || i.DB.Revision != status.Revision || i.DB.Applied < status.RaftAppliedIndex || i.DB.Size == 0 || i.DB.ClusterVersion != "3.7.0" || i.DB.StorageVersion != "3.7.0" || i.Log.LastIndex < i.Log.Commit {
		t.Errorf("%+v %+v %+v, the member said %+v", i, i.Log, i.DB, status)
	}
	var want []kvserver.InspectedMember
	for _, m := range members {
		if m.ID != learner.ID {
			want = append(want, kvserver.InspectedMember{ID: kvserver.ID(m.ID), Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs})
		}
	}
	slices.SortFunc(want, func(a, b kvserver.InspectedMember) int { return strings.Compare(a.ID, b.ID) })
	if d := cmp.Diff(want, i.Members); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{kvserver.ID(learner.ID)}, i.Removed); d != "" {
		t.Error(d)
	}

	// Killed under writes, again and again: the disk is always understood, and never for a fresh one.
	for range 3 {
		go func() {
			for range 20 {
				_, _ = a.Put(t.Context(), "m2", "k", strings.Repeat("v", 5000))
			}
		}()
		servertest.Until(t, "a write", func(ctx context.Context) error { return a.Health(ctx, "m2") })
		m2.Kill()
		i := inspect(t, m2)
		if i.Running || i.BootstrapOnly || i.Log.LastIndex < i.Log.Commit || i.DB.Applied > i.Log.LastIndex {
			t.Errorf("%+v %+v %+v", i, i.Log, i.DB)
		}
		m2.Start()
		m2.WaitReady()
	}

	if out, err := run(t, "inspect"); err == nil || !strings.Contains(out, "--data-dir") {
		t.Errorf("%v %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "member"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, "inspect", "--data-dir", c.Dir); err == nil || !strings.HasPrefix(out, "kvserver: cannot inspect "+c.Dir) {
		t.Errorf("%v %s", err, out)
	}
}
