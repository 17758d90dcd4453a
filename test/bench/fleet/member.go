package fleet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/version"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/test/bufconn"

	"quorate/kvserver/node"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision/host/hosttest"
)

// member is the API of one simulated member: who is in the cluster, and how it is.
type member struct {
	pb.UnimplementedClusterServer
	pb.UnimplementedMaintenanceServer
	id      uint64
	list    []*pb.Member
	machine *hosttest.Machine
	layout  plan.Layout

	mu     sync.Mutex
	pipe   *bufconn.Listener // nil until somebody connects
	server *grpc.Server
}

// clusterID is that of every simulated cluster: each has hosts of its own.
const clusterID = 42

// newMember is the API of the i-th member of c, on that machine.
func newMember(c *spec.Cluster, i int, m *hosttest.Machine, l plan.Layout) *member {
	out := &member{id: uint64(i + 1), machine: m, layout: l}
	for j, o := range c.Members {
		out.list = append(out.list, &pb.Member{
			ID: uint64(j + 1), Name: o.Name,
			PeerURLs: []string{node.URL("https", o.Address, o.PeerPort)}, ClientURLs: []string{node.URL("https", o.Address, o.ClientPort)},
		})
	}
	m.SetDialer(out.dial)
	return out
}

func (m *member) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pipe == nil {
		creds, err := m.credentials()
		if err != nil {
			return nil, err
		}
		m.pipe, m.server = bufconn.Listen(64<<10), grpc.NewServer(grpc.Creds(creds))
		pb.RegisterClusterServer(m.server, m)
		pb.RegisterMaintenanceServer(m.server, m)
		go m.server.Serve(m.pipe)
	}
	return m.pipe.DialContext(ctx)
}

// credentials are the files that the apply has put on the machine.
func (m *member) credentials() (credentials.TransportCredentials, error) {
	cert, certErr := m.machine.ReadFile(m.layout.Cert("server"))
	key, keyErr := m.machine.ReadFile(m.layout.Key("server"))
	ca, caErr := m.machine.ReadFile(m.layout.CA)
	if err := errors.Join(certErr, keyErr, caErr); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("the CA file holds no certificate")
	}
	return credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	}), nil
}

func (m *member) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.server != nil {
		m.server.Stop()
	}
}

// MemberList implements etcd's cluster API.
func (m *member) MemberList(context.Context, *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	return &pb.MemberListResponse{Header: m.header(), Members: m.list}, nil
}

// Status implements etcd's maintenance API.
func (m *member) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return &pb.StatusResponse{Header: m.header(), Version: version.Version, Leader: 1, RaftIndex: 9, RaftAppliedIndex: 9, RaftTerm: 2, DbSize: 1 << 20, DbSizeInUse: 1 << 20}, nil
}

func (m *member) header() *pb.ResponseHeader {
	return &pb.ResponseHeader{ClusterId: clusterID, MemberId: m.id, Revision: 1, RaftTerm: 2}
}
