package view

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/pki"
	"quorate/plan"
	"quorate/plan/spec"
)

func trio() *spec.Cluster {
	c := &spec.Cluster{Name: "lab", Dir: "/specs", TLS: spec.TLS{Dir: "pki/lab", LeafLifetime: year, RenewBefore: 30 * 24 * time.Hour},
		Server: spec.Server{DataDir: "/var/lib/quorate/lab"}, Clients: []*spec.Client{{Name: "app"}, {Name: "late"}}}
	for i, name := range []string{"etcd1", "etcd2", "etcd3"} {
		c.Members = append(c.Members, &spec.Member{Name: name, Address: "192.168.7." + []string{"101", "102", "103"}[i], ClientPort: 2379, PeerPort: 2380,
			Connection: spec.Connection{Type: "ssh"}})
	}
	return c
}

// observed is a cluster of three that is well.
func observed(c *spec.Cluster) *plan.Observed {
	ca := pki.Certificate{Subject: "CA", IsCA: true, NotAfter: now.Add(9 * year), Fingerprint: "ca"}
	leaf := pki.Certificate{NotAfter: now.Add(200 * 24 * time.Hour), Issuer: "ca"}
	o := &plan.Observed{
		CA: plan.CA{Exists: true, Cert: ca}, Hosts: map[string]*plan.Host{},
		Clients: map[string]plan.ClientFiles{"app": {Cert: &leaf, Key: true}},
		Cluster: plan.Cluster{Answers: map[string]plan.Answer{}},
	}
	var list []kvserver.Member
	for i, m := range c.Members {
		l, id := plan.LayoutOf(c, m), uint64(i+1)<<60|0xabc
		o.Hosts[m.Name] = &plan.Host{Facts: node.Facts{Manager: "systemd"}, Unit: node.UnitState{Loaded: true, Enabled: true, Active: "active"},
			Certificates: map[string]pki.Certificate{l.Cert("server"): leaf, l.Cert("peer"): leaf, l.Cert("client"): leaf}}
		list = append(list, kvserver.Member{ID: id, Name: m.Name, PeerURLs: []string{node.URL("https", m.Address, 2380)}, ClientURLs: []string{"https://" + m.Name}})
		o.Cluster.Answers[m.Name] = plan.Answer{Asked: plan.Answered, Status: &kvserver.Status{ClusterID: 0xc1, MemberID: id, Leader: 2<<60 | 0xabc,
			Version: "3.7.3", DBSize: 20480, DBSizeInUse: 16384, RaftTerm: 2, RaftIndex: 8, RaftAppliedIndex: 8}}
	}
	relist(o, func([]kvserver.Member) []kvserver.Member { return list })
	return o
}

// relist changes the list that every member that answers gives.
func relist(o *plan.Observed, change func([]kvserver.Member) []kvserver.Member) {
	for n, a := range o.Cluster.Answers {
		a.Members = change(slices.Clone(a.Members))
		o.Cluster.Answers[n] = a
	}
}

// compared is what the members said of their data in a story about that.
var compared = map[string]plan.Hashes{
	"status-differ.txt": {Revision: 700, Voters: 3, Answers: map[string]plan.HashAnswer{
		"etcd1": {Hash: &kvserver.Hash{Hash: 4010, Revision: 700, CompactRevision: 600}},
		"etcd2": {Hash: &kvserver.Hash{Hash: 17, Revision: 700, CompactRevision: 600}},
		"etcd3": {Hash: &kvserver.Hash{Hash: 4010, Revision: 700, CompactRevision: 600}},
	}},
	"status-apart.txt": {Revision: 700, Voters: 3, Answers: map[string]plan.HashAnswer{
		"etcd1": {Hash: &kvserver.Hash{Hash: 4010, Revision: 700, CompactRevision: 600}},
		"etcd2": {Hash: &kvserver.Hash{Hash: 17, Revision: 700, CompactRevision: 650}},
		"etcd3": {Problem: "cannot hash the keys: member \"etcd3\": etcdserver: permission denied"},
	}},
}

