package plan_test

import (
	"testing"
	"time"

	"quorate/kvserver/node"
	"quorate/pki"
	"quorate/plan"
	"quorate/plan/spec"
)

// TestRequests: the CA is asked for what it has not signed yet, and for what does not serve any more.
func TestRequests(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	c := &spec.Cluster{
		Name:    "lab",
		TLS:     spec.TLS{LeafLifetime: 365 * day, RenewBefore: 30 * day},
		Members: []*spec.Member{{Name: "etcd1", Address: "198.18.0.11"}},
		Clients: []*spec.Client{{Name: "app", CommonName: "app"}},
	}
	ca := pki.Certificate{Fingerprint: "ca", NotAfter: now.Add(3650 * day)}
	l := plan.LayoutOf(c, c.Members[0])
	names := []string{"127.0.0.1", "::1", "localhost", "198.18.0.11", "etcd1"}
	// full is a world in which the CA has signed all.
	full := func() *plan.Observed {
		signed := func(p pki.Profile, name string, sans ...string) pki.Certificate {
			return pki.Certificate{Subject: name, SANs: sans, Profiles: pki.Profiles(pki.Usages(p)), NotBefore: now.Add(-day), NotAfter: now.Add(300 * day), Issuer: "ca"}
		}
		app := signed(pki.Client, "app")
		return &plan.Observed{
			CA:      plan.CA{Exists: true, Cert: ca},
			Clients: map[string]plan.ClientFiles{"app": {Cert: &app}},
			Hosts: map[string]*plan.Host{"etcd1": {Facts: node.Facts{Hostname: "node7"}, Certificates: map[string]pki.Certificate{
				l.Cert("server"): signed(pki.Server, "etcd1", names...),
				l.Cert("peer"):   signed(pki.Peer, node.PeerName, names...),
				l.Cert("client"): signed(pki.Client, node.OperatorName),
			}}},
		}
	}
	for what, tt := range map[string]struct {
		change func(*plan.Observed)
		want   int
	}{
		"all signed":            {func(*plan.Observed) {}, 0},
		"nothing there":         {func(o *plan.Observed) { o.Hosts, o.Clients = nil, nil }, 4},
		"no answer from a host": {func(o *plan.Observed) { o.Hosts["etcd1"] = &plan.Host{Problem: "no route"} }, 3},
		"its host calls itself": {func(o *plan.Observed) { o.Hosts["etcd1"].Hostname = "*.corp.example" }, 0},
		"a peer by its own name": {func(o *plan.Observed) {
			for path, c := range o.Hosts["etcd1"].Certificates {
				if path == l.Cert("peer") {
					c.Subject = "etcd1"
					o.Hosts["etcd1"].Certificates[path] = c
				}
			}
		}, 1},
		"another CA":             {func(o *plan.Observed) { o.CA.Cert.Fingerprint = "new" }, 4},
		"a client's is missing":  {func(o *plan.Observed) { delete(o.Clients, "app") }, 1},
		"one about to expire":    {func(o *plan.Observed) { o.Clients["app"].Cert.NotAfter = now.Add(day) }, 1},
		"one of another purpose": {func(o *plan.Observed) { o.Clients["app"].Cert.Profiles = nil }, 1},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			o := full()
			tt.change(o)
			if got := plan.Requests(c, o, now); len(got) != tt.want {
				t.Errorf("%d requests instead of %d: %+v", len(got), tt.want, got)
			}
		})
	}
}
