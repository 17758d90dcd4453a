package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"quorate/kvserver"
	"quorate/kvserver/datadir"
	"quorate/kvserver/node"
	"quorate/kvserver/servertest"
)

// run is one command of this binary, to its end.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, args...)
	c.Env = append(os.Environ(), "QUORATE_SERVERTEST_MAIN=1")
	out, err := c.CombinedOutput()
	return string(out), err
}

func formed(t *testing.T, m *servertest.Member) kvserver.Mark {
	t.Helper()
	if out, err := run(t, "formed", "--bootstrap-file", m.BootstrapFile, "--mark", m.MarkFile, "--data-dir", m.DataDir); err != nil || out != "" {
		t.Fatalf("%v %s", err, out)
	}
	return mark(t, m)
}

func mark(t *testing.T, m *servertest.Member) kvserver.Mark {
	t.Helper()
	text, err := os.ReadFile(m.MarkFile)
	if err != nil {
		t.Fatal(err)
	}
	k, err := kvserver.ParseMark(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// One blank disk of three, booted first: the story in which acknowledged
// writes were lost. Served by kvserver and by upstream etcd.
func TestBlankDiskDoesNotStart(t *testing.T) {
	t.Parallel()
	for _, upstream := range []string{"", "etcd"} {
		t.Run("by "+upstream, func(t *testing.T) {
			t.Parallel()
			c := servertest.New(t, 3)
			if upstream != "" {
				exe, err := os.Executable()
				if err != nil {
					t.Fatal(err)
				}
				link := filepath.Join(t.TempDir(), upstream)
				if err := os.Symlink(exe, link); err != nil {
					t.Fatal(err)
				}
				for _, m := range c.Members {
					m.Etcd = link
				}
			}
			c.Start()
			a := c.Admin()
			for _, m := range c.Members {
				was := formed(t, m)
				if s, err := a.Status(t.Context(), m.Name); err != nil || was.ClusterID != kvserver.ID(s.ClusterID) || was.MemberID != kvserver.ID(s.MemberID) {
					t.Errorf("%s: %+v, the mark says %+v (%v)", m.Name, s, was, err)
				}
				if _, err := os.Stat(m.BootstrapFile); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s: %v", m.Name, err)
				}
			}
			m1, m2, m3 := c.Members[0], c.Members[1], c.Members[2]
			m1.Kill()
			servertest.Until(t, "a leader among the two", func(ctx context.Context) error {
				_, err := a.Put(ctx, "m2", "/b", "acknowledged")
				return err
			})
			m2.Kill()
			m3.Kill()

			// m3's disk is blank, and it boots first; somebody has put the old bootstrap file back too.
			aside := filepath.Join(m3.Dir, "aside")
			if err := os.Rename(m3.DataDir, aside); err != nil {
				t.Fatal(err)
			}
			refused := func(want string) {
				t.Helper()
				before := len(m3.Log())
				m3.Start()
				if err := m3.Wait(); err == nil {
					t.Fatal("started as new")
				}
				if log := m3.Log()[before:]; !strings.Contains(log, want) {
					t.Errorf("the log says nothing of %q:\n%s", want, log)
				}
				if yes, err := datadir.Initialised(m3.DataDir, ""); yes || err != nil {
					t.Errorf("a refused start left a member behind: %v %v", yes, err)
				}
			}
			reason := "this host's member " + mark(t, m3).MemberID + " of cluster " + mark(t, m3).ClusterID + " has served"
			refused(reason)
			c.WriteBootstrap(m3, false, c.Members...)
			refused(reason)

			// The two others: the acknowledged write is there. And with its disk, the third.
			m1.Start()
			m2.Start()
			m1.WaitReady()
			m2.WaitReady()
			if err := os.RemoveAll(m3.DataDir); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(aside, m3.DataDir); err != nil {
				t.Fatal(err)
			}
			// Its log alone is no member to start either: etcd would put an empty database beside it.
			db := filepath.Join(m3.DataDir, "member/snap/db")
			if err := os.Rename(db, filepath.Join(m3.Dir, "db")); err != nil {
				t.Fatal(err)
			}
			before := len(m3.Log())
			m3.Start()
			if err := m3.Wait(); err == nil || !strings.Contains(m3.Log()[before:], reason) {
				t.Errorf("started with its log alone: %v", err)
			}
			if err := os.Link(filepath.Join(m3.Dir, "db"), db); err != nil {
				t.Errorf("a refused start left something: %v", err)
			}
			m3.Start()
			m3.WaitReady()
			for _, m := range c.Members {
				if v, _, err := a.Get(t.Context(), m.Name, "/b"); err != nil || v != "acknowledged" {
					t.Errorf("%s: %q %v", m.Name, v, err)
				}
			}
		})
	}
}

// A member that has lost its disk and is told to join: not under its old id.
// Removed and added again it comes back, and the mark follows.
func TestRejoin(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 3)
	c.Start()
	a := c.Admin()
	m3 := c.Members[2]
	old := formed(t, m3)
	m3.Kill()
	if err := os.RemoveAll(m3.DataDir); err != nil {
		t.Fatal(err)
	}
	c.WriteBootstrap(m3, true, c.Members...)
	m3.Start()
	if err := m3.Wait(); err == nil || !strings.Contains(m3.Log(), "the cluster still lists the member that has served on this host, "+old.MemberID) {
		t.Fatalf("%v", err)
	}
	if yes, err := datadir.Initialised(m3.DataDir, ""); yes || err != nil {
		t.Errorf("a refused start left a member behind: %v %v", yes, err)
	}
	id, err := strconv.ParseUint(old.MemberID, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	var learner kvserver.Member
	// With a leader among the two first: etcd loses a change of members that it
	// is asked for while it still believes in a dead one, and never answers.
	servertest.Until(t, "a leader among the two", func(ctx context.Context) error {
		_, err := a.Put(ctx, "m1", "k", "v")
		return err
	})
	servertest.Until(t, "removed", func(ctx context.Context) error {
		_, err := a.Remove(ctx, "m1", id)
		return err
	})
	servertest.Until(t, "added", func(ctx context.Context) (err error) {
		learner, _, err = a.AddLearner(ctx, "m1", []string{m3.PeerURL()})
		return err
	})
	m3.Start()
	m3.WaitReady()
	if now := formed(t, m3); now.MemberID != kvserver.ID(learner.ID) || now.ClusterID != old.ClusterID {
		t.Errorf("%+v, was %+v", now, old)
	}
	if _, err := os.Stat(m3.BootstrapFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}

	// Nobody to ask: it does not start either.
	m3.Kill()
	os.RemoveAll(m3.DataDir)
	c.WriteBootstrap(m3, true, m3, c.Members[0])
	c.Members[0].Kill()
	m3.Start()
	if err := m3.Wait(); err == nil || !strings.Contains(m3.Log(), "no member of that answers at ["+c.Members[0].PeerURL()+"]") {
		t.Errorf("%v", err)
	}
}

// A supervised member leaves its mark by itself, at each of its starts.
func TestSuperviseFormed(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 1)
	m := c.Members[0]
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := newService(t, exe, "serve", "--config-file", m.ConfigFile, "--bootstrap-file", m.BootstrapFile, "--mark", m.MarkFile)
	s.unit.FormedArgv = []string{exe, "formed", "--bootstrap-file", m.BootstrapFile, "--mark", m.MarkFile, "--data-dir", m.DataDir}
	s.save()
	s.start()
	// What the state file says counts: once ready, the mark is there.
	st := s.until("ready", func(st node.ServiceState) bool { return st.Ready })
	first := mark(t, m)
	if _, err := os.Stat(m.BootstrapFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := os.Remove(m.MarkFile); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(st.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.until("ready again", func(n node.ServiceState) bool { return n.Ready && n.PID != st.PID })
	if again := mark(t, m); again.MemberID != first.MemberID {
		t.Errorf("%+v %+v", first, again)
	}
}

// A failing formed_argv is in the log and nowhere else.
func TestSuperviseFormedFails(t *testing.T) {
	t.Parallel()
	for name, argv := range map[string][]string{"fails": {"/bin/sh", "-c", "echo no room >&2; exit 7"}, "is missing": {"/nowhere/kvserver"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := servertest.New(t, 1)
			m := c.Members[0]
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			s := newService(t, exe, "serve", "--config-file", m.ConfigFile, "--bootstrap-file", m.BootstrapFile)
			s.unit.FormedArgv = argv
			s.save()
			s.start()
			s.until("ready", func(st node.ServiceState) bool { return st.Ready && st.Restarts == 0 })
			servertest.Until(t, "the log", func(context.Context) error {
				if log, _ := os.ReadFile(s.unit.LogFile); !strings.Contains(string(log), argv[0]+", run because the service is ready, failed") {
					return errors.New("nothing there")
				}
				return nil
			})
			if err := c.Admin().Health(t.Context(), "m1"); err != nil {
				t.Error(err)
			}
		})
	}
}
