// Package admin is the client that the operator's side asks the members with.
// Connections go through an injected dialer (the tunnel through each member's
// host), are made when first needed, one a member, and are used for all calls.
// Nothing connects in the background, and nothing is tried again: how long and
// how often is the caller's business (ctx).
package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

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

func (c *Client) conn(name string) (*conn, error) {
	if conn := c.conns[name]; conn != nil {
		return conn, nil
	}
	return nil, fmt.Errorf("cannot ask member %q: it is not among the endpoints", name)
}

// call runs one call with the client of one service on one member.
func call[C, R any](ctx context.Context, c *Client, name, what string, service func(*conn) C, f func(context.Context, C) (R, error)) (R, error) {
	var none R
	conn, err := c.conn(name)
	if err != nil {
		return none, err
	}
	r, err := f(ctx, service(conn))
	if err != nil {
		return none, fmt.Errorf("cannot %s: %w", what, err)
	}
	return r, nil
}

func cluster(c *conn) pb.ClusterClient         { return pb.NewClusterClient(c) }
func maintenance(c *conn) pb.MaintenanceClient { return pb.NewMaintenanceClient(c) }
func kv(c *conn) pb.KVClient                   { return pb.NewKVClient(c) }

// Members lists the members as a quorum sees them, asked through one member,
// in the order of their ids. It is linearizable: an answer also says that this
// member is part of a cluster with a leader.
func (c *Client) Members(ctx context.Context, via string) ([]kvserver.Member, error) {
	return c.members(ctx, via, true)
}

// MembersLocal lists the members as one member knows them, quorum or not. The
// answer may be old, and a learner does not give one ([ErrIsLearner]).
func (c *Client) MembersLocal(ctx context.Context, name string) ([]kvserver.Member, error) {
	return c.members(ctx, name, false)
}

func (c *Client) members(ctx context.Context, name string, linearizable bool) ([]kvserver.Member, error) {
	r, err := call(ctx, c, name, "list the members", cluster, func(ctx context.Context, s pb.ClusterClient) (*pb.MemberListResponse, error) {
		return s.MemberList(ctx, &pb.MemberListRequest{Linearizable: linearizable})
	})
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
	slices.SortFunc(out, func(a, b kvserver.Member) int {
		switch {
		case a.ID < b.ID:
			return -1
		case a.ID > b.ID:
			return 1
		}
		return 0
	})
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
	r, err := call(ctx, c, name, "ask for the status", maintenance, func(ctx context.Context, s pb.MaintenanceClient) (*pb.StatusResponse, error) {
		return s.Status(ctx, &pb.StatusRequest{})
	})
	if err != nil {
		return kvserver.Status{}, err
	}
	return statusOf(r), nil
}

// Health is nil if a linearizable read through that member works: it serves,
// and there is a leader. It asks what `etcdctl endpoint health` asks. An
// answer that the reader lacks a right comes after the read and is health too.
func (c *Client) Health(ctx context.Context, name string) error {
	_, err := call(ctx, c, name, "read through the member", kv, func(ctx context.Context, s pb.KVClient) (*pb.RangeResponse, error) {
		return s.Range(ctx, &pb.RangeRequest{Key: []byte("health"), KeysOnly: true})
	})
	if lacksRights(err) {
		return nil
	}
	return err
}

// MoveLeader asks the leader to hand over to the member with that id; it
// returns once that one leads.
func (c *Client) MoveLeader(ctx context.Context, leader string, to uint64) error {
	_, err := call(ctx, c, leader, fmt.Sprintf("move the leadership to member %x", to), maintenance, func(ctx context.Context, s pb.MaintenanceClient) (*pb.MoveLeaderResponse, error) {
		return s.MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: to})
	})
	return err
}
