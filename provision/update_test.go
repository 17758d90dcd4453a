package provision_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"quorate/plan"
	"quorate/provision"
)

// renumber goes on with a spec in which hosts have other addresses: each new one is of the machine that has the old one, too.
func (r *rig) renumber(hcl string, addresses ...string) {
	r.t.Helper()
	for _, pair := range addresses {
		was, is, _ := strings.Cut(pair, ">")
		r.at[is] = r.at[was]
	}
	r.respec(hcl)
}

// replaced is a spec with some texts replaced, "old>new".
func replaced(hcl string, pairs ...string) string {
	for _, pair := range pairs {
		was, is, _ := strings.Cut(pair, ">")
		hcl = strings.Replace(hcl, was, is, 1)
	}
	return hcl
}

const oneMember = `
cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
}`

var movedOne = []string{"192.168.7.103>192.168.8.103"}
var movedAll = []string{"192.168.7.101>192.168.8.101", "192.168.7.102>192.168.8.102", "192.168.7.103>192.168.8.103"}

// Addresses, ports and names change, with every call cut that the run makes: the next run completes, no voter beside the
// one that moves is away, the ids stay, and the run after that leaves nothing behind in the certificates.
func TestUpdateCutEverywhere(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]struct {
		from, to  string
		addresses []string
		down      string // a machine whose member is
		members   string // as listed in the end
	}{
		"address": {from: threeMembers, to: replaced(threeMembers, movedOne...), addresses: movedOne,
			members: "etcd1 https://192.168.7.101:2380, etcd2 https://192.168.7.102:2380, etcd3 https://192.168.8.103:2380"},
		"all addresses": {from: threeMembers, to: replaced(threeMembers, movedAll...), addresses: movedAll,
			members: "etcd1 https://192.168.8.101:2380, etcd2 https://192.168.8.102:2380, etcd3 https://192.168.8.103:2380"},
		"of one that is down": {from: threeMembers, to: replaced(threeMembers, movedOne...), addresses: movedOne, down: "etcd3",
			members: "etcd1 https://192.168.7.101:2380, etcd2 https://192.168.7.102:2380, etcd3 https://192.168.8.103:2380"},
		"of the only one": {from: oneMember, to: replaced(oneMember, "192.168.7.101>192.168.8.101"), addresses: movedAll[:1],
			members: "etcd1 https://192.168.8.101:2380"},
		"peer port": {from: threeMembers, to: replaced(threeMembers, `{ address = "192.168.7.101" }>{
 address = "192.168.7.101"
 peer_port = 2480
 }`, `{ address = "192.168.7.102" }>{
 address = "192.168.7.102"
 peer_port = 2480
 }`), members: "etcd1 https://192.168.7.101:2480, etcd2 https://192.168.7.102:2480, etcd3 https://192.168.7.103:2380"},
		"client port": {from: threeMembers, to: replaced(threeMembers, `{ address = "192.168.7.101" }>{
 address = "192.168.7.101"
 client_port = 2479
 }`, `{ address = "192.168.7.102" }>{
 address = "192.168.7.102"
 client_port = 2479
 }`), members: "etcd1 https://192.168.7.101:2380, etcd2 https://192.168.7.102:2380, etcd3 https://192.168.7.103:2380"},
		"client port of the only one": {from: oneMember, to: replaced(oneMember, `{ address = "192.168.7.101" }>{
 address = "192.168.7.101"
 client_port = 2479
 }`), members: "etcd1 https://192.168.7.101:2380"},
		"name": {from: threeMembers, to: replaced(threeMembers, "etcd3>third"),
			members: "etcd1 https://192.168.7.101:2380, etcd2 https://192.168.7.102:2380, third https://192.168.7.103:2380"},
		"name, address and folder": {from: threeMembers, to: replaced(withServer(`data_dir = "/srv/etcd"`), append([]string{"etcd3>third"}, movedOne...)...), addresses: movedOne,
			members: "etcd1 https://192.168.7.101:2380, etcd2 https://192.168.7.102:2380, third https://192.168.8.103:2380"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, mode := range []string{"before", "reply lost"} { // what is left midway, a restart and a move of data leave too
				first, stride := cuts(i)
				for n := first; ; n += stride {
					r := newRig(t, story.from)
					must(t, r.apply())
					was := ids(r)
					if story.down != "" {
						r.world.Machine(story.down).Crash("quorate-lab.service")
					}
					r.renumber(story.to, story.addresses...)
					voters := len(r.cluster.Members)
					r.world.ResetCalls()
					r.etcd.watching, r.etcd.least = true, voters
					r.world.CutAfter(n, mode == "reply lost")
					_, _, err := r.run(context.Background(), plan.Build, nil)
					if err == nil && !r.world.Cut() {
						break // the run needs no more calls than n
					}
					r.world.Heal()
					must(t, r.apply())
					if got := atURLs(r); got != story.members {
						t.Errorf("listed are %s", got)
					}
					must(t, r.apply()) // without the former names
					r.settled(t)
					if r.etcd.least < voters-1 {
						t.Errorf("only %d of %d voters were left", r.etcd.least, voters)
					}
					if is := ids(r); is != was {
						t.Errorf("the ids were %s and are %s", was, is)
					}
					if t.Failed() {
						t.Fatalf("cut %s call %d", mode, n+1)
					}
				}
			}
		})
	}
}

