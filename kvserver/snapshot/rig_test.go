package snapshot

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"

	"quorate/kvserver"
	"quorate/kvserver/servertest"
	"quorate/pki"
	"quorate/pki/authority"
)

// member is a member as far as backups ask it, with whatever misbehaviour a test wants.
type member struct {
	pb.UnimplementedMaintenanceServer
	db      []byte // the database, without the hash at its end
	hash    kvserver.Hash
	request kvserver.BackupRequest

	mu    sync.Mutex
	cut   int                      // end the stream before this piece; -1: never
	spoil func(sent []byte) []byte // of all that is sent
	hangs chan struct{}            // if set, closed once the stream stands still
	says  func(*pb.HashKVResponse) // changes the answer
	state func(*pb.StatusResponse) // likewise
	asked map[string]int
}

// piece is how much a message of the snapshot has.
const piece = 4096

// database is one with some history, and what etcd says of it.
func database(t testing.TB, keys int) (db []byte, h kvserver.Hash) {
	return databaseOf(t, keys, func(int) []byte { return make([]byte, 200) })
}

// noise does not compress, and is so much that nothing else counts.
func noise(i int) []byte {
	b := make([]byte, 100_000)
	_, _ = rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}).Read(b)
	return b
}

func databaseOf(t testing.TB, keys int, value func(i int) []byte) (db []byte, h kvserver.Hash) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	be := backend.NewDefaultBackend(zap.NewNop(), path, backend.WithMmapSize(64<<10)) // or else the file has 16 MiB
	schema.CreateMetaBucket(be.BatchTx())
	kv := mvcc.New(zap.NewNop(), be, &lease.FakeLessor{}, mvcc.StoreConfig{})
	for i := range keys {
		kv.Put(fmt.Appendf(nil, "key-%05d", i), value(i), 0)
	}
	kv.DeleteRange([]byte("key-00001"), nil)
	got, _, err := kv.HashStorage().HashByRev(0)
	if err != nil {
		t.Fatal(err)
	}
	be.ForceCommit()
	kv.Close()
	be.Close()
	if db, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return db, kvserver.Hash{Hash: got.Hash, Revision: got.Revision, CompactRevision: got.CompactRevision}
}

// sealedDB is a database as a snapshot ends: with its hash.
func withHash(db []byte) []byte {
	sum := sha256.Sum256(db)
	return append(append([]byte{}, db...), sum[:]...)
}

// serveMember has a member answer, and gives the request that backs it up into a folder of its own.
func serveMember(t testing.TB, keys int) *member {
	t.Helper()
	dir := t.TempDir()
	ca, _, err := authority.Store{Dir: filepath.Join(dir, "ca"), Name: "test", KeyAlgorithm: "ecdsa-p256", Lifetime: time.Hour}.Open(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := servertest.IssueMember(t.Context(), ca, dir, "etcd1", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	r := pki.Request{Profile: pki.Client, CommonName: "quorate", Lifetime: time.Hour}
	if _, err := ca.IssueClient(t.Context(), dir, "client", "ecdsa-p256", r, time.Now()); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	pair, err := tls.LoadX509KeyPair(at("server.pem"), at("server-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(at("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &member{cut: -1, asked: map[string]int{}, request: kvserver.BackupRequest{
		Dir: filepath.Join(dir, "backups"), Cluster: "lab", Member: "etcd1", Address: l.Addr().String(),
		CA: at("ca.pem"), Cert: at("client.pem"), Key: at("client-key.pem"),
	}}
	m.db, m.hash = database(t, keys)
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert})))
	pb.RegisterMaintenanceServer(s, m)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return m
}

func (m *member) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked["status"]++
	r := &pb.StatusResponse{
		Header: &pb.ResponseHeader{ClusterId: 0xc1, MemberId: 0xa1, Revision: m.hash.Revision}, Version: "3.7.3", Leader: 0xa2,
		DbSize: int64(len(m.db)), DbSizeInUse: int64(len(m.db)),
	}
	if m.state != nil {
		m.state(r)
	}
	return r, nil
}

func (m *member) HashKV(_ context.Context, q *pb.HashKVRequest) (*pb.HashKVResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked["hash"]++
	r := &pb.HashKVResponse{Header: &pb.ResponseHeader{}, Hash: m.hash.Hash, HashRevision: q.Revision, CompactRevision: m.hash.CompactRevision}
	if m.says != nil {
		m.says(r)
	}
	return r, nil
}

func (m *member) Snapshot(_ *pb.SnapshotRequest, s pb.Maintenance_SnapshotServer) error {
	m.mu.Lock()
	all, cut, hangs := withHash(m.db), m.cut, m.hangs
	if m.spoil != nil {
		all = m.spoil(all)
	}
	m.mu.Unlock()
	for n := 0; len(all) > 0; n++ {
		if n == cut {
			if hangs != nil {
				close(hangs)
				<-s.Context().Done()
			}
			return context.Canceled
		}
		size := min(piece, len(all))
		if err := s.Send(&pb.SnapshotResponse{Blob: all[:size], RemainingBytes: uint64(len(all) - size)}); err != nil {
			return err
		}
		all = all[size:]
	}
	return nil
}

// files are the names in the member's folder of backups, but for the lock.
func (m *member) files(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir(m.request.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.Name() != lockName {
			out = append(out, e.Name())
		}
	}
	return out
}
