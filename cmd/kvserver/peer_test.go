package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/kvserver/probe"
	"quorate/kvserver/servertest"
	"quorate/templates"
)

// A client whose role permits nothing posts a proposal to the raft port, in the name of root. Where every
// certificate of the CA is a peer's that is a write past etcd's authentication; where peers are known by
// name the handshake ends it.
func TestClientIsNoPeer(t *testing.T) {
	t.Parallel()
	for what, tt := range map[string]struct {
		peerName string
		written  bool
	}{
		"any certificate is a peer's": {"", true},
		"peers are known by name":     {node.PeerName, false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			c := servertest.New(t, 1)
			m := c.Members[0]
			c.WriteConfig(m, func(p *templates.ConfigParams) { p.PeerName = tt.peerName })
			c.Start()
			root := connect(t, c, c.ClientTLS("root"))
			ctx := t.Context()
			for _, err := range []error{
				second(root.UserAddWithOptions(ctx, "root", "", &clientv3.UserAddOptions{NoPassword: true})),
				second(root.UserGrantRole(ctx, "root", "root")),
				second(root.UserAddWithOptions(ctx, "app", "", &clientv3.UserAddOptions{NoPassword: true})),
				second(root.AuthEnable(ctx)),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			app := c.ClientTLS("app")
			if _, err := connect(t, c, app).Put(ctx, "/secret", "x"); err == nil || !strings.Contains(err.Error(), "permission denied") {
				t.Fatalf("the client port lets app write: %v", err)
			}
			st, err := c.Admin().Status(ctx, m.Name)
			if err != nil {
				t.Fatal(err)
			}
			err = propose(ctx, app, node.HostPort(m.Address, m.PeerPort), st)
			if tt.written != (err == nil) {
				t.Fatalf("posting to the raft port: %v", err)
			}
			if !tt.written && !strings.Contains(err.Error(), "tls: bad certificate") {
				t.Errorf("it failed for another reason: %v", err)
			}
			got := func() int64 {
				r, err := root.Get(ctx, "/secret")
				if err != nil {
					t.Fatal(err)
				}
				return r.Count
			}
			for deadline := time.Now().Add(servertest.Wait); tt.written && got() == 0 && time.Now().Before(deadline); {
				time.Sleep(20 * time.Millisecond)
			}
			if written := got() > 0; written != tt.written {
				t.Errorf("written: %v", written)
			}
		})
	}
}

// propose posts a write as root to a raft port.
func propose(ctx context.Context, c *tls.Config, address string, st kvserver.Status) error {
	put := &etcdserverpb.InternalRaftRequest{
		Header: &etcdserverpb.RequestHeader{ID: 1, Username: "root", AuthRevision: 1 << 20},
		Put:    &etcdserverpb.PutRequest{Key: []byte("/secret"), Value: []byte("through the peer port")},
	}
	data, err := proto.Marshal(put)
	if err != nil {
		return err
	}
	message, err := proto.Marshal(&raftpb.Message{Type: raftpb.MsgProp.Enum(), To: &st.MemberID, From: &st.MemberID, Entries: []*raftpb.Entry{{Data: data}}})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+address+"/raft", bytes.NewReader(message))
	if err != nil {
		return err
	}
	r.Header.Set("X-Etcd-Cluster-ID", strconv.FormatUint(st.ClusterID, 16))
	r.Header.Set("X-Server-From", strconv.FormatUint(st.MemberID, 16))
	r.Header.Set("X-Server-Version", st.Version)
	r.Header.Set("X-Min-Cluster-Version", "3.0.0")
	resp, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}).Do(r)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func connect(t *testing.T, c *servertest.Cluster, config *tls.Config) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{c.Members[0].Endpoint().Address}, TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func second[T any](_ T, err error) error { return err }

// Peers shake hands anew, and say what is not as it should be at either end.
func TestHandshakes(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 2)
	c.Start()
	a, b := c.Members[0], c.Members[1]
	ask := kvserver.Handshakes{
		CA: a.Dir + "/ca.pem", Cert: a.Dir + "/peer.pem", Key: a.Dir + "/peer-key.pem", CommonName: node.PeerName,
		Peers: []kvserver.ProbePeer{{Name: b.Name, Address: node.HostPort(b.Address, b.PeerPort)}}, TimeoutMS: 10_000,
	}
	if got, err := probe.ShakeHands(t.Context(), ask); err != nil || len(got.Failed) > 0 {
		t.Errorf("%v %v", got, err)
	}
	failing := func(what, want string, change func(*kvserver.Handshakes)) {
		t.Helper()
		h := ask
		change(&h)
		got, err := probe.ShakeHands(t.Context(), h)
		if err == nil && !strings.Contains(got.Failed[b.Name], want) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v %v, want %q", what, got, err, want)
		}
	}
	failing("a certificate of another name here", `"m1", not "quorate-peer"`, func(h *kvserver.Handshakes) {
		h.Cert, h.Key = a.Dir+"/server.pem", a.Dir+"/server-key.pem"
	})
	failing("a certificate of another name there", `"m2", not "quorate-peer"`, func(h *kvserver.Handshakes) {
		h.Peers = []kvserver.ProbePeer{{Name: b.Name, Address: node.HostPort(b.Address, b.ClientPort)}} // shows server.pem
	})
	failing("nobody there", "refused", func(h *kvserver.Handshakes) {
		h.Peers = []kvserver.ProbePeer{{Name: b.Name, Address: node.HostPort(b.Address, 1)}}
	})
}
