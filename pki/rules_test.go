package pki

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const days = 24 * time.Hour

func want() Want {
	return Want{
		Request: Request{Profile: Server, CommonName: "etcd1", SANs: []string{"127.0.0.1", "etcd1", "localhost"}, Lifetime: 365 * days},
		CA:      Certificate{Fingerprint: "ca", NotAfter: now.Add(3650 * days)}, KeyAlgorithm: "ecdsa-p256", PublicKey: "pub",
		Now: now, RenewBefore: 30 * days,
	}
}

func cert() Certificate {
	return Certificate{
		Subject: "etcd1", SANs: []string{"127.0.0.1", "etcd1", "localhost"}, Profiles: []Profile{Server, Peer, Client},
		KeyAlgorithm: "ecdsa-p256", NotBefore: now.Add(-Backdate), NotAfter: now.Add(365 * days), PublicKey: "pub", Issuer: "ca",
	}
}

func TestMismatch(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*Certificate, *Want)
		why    []string
	}{
		{"as wanted", func(c *Certificate, w *Want) {}, nil},
		{"the last instant of its life is not in it", func(c *Certificate, w *Want) { c.NotAfter = now }, []string{"expired on 2026-03-01 12:00 UTC"}},
		{"long expired", func(c *Certificate, w *Want) { c.NotAfter = now.Add(-days) }, []string{"expired on 2026-02-28 12:00 UTC"}},
		{"host clock far behind", func(c *Certificate, w *Want) { c.NotBefore = now.Add(days) }, []string{"not valid before 2026-03-02 12:00 UTC"}},
		{"in the window", func(c *Certificate, w *Want) { c.NotAfter = now.Add(30 * days) }, []string{"expires on 2026-03-31 12:00 UTC, within 30 days"}},
		{"just before the window", func(c *Certificate, w *Want) { c.NotAfter = now.Add(30*days + time.Second) }, nil},
		{"a short life narrows the window", func(c *Certificate, w *Want) {
			w.Request.Lifetime, c.NotAfter = 24*time.Hour, now.Add(13*time.Hour)
		}, nil},
		{"a short life is renewed at half of it", func(c *Certificate, w *Want) {
			w.Request.Lifetime, c.NotAfter = 24*time.Hour, now.Add(12*time.Hour)
		}, []string{"expires on 2026-03-02 00:00 UTC, within 12h"}},
		{"the CA ends as soon: renewing gains nothing", func(c *Certificate, w *Want) {
			c.NotAfter, w.CA.NotAfter = now.Add(10*days), now.Add(10*days)
		}, nil},
		{"the CA ends a little later", func(c *Certificate, w *Want) {
			c.NotAfter, w.CA.NotAfter = now.Add(10*days), now.Add(11*days)
		}, []string{"expires on 2026-03-11 12:00 UTC, within 30 days"}},
		{"another CA", func(c *Certificate, w *Want) { c.Issuer = "" }, []string{"not signed by the cluster's CA"}},
		{"CA not asked", func(c *Certificate, w *Want) { c.Issuer, w.CA = "", Certificate{} }, nil},
		{"another key", func(c *Certificate, w *Want) { c.PublicKey = "x" }, []string{"made for another key"}},
		{"another algorithm", func(c *Certificate, w *Want) { c.KeyAlgorithm = "rsa-2048" }, []string{"key is rsa-2048, not ecdsa-p256"}},
		{"a CA in a leaf's place", func(c *Certificate, w *Want) { c.IsCA = true }, []string{"is a CA certificate"}},
		{"renamed", func(c *Certificate, w *Want) { w.Request.CommonName = "etcd9" }, []string{`common name is "etcd1", not "etcd9"`}},
		{"organization", func(c *Certificate, w *Want) { w.Request.Organization = []string{"b", "a"} }, []string{"organization is [], not [a b]"}},
		{"organization in another order", func(c *Certificate, w *Want) {
			w.Request.Organization, c.Organization = []string{"b", "a"}, []string{"a", "b"}
		}, nil},
		{"SAN missing", func(c *Certificate, w *Want) {
			w.Request.SANs = append(w.Request.SANs, "10.0.0.1", "kv.example.org")
		}, []string{"lacks 10.0.0.1, kv.example.org"}},
		{"stale SAN", func(c *Certificate, w *Want) { c.SANs = append(c.SANs, "10.0.0.9") }, []string{"still carries 10.0.0.9"}},
		{"SANs in other spellings", func(c *Certificate, w *Want) {
			c.SANs = []string{"::1", "127.0.0.1", "etcd1.example.org"}
			w.Request.SANs = []string{"0:0:0:0:0:0:0:1", "Etcd1.Example.ORG.", "::ffff:127.0.0.1", "127.0.0.1"}
		}, nil},
		{"usage", func(c *Certificate, w *Want) { c.Profiles = []Profile{Client} }, []string{"lacks the usage server"}},
		{"a new lifetime waits for the renewal", func(c *Certificate, w *Want) { w.Request.Lifetime = 90 * days }, nil},
		{"everything at once, in order", func(c *Certificate, w *Want) {
			*c = Certificate{NotAfter: now}
		}, []string{"expired on 2026-03-01 12:00 UTC", "not signed by the cluster's CA", "made for another key", "key is , not ecdsa-p256",
			`common name is "", not "etcd1"`, "lacks 127.0.0.1, etcd1, localhost", "lacks the usage server"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, w := cert(), want()
			tc.change(&c, &w)
			if d := cmp.Diff(tc.why, Mismatch(c, w)); d != "" {
				t.Error(d)
			}
		})
	}
}

// A certificate made for the request at any moment must not be due at once,
// whatever the lifetimes: else every apply would renew and restart.
func TestFreshIsNeverDue(t *testing.T) {
	t.Parallel()
	for _, life := range []time.Duration{time.Hour, days, 90 * days, 3650 * days} {
		for _, renew := range []time.Duration{0, time.Hour, 30 * days, 3650 * days} {
			for _, ca := range []time.Duration{time.Minute, days, 100 * days, 36500 * days} {
				w := want()
				w.Request.Lifetime, w.RenewBefore, w.CA.NotAfter = life, renew, now.Add(ca)
				c := cert()
				c.NotAfter = NotAfter(now, life, w.CA)
				if why := Mismatch(c, w); why != nil {
					t.Errorf("life %v, window %v, CA %v: %v", life, renew, ca, why)
				}
			}
		}
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, s := range map[time.Duration]string{
		days: "1 day", 30 * days: "30 days", 12 * time.Hour: "12h", 90 * time.Minute: "1h30m", 36 * time.Hour: "36h", 5 * time.Minute: "5m", 90 * time.Second: "1m30s", 0: "0s",
	} {
		if got := span(d); got != s {
			t.Errorf("%d: %q, want %q", d, got, s)
		}
	}
}

// The planner imports this package; it must not drag in the network.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skipf("cannot ask the go command: %v", err)
	}
	for _, dep := range strings.Fields(string(out)) {
		switch dep {
		case "net", "net/http", "os/exec", "crypto/x509":
			t.Errorf("package pki depends on %s", dep)
		}
	}
}
