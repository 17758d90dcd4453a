package datadir

import (
	"fmt"

	"go.uber.org/zap"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"

	"quorate/kvserver"
)

// Identities are the ids, as etcd computes them, of a cluster that is made with an initial cluster
// ("a=https://10.0.0.1:2380,…") and a token, and of its members by name.
func Identities(initialCluster, token string) (clusterID string, members map[string]string, err error) {
	urls, err := types.NewURLsMap(initialCluster)
	if err != nil {
		return "", nil, fmt.Errorf("initial cluster %q: %w", initialCluster, err)
	}
	cluster, err := membership.NewClusterFromURLsMap(zap.NewNop(), token, urls)
	if err != nil {
		return "", nil, fmt.Errorf("initial cluster %q: %w", initialCluster, err)
	}
	members = map[string]string{}
	for _, m := range cluster.Members() {
		members[m.Name] = kvserver.ID(uint64(m.ID))
	}
	return kvserver.ID(uint64(cluster.ID())), members, nil
}
