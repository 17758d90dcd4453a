package server

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	"sigs.k8s.io/yaml"

	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"

	"quorate/kvserver"
)

// rejoins is an error if a start that is to join an existing cluster would take
// up the very member that the mark speaks of. etcd gives a member that joins
// the id that the cluster lists for its peer URLs; where the lost one has not
// been removed first, that is the old id with an empty log: it could vote
// against what it has acknowledged. An upstream etcd is asked for as well.
//
// Who the peers are comes from the settings alone; that none of them answers
// is an error too, since etcd could not join then either.
func rejoins(l Loaded) error {
	if l.Mark == nil {
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("cannot start member %q: %w", l.Name, err) }
	var all map[string]any
	if err := yaml.Unmarshal(l.Settings, &all); err != nil {
		return fail(err)
	}
	// No more than this is needed, so that options of another etcd do not matter.
	few := map[string]any{"log-level": "panic"}
	for _, key := range []string{"name", "data-dir", "initial-cluster", "initial-cluster-token", "initial-cluster-state", "initial-advertise-peer-urls", "peer-transport-security", "tls-min-version"} {
		if v, ok := all[key]; ok {
			few[key] = v
		}
	}
	text, err := yaml.Marshal(few)
	if err != nil {
		return fail(err)
	}
	cfg, err := Config(text)
	if err != nil {
		return fail(err)
	}
	members, _, err := cfg.PeerURLsMapAndToken("etcd")
	if err != nil {
		return fail(err)
	}
	var others []string
	for name, urls := range members {
		if name != cfg.Name {
			others = append(others, urls.StringSlice()...)
		}
	}
	slices.Sort(others)
	own := members[cfg.Name].StringSlice()
	transport, err := rafthttp.NewRoundTripper(cfg.PeerTLSInfo, 5*time.Second)
	if err != nil {
		return fail(err)
	}
	cluster, err := etcdserver.GetClusterFromRemotePeers(zap.NewNop(), others, transport)
	if err != nil {
		return fail(fmt.Errorf("it is to join a cluster, and no member of that answers at %v: %w", others, err))
	}
	for _, m := range cluster.Members() {
		shares := slices.ContainsFunc(m.PeerURLs, func(u string) bool { return slices.Contains(own, u) })
		if shares && kvserver.ID(uint64(m.ID)) == l.Mark.MemberID {
			return fail(errors.New("the cluster still lists the member that has served on this host, " + l.Mark.MemberID + ", and its data is gone: under its old id it would have forgotten what it acknowledged. Bring its data back, or remove it from the cluster and add it again"))
		}
	}
	return nil
}
