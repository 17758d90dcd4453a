package kvserver_test

import (
	"encoding/json"
	"testing"

	"quorate/kvserver"
)

func TestJSONOfIDs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v    any
		want string
	}{
		{kvserver.Member{ID: 0xec0a1b2c3d4e5f61, Name: "a", PeerURLs: []string{"https://a:2380"}}, `{"id":"ec0a1b2c3d4e5f61","name":"a","peer_urls":["https://a:2380"]}`},
		{&kvserver.Status{ClusterID: 1<<63 + 1, MemberID: 0xab, Version: "3.7.3", Revision: 9},
			`{"cluster_id":"8000000000000001","member_id":"ab","leader":"0","version":"3.7.3","revision":9,"raft_term":0,"raft_index":0,"raft_applied_index":0,"db_size":0,"db_size_in_use":0}`},
	} {
		got, err := json.Marshal(c.v)
		if err != nil || string(got) != c.want {
			t.Errorf("%s %v", got, err)
		}
	}
}