func TestStatus(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*spec.Cluster, *plan.Observed){
		"status-well.txt": func(*spec.Cluster, *plan.Observed) {},
		"status-down.txt": func(_ *spec.Cluster, o *plan.Observed) { // a host that cannot be seen
			o.Hosts["etcd3"] = &plan.Host{Problem: "cannot reach host \"etcd3\""}
			o.Cluster.Answers["etcd3"] = plan.Answer{Problem: "cannot reach host \"etcd3\""}
		},
		"status-stopped.txt": func(_ *spec.Cluster, o *plan.Observed) { // nobody answers
			for n, h := range o.Hosts {
				h.Unit = node.UnitState{Loaded: true, Active: "inactive"}
				o.Cluster.Answers[n] = plan.Answer{Asked: plan.Dead, Problem: "connection refused"}
			}
		},
		"status-absent.txt": func(_ *spec.Cluster, o *plan.Observed) { // nothing was ever made
			for n := range o.Hosts {
				o.Hosts[n] = &plan.Host{Facts: node.Facts{Manager: "systemd"}, Unit: node.UnitState{Active: "inactive"}}
			}
			o.CA, o.Clients, o.Cluster = plan.CA{}, nil, plan.Cluster{}
		},
		"status-odd.txt": func(c *spec.Cluster, o *plan.Observed) { // alarms, strangers, phantoms, a learner, certificates that end
			o.Cluster.Answers["etcd1"].Status.Alarms = []string{"NOSPACE"}
			o.Cluster.Answers["etcd3"].Status.Learner = true
			relist(o, func(l []kvserver.Member) []kvserver.Member {
				l[2].Learner = true
				return append(l, kvserver.Member{ID: 0xdead, PeerURLs: []string{"https://10.9.9.9:2380"}})
			})
			l := plan.LayoutOf(c, c.Members[0])
			o.Hosts["etcd1"].Certificates[l.Cert("server")] = pki.Certificate{NotAfter: now.Add(3 * time.Hour)}
			o.Hosts["etcd1"].Certificates[l.Cert("peer")] = pki.Certificate{NotAfter: now.Add(-time.Hour)}
		},
		"status-unlisted.txt": func(_ *spec.Cluster, o *plan.Observed) { // the spec has a member more than the cluster
			relist(o, func(l []kvserver.Member) []kvserver.Member { return l[:2] })
			o.Cluster.Answers["etcd3"] = plan.Answer{Asked: plan.Dead, Problem: "connection refused"}
		},
		"status-aside.txt": func(c *spec.Cluster, o *plan.Observed) { // data of earlier lives is kept
			o.Hosts["etcd3"].Data.Aside = []string{"/var/lib/quorate/lab/.aside/20261101T120000Z", "/var/lib/quorate/lab/.aside/20261103T120000Z"}
			o.Hosts["etcd3"].WAL.Aside = []string{"/ssd/wal/.aside/20261101T120000Z"}
			o.Hosts["etcd1"].Base.Aside = []string{"/home/ana/root/.aside/20261101T120000Z"}
		},
		"status-differ.txt": func(*spec.Cluster, *plan.Observed) {},
		"status-apart.txt":  func(*spec.Cluster, *plan.Observed) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := trio()
			o := observed(c)
			change(c, o)
			s := StatusOf(c, o, now)
			if h, ok := compared[name]; ok {
				s.Compare(h)
			}
			var b bytes.Buffer
			if err := StatusText(&b, s, Options{Now: now}); err != nil {
				t.Fatal(err)
			}
			j, err := json.MarshalIndent(struct {
				Healthy                     bool
				Voters, VotersUp, Tolerance int
				Leader                      string
			}{s.Healthy, s.Voters, s.VotersUp, s.Tolerance, s.Leader}, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, append(append(b.Bytes(), j...), '\n'))
		})
	}
}
