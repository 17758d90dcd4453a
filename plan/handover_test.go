package plan_test

import (
	"strings"
	"testing"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/plan"
	"quorate/plan/spec"
)

// four members of a cluster, of which the spec knows three and lists one more: etcd1 leads, etcd2 is a
// learner, etcd3 does not answer, a stranger votes, and late is not listed.
func four() (*spec.Cluster, *plan.Observed) {
	c := &spec.Cluster{Name: "lab"}
	o := &plan.Observed{Hosts: map[string]*plan.Host{}, Cluster: plan.Cluster{Answers: map[string]plan.Answer{}, Strangers: map[uint64]plan.Stranger{}}}
	var list []kvserver.Member
	for i, name := range []string{"etcd1", "etcd2", "etcd3", "stranger"} {
		address := "192.168.7." + string(rune('1'+i))
		if name == "stranger" {
			address = "2001:db8::4"
		}
		list = append(list, kvserver.Member{ID: 0xa0 + uint64(i), Name: name, Learner: name == "etcd2",
			PeerURLs: []string{node.URL("https", address, 2380)}, ClientURLs: []string{node.URL("https", address, 2379)}})
		if name != "stranger" {
			c.Members = append(c.Members, &spec.Member{Name: name, Address: address, PeerPort: 2380})
		}
	}
	c.Members = append(c.Members, &spec.Member{Name: "late", Address: "192.168.7.9", PeerPort: 2380})
	for i, m := range list {
		a := plan.Answer{Asked: plan.Answered, Members: list, Status: &kvserver.Status{ClusterID: 7, MemberID: m.ID, Leader: 0xa0, Learner: m.Learner}}
		switch i {
		case 2:
			o.Cluster.Answers[m.Name] = plan.Answer{Asked: plan.Dead, Problem: "connection refused"}
		case 3:
			o.Cluster.Strangers[m.ID] = plan.Stranger{Answer: a}
		default:
			o.Cluster.Answers[m.Name] = a
		}
		o.Hosts[m.Name] = &plan.Host{}
	}
	o.Hosts["late"] = &plan.Host{}
	return c, o
}

// TestFind: what an operator may call a member.
func TestFind(t *testing.T) {
	t.Parallel()
	c, o := four()
	c.Members = append(c.Members, &spec.Member{Name: "later", Address: "192.168.7.9", PeerPort: 2390})
	census := plan.TakeCensus(c, o)
	for word, want := range map[string]string{
		"etcd1": "etcd1", "a0": "etcd1", "0xA0": "etcd1", "192.168.7.1": "etcd1", "192.168.7.1:2380": "etcd1",
		"stranger": "stranger", "a3": "stranger", "2001:db8::4": "stranger", "[2001:DB8::4]:2380": "stranger",
		"late": "late", "192.168.7.9:2390": "later",
		"192.168.7.9":      `"192.168.7.9" is more than one member of cluster "lab": late, later`,
		"":                 `cluster "lab" has no member ""; it has etcd1 (a0), etcd2 (a1), etcd3 (a2), late, later, stranger (a3)`,
		"0":                `has no member "0"`,
		"192.168.7.1:2379": `has no member "192.168.7.1:2379"`,
	} {
		got, err := census.Find(c, word)
		if err != nil {
			if !strings.Contains(err.Error(), want) || !strings.Contains(want, " ") {
				t.Errorf("%q: %v", word, err)
			}
			continue
		}
		if got.Label() != want {
			t.Errorf("%q is %s, not %s", word, got.Label(), want)
		}
	}
}

// TestHandOver: only a voter that answers can be made to lead, and only by a leader that can be asked.
func TestHandOver(t *testing.T) {
	t.Parallel()
	leads := func(id uint64) func(*plan.Observed) {
		return func(o *plan.Observed) {
			for _, a := range o.Cluster.Answers {
				if a.Status != nil {
					a.Status.Leader = id
				}
			}
		}
	}
	for name, tt := range map[string]struct {
		to     string
		change func(*plan.Observed)
		from   string
		err    string
	}{
		"it leads":             {to: "etcd1"},
		"another one":          {to: "stranger", from: "etcd1"},
		"a learner":            {to: "etcd2", err: "it is a learner"},
		"one that is down":     {to: "etcd3", err: "it does not answer: connection refused"},
		"one not listed":       {to: "late", err: "does not list it"},
		"no leader":            {to: "stranger", change: leads(0), err: "no member is known to lead"},
		"a stranger leads":     {to: "etcd1", change: leads(0xa3), err: "the member a3 leads, which the spec does not have"},
		"a stranger that does": {to: "stranger", change: leads(0xa3)},
		"nobody answers":       {to: "etcd1", change: func(o *plan.Observed) { o.Cluster = plan.Cluster{} }, err: "no member could say"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, o := four()
			to, err := plan.TakeCensus(c, o).Find(c, tt.to)
			if err != nil {
				t.Fatal(err)
			}
			if tt.change != nil {
				tt.change(o)
			}
			h, err := plan.HandOver(c, o, to)
			if tt.err == "" && (err != nil || h.From != tt.from || h.To != to.ID) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("%+v, %v", h, err)
			}
		})
	}
}
