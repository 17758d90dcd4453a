// Package admin is the client that the operator's side asks the members with.
// Connections go through an injected dialer (the tunnel through each member's
// host), are made when first needed, one a member, and are used for all calls.
// Nothing connects in the background, and nothing is tried again: how long and
// how often is the caller's business (ctx).
package admin

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"quorate/kvserver"
)

// Endpoint is where a member answers clients.
type Endpoint struct {
	Name string
	// Address is host:port; the host is also the name that the member's
	// certificate has to carry.
	Address string
}

// Config is what a client is made of.
type Config struct {
	Members []Endpoint
	// TLS has the operator's certificate and the roots; ServerName and NextProtos are set here.
	TLS *tls.Config
	// Plain: what Dial gives speaks TLS with the member already (kvserver relay does, on the member's host,
	// with a certificate of that host's); TLS does not count.
	Plain bool
	// Dial opens a connection to a member; nil dials directly.
	Dial func(ctx context.Context, member, network, address string) (net.Conn, error)
}

// Client asks the members of one cluster. Its methods may be called from many goroutines.
type Client struct {
	order []string
	conns map[string]*conn
}

// New makes a client; it connects nothing yet.
func New(c Config) *Client {
	dial := c.Dial
	if dial == nil {
		var d net.Dialer
		dial = func(ctx context.Context, _, network, address string) (net.Conn, error) {
			return d.DialContext(ctx, network, address)
		}
	}
	client := &Client{conns: map[string]*conn{}}
	for _, m := range c.Members {
		t := &tls.Config{}
		if c.TLS != nil {
			t = c.TLS.Clone()
		}
		t.NextProtos = []string{"h2"}
		t.ServerName = m.Address
		if host, _, err := net.SplitHostPort(m.Address); err == nil {
			t.ServerName = host
		}
		client.order = append(client.order, m.Name)
		client.conns[m.Name] = &conn{member: m.Name, address: m.Address, tls: t, plain: c.Plain, dial: dial, turn: make(chan struct{}, 1)}
		client.conns[m.Name].turn <- struct{}{}
	}
	return client
}

// Close ends all connections; calls after it fail.
func (c *Client) Close() error {
	var errs []error
	for _, name := range c.order {
		errs = append(errs, c.conns[name].close())
	}
	return errors.Join(errs...)
}

// call asks one member by one method of one of etcd's services; what is what was asked for.
func call[S, Q, A any](ctx context.Context, c *Client, name, what string, service func(grpc.ClientConnInterface) S, method func(S, context.Context, Q, ...grpc.CallOption) (A, error), question Q) (A, error) {
	var none A
	conn := c.conns[name]
	if conn == nil {
		return none, fmt.Errorf("cannot ask member %q: it is not among the endpoints", name)
	}
	answer, err := method(service(conn), ctx, question)
	if err != nil {
		return none, fmt.Errorf("cannot %s: %w", what, err)
	}
	return answer, nil
}

// Members lists the members as a quorum sees them, asked through one member,
// in the order of their ids. It is linearizable: an answer also says that this
// member is part of a cluster with a leader.
func (c *Client) Members(ctx context.Context, via string) ([]kvserver.Member, error) {
	return c.members(ctx, via, true)
}

// MembersLocal lists the members as one member knows them, quorum or not. The
// answer may be old, and a learner does not give one ([kvserver.ErrIsLearner]).
func (c *Client) MembersLocal(ctx context.Context, name string) ([]kvserver.Member, error) {
	return c.members(ctx, name, false)
}

func (c *Client) members(ctx context.Context, name string, linearizable bool) ([]kvserver.Member, error) {
	r, err := call(ctx, c, name, "list the members", pb.NewClusterClient, pb.ClusterClient.MemberList, &pb.MemberListRequest{Linearizable: linearizable})
	if err != nil {
		return nil, err
	}
	return memberList(r.Members), nil
}

func memberList(list []*pb.Member) []kvserver.Member {
	out := make([]kvserver.Member, 0, len(list))
	for _, m := range list {
		out = append(out, member(m))
	}
	slices.SortFunc(out, func(a, b kvserver.Member) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func member(m *pb.Member) kvserver.Member {
	return kvserver.Member{
		ID: m.ID, Name: m.Name, Learner: m.IsLearner,
		PeerURLs: slices.Sorted(slices.Values(m.PeerURLs)), ClientURLs: slices.Sorted(slices.Values(m.ClientURLs)),
	}
}

// Status is the member's own word about itself. A learner gives it, and a
// member that lost its quorum; but one that has not had a leader since its
// start answers nothing at all ([UnreachableError.Accepted]), so bound ctx.
func (c *Client) Status(ctx context.Context, name string) (kvserver.Status, error) {
	r, err := call(ctx, c, name, "ask for the status", pb.NewMaintenanceClient, pb.MaintenanceClient.Status, &pb.StatusRequest{})
	if err != nil {
		return kvserver.Status{}, err
	}
	return statusOf(r), nil
}

// Health is nil if a linearizable read through that member works: it serves,
// and there is a leader. It asks what `etcdctl endpoint health` asks. An
// answer that the reader lacks a right comes after the read and is health too.
func (c *Client) Health(ctx context.Context, name string) error {
	_, err := call(ctx, c, name, "read through the member", pb.NewKVClient, pb.KVClient.Range, &pb.RangeRequest{Key: []byte("health"), KeysOnly: true})
	if lacksRights(err) {
		return nil
	}
	return err
}

// MoveLeader asks the leader to hand over to the member with that id; it
// returns once that one leads.
func (c *Client) MoveLeader(ctx context.Context, leader string, to uint64) error {
	_, err := call(ctx, c, leader, fmt.Sprintf("move the leadership to member %x", to), pb.NewMaintenanceClient, pb.MaintenanceClient.MoveLeader, &pb.MoveLeaderRequest{TargetID: to})
	return err
}