// atURLs are the members in the order of their ids, each with its name and peer URLs.
func atURLs(r *rig) string {
	var out []string
	for _, m := range r.etcd.members {
		out = append(out, m.Name+" "+strings.Join(m.PeerURLs, ","))
	}
	return strings.Join(out, ", ")
}

func ids(r *rig) string {
	var out []string
	for _, m := range r.etcd.members {
		out = append(out, fmt.Sprint(m.ID))
	}
	return strings.Join(out, ",")
}

// The leader moves last, after it has handed over; each voter is told of by another one, and nobody is away meanwhile but it.
func TestUpdateOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	must(t, r.apply())
	r.etcd.leader = "etcd1"
	r.renumber(replaced(threeMembers, movedAll...), movedAll...)
	r.etcd.changes, r.etcd.moves = nil, nil
	must(t, r.apply())
	if got := strings.Join(r.etcd.changes, "; "); got != "update 2 https://192.168.8.102:2380; update 3 https://192.168.8.103:2380; update 1 https://192.168.8.101:2380" {
		t.Errorf("changes: %s", got)
	}
	if got := strings.Join(r.etcd.moves, " "); got != "etcd1>etcd2" && got != "etcd1>etcd3" {
		t.Errorf("moves: %s", got)
	}
}

// Between plan and step the list has changed, or a voter has gone: nothing is told, and nobody restarted.
func TestUpdateRefusesAtExecution(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]struct {
		happens func(r *rig)
		want    string
	}{
		"another list": {func(r *rig) {
			r.etcd.members[0].PeerURLs = []string{"https://192.168.9.1:2380"}
		}, "plan again"},
		"a voter is down": {func(r *rig) { r.world.Machine("etcd1").Crash("quorate-lab.service") }, "none is taken away unless all are"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, threeMembers)
			must(t, r.apply())
			r.renumber(replaced(threeMembers, movedOne...), movedOne...)
			s := r.session()
			defer s.Close()
			must(t, s.Lock(context.Background(), plan.Apply, 0))
			p, err := r.build(s, plan.Build)
			must(t, err)
			story.happens(r)
			r.etcd.changes = nil
			if _, err := s.Apply(context.Background(), context.Background(), p, provision.RunOptions{ID: "x"}); err == nil || !strings.Contains(err.Error(), story.want) {
				t.Errorf("error %v", err)
			}
			if len(r.etcd.changes) > 0 {
				t.Errorf("changes %q", r.etcd.changes)
			}
		})
	}
}

// TestAddressesAreTold: where the members serve now is said at the end of a run, also where the spec has no client.
func TestAddressesAreTold(t *testing.T) {
	t.Parallel()
	r := newRig(t, strings.ReplaceAll(threeMembers, `client "apiserver" {}`, ""))
	must(t, r.apply())
	r.renumber(strings.ReplaceAll(replaced(threeMembers, movedOne...), `client "apiserver" {}`, ""), movedOne...)
	_, rep, err := r.run(context.Background(), plan.Build, nil)
	must(t, err)
	if rep.Consumers == nil || !strings.Contains(rep.Consumers.EtcdServers, "https://192.168.8.103:2379") {
		t.Errorf("it says %+v", rep.Consumers)
	}
}
