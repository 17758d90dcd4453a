package admin_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/version"

	"quorate/kvserver"
	"quorate/kvserver/admintest"
	"quorate/kvserver/servertest"
	"quorate/templates"
)

// The suites that the models pass too, beside real members.

func TestSuite(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 3)
	c.Start()
	admintest.Suite(t, subject(c))
}

func TestUpkeep(t *testing.T) {
	t.Parallel()
	upkeep(t, "", version.Version)
}

// TestUpkeepUpstream is the same beside the etcd at $QUORATE_ETCD.
func TestUpkeepUpstream(t *testing.T) {
	etcd, version := upstream(t)
	upkeep(t, etcd, version)
}

// upkeep runs the suite beside members that run this binary of etcd, or, with none, are kvserver.
func upkeep(t *testing.T, etcd, version string) {
	const quota = 16 << 20
	c := servertest.New(t, 3)
	for _, m := range c.Members {
		m.Etcd = etcd
		c.WriteConfig(m, func(p *templates.ConfigParams) { p.QuotaBackendBytes, p.Version = quota, version })
	}
	c.Start()
	a := c.Admin()
	admintest.Upkeep(t, admintest.Kept{
		Subject: subject(c), Keeper: a, Quota: quota,
		Write: func(ctx context.Context, via string, bytes int) error {
			_, err := a.Put(ctx, via, "key", strings.Repeat("x", bytes))
			return err
		},
		Delete: func(ctx context.Context, via string) error { return remove(ctx, c, "key") },
	})
}

func TestMembership(t *testing.T) {
	t.Parallel()
	membership(t, "", version.Version)
}

// TestMembershipUpstream is the same beside the etcd at $QUORATE_ETCD: what it demands of a change depends on its version.
func TestMembershipUpstream(t *testing.T) {
	etcd, version := upstream(t)
	membership(t, etcd, version)
}

// upstream is the binary of etcd to test beside, and its version.
func upstream(t *testing.T) (etcd, version string) {
	t.Helper()
	etcd = os.Getenv("QUORATE_ETCD")
	if etcd == "" {
		t.Skip("QUORATE_ETCD names no binary of etcd")
	}
	said, err := exec.Command(etcd, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(said), "\n")
	return etcd, strings.TrimPrefix(line, "etcd Version: ")
}

// membership runs the suite beside members that run this binary of etcd, or, with none, are kvserver.
func membership(t *testing.T, etcd, version string) {
	c := servertest.New(t, 3)
	s := admintest.Changing{
		Subject: subject(c), Spare: [2]string{"m4", "m5"}, HealthInterval: kvserver.HealthInterval, Version: version,
		PeerURL: func(name string) string { return named(c, name).PeerURL() },
		Join: func(name string, members ...string) {
			var all []*servertest.Member
			for _, n := range members {
				all = append(all, named(c, n))
			}
			c.WriteBootstrap(named(c, name), true, all...)
			named(c, name).Start()
		},
		Wipe: func(name string) { named(c, name).Wipe() },
		Runs: func(name string) bool { return named(c, name).Runs() },
	}
	for _, n := range s.Spare {
		c.Add(n)
	}
	for _, m := range c.Members {
		m.Etcd = etcd
		c.WriteConfig(m, func(p *templates.ConfigParams) { p.Version = version })
	}
	for _, n := range s.Names {
		named(c, n).Start()
	}
	for _, n := range s.Names {
		named(c, n).WaitReady()
	}
	s.Admin = c.Admin() // knows all five
	admintest.Membership(t, s)
}

func subject(c *servertest.Cluster) admintest.Subject {
	s := admintest.Subject{Admin: c.Admin(), Wait: servertest.Wait, Stop: func(name string) { named(c, name).Kill() }, Start: func(name string) { named(c, name).Start() }}
	for _, m := range c.Members {
		s.Names = append(s.Names, m.Name)
	}
	return s
}

func named(c *servertest.Cluster, name string) *servertest.Member {
	return c.Members[slices.IndexFunc(c.Members, func(m *servertest.Member) bool { return m.Name == name })]
}
