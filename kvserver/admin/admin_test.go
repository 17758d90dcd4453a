package admin_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"quorate/kvserver"
	"quorate/kvserver/admin"
	"quorate/kvserver/servertest"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 3)
	c.Start()
	ctx, cancel := context.WithTimeout(t.Context(), servertest.Wait)
	defer cancel()

	dials := map[string]*atomic.Int32{"m1": {}, "m2": {}, "m3": {}}
	a := admin.New(admin.Config{Members: c.Endpoints(), TLS: c.TLS(), Dial: func(ctx context.Context, member, network, address string) (net.Conn, error) {
		dials[member].Add(1)
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}})
	defer a.Close()

	// Many calls at once: one connection a member.
	var wg sync.WaitGroup
	for range 20 {
		for _, m := range c.Members {
			wg.Go(func() {
				if err := a.Health(ctx, m.Name); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for name, n := range dials {
		if n.Load() != 1 {
			t.Errorf("%s was dialled %d times", name, n.Load())
		}
	}

	members, err := a.Members(ctx, "m1")
	if err != nil || len(members) != 3 {
		t.Fatalf("%+v %v", members, err)
	}
	ids := map[string]uint64{}
	for i, m := range members {
		ids[m.Name] = m.ID
		if i > 0 && members[i-1].ID >= m.ID {
			t.Error("not in the order of ids")
		}
		if len(m.PeerURLs) != 1 || len(m.ClientURLs) != 1 || m.Learner {
			t.Errorf("%+v", m)
		}
	}
	if local, err := a.MembersLocal(ctx, "m2"); err != nil || len(local) != 3 {
		t.Errorf("%+v %v", local, err)
	}
	revision, err := a.Put(ctx, "m1", "/name", "xin")
	if err != nil {
		t.Fatal(err)
	}
	hashes := map[uint32]bool{}
	leader := ""
	for _, m := range c.Members {
		if v, ok, err := a.Get(ctx, m.Name, "/name"); err != nil || !ok || v != "xin" {
			t.Errorf("%q %v %v", v, ok, err)
		}
		s, err := a.Status(ctx, m.Name)
		if err != nil || s.MemberID != ids[m.Name] || s.Version != "3.7.3" || s.Revision != revision || s.DBSize == 0 || s.Learner || s.Alarms != nil || s.Errors != nil {
			t.Errorf("%+v %v", s, err)
		}
		if s.Leader == s.MemberID {
			leader = m.Name
		}
		h, err := a.HashKV(ctx, m.Name, revision)
		if err != nil || h.Revision != revision {
			t.Errorf("%+v %v", h, err)
		}
		hashes[h.Hash] = true
	}
	if h, err := a.HashKV(ctx, "m1", 0); err != nil || h.Revision != revision {
		t.Errorf("of the newest revision: %+v %v", h, err)
	}
	if _, err := a.HashKV(ctx, "m1", revision+1); err == nil || errors.Is(err, kvserver.ErrCompacted) {
		t.Errorf("of a revision to come: %v", err)
	}
	if err := a.Compact(ctx, "m1", revision); err != nil {
		t.Fatal(err)
	}
	if _, err := a.HashKV(ctx, "m1", revision-1); !errors.Is(err, kvserver.ErrCompacted) {
		t.Errorf("of a revision that was compacted: %v", err)
	}
	if len(hashes) != 1 {
		t.Errorf("the members have different hashes: %v", hashes)
	}
	if _, ok, err := a.Get(ctx, "m1", "/nothing"); ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	if alarms, err := a.Alarms(ctx, "m1"); err != nil || len(alarms) != 0 {
		t.Errorf("%v %v", alarms, err)
	}

	next := "m1"
	if leader == "m1" {
		next = "m2"
	}
	if err := a.MoveLeader(ctx, leader, ids[next]); err != nil {
		t.Fatal(err)
	}
	if s, err := a.Status(ctx, next); err != nil || s.Leader != ids[next] {
		t.Errorf("%+v %v", s, err)
	}
	var answer *admin.AnswerError
	if err := a.MoveLeader(ctx, leader, ids[leader]); !errors.As(err, &answer) || !strings.Contains(err.Error(), "not leader") {
		t.Errorf("a follower cannot give leadership away: %v", err)
	}

	// Changes: refusals by name, a learner, promotion.
	servertest.Until(t, "a refusal", func(ctx context.Context) error { // refused as unhealthy until all have been connected for 5 s
		_, _, err := a.AddLearner(ctx, "m1", []string{c.Members[1].PeerURL()})
		if errors.Is(err, kvserver.ErrTooFewStarted) {
			return err
		}
		if !errors.Is(err, kvserver.ErrPeerURLExists) {
			t.Errorf("%v", err)
		}
		return nil
	})
	if _, err := a.Promote(ctx, "m1", ids["m2"]); !errors.Is(err, kvserver.ErrNotLearner) {
		t.Errorf("%v", err)
	}
	if _, err := a.Remove(ctx, "m1", 4711); !errors.Is(err, kvserver.ErrMemberNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := a.Update(ctx, "m1", 4711, []string{"https://127.0.0.9:1"}); !errors.Is(err, kvserver.ErrMemberNotFound) {
		t.Errorf("%v", err)
	}
	if _, err := a.Update(ctx, "m1", ids["m2"], []string{c.Members[0].PeerURL()}); !errors.Is(err, kvserver.ErrPeerURLExists) {
		t.Errorf("%v", err)
	}
	for _, urls := range [][]string{{c.Members[1].PeerURL(), "https://127.0.0.9:1"}, {c.Members[1].PeerURL()}} {
		all, err := a.Update(ctx, "m1", ids["m2"], urls)
		if i := slices.IndexFunc(all, func(m kvserver.Member) bool { return m.ID == ids["m2"] }); err != nil || i < 0 || !slices.Equal(all[i].PeerURLs, slices.Sorted(slices.Values(urls))) {
			t.Errorf("%v: %+v %v", urls, all, err)
		}
	}
	m4 := c.Add("m4")
	var id uint64
	servertest.Until(t, "add", func(ctx context.Context) error {
		learner, all, err := a.AddLearner(ctx, "m1", []string{m4.PeerURL()})
		if err != nil && !errors.Is(err, kvserver.ErrTooFewStarted) {
			t.Fatal(err)
		}
		if err == nil {
			if !learner.Learner || learner.Name != "" || len(all) != 4 {
				t.Errorf("%+v among %+v", learner, all)
			}
			id = learner.ID
		}
		return err
	})
	if _, err := a.Promote(ctx, "m1", id); !errors.Is(err, kvserver.ErrLearnerNotReady) {
		t.Errorf("promoted before it was started: %v", err)
	}
	m4.Start()
	m4.WaitReady()
	b := c.Admin() // knows m4
	if s, err := b.Status(ctx, "m4"); err != nil || !s.Learner || s.MemberID != id {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := b.Members(ctx, "m4"); !errors.Is(err, kvserver.ErrIsLearner) {
		t.Errorf("a learner answered: %v", err)
	}
	if err := b.Defragment(ctx, "m4"); !errors.Is(err, kvserver.ErrIsLearner) {
		t.Errorf("a learner defragmented: %v", err)
	}
	servertest.Until(t, "promote", func(ctx context.Context) error { _, err := a.Promote(ctx, "m1", id); return err })
	servertest.Until(t, "m4 hearing of its promotion", func(ctx context.Context) error {
		all, err := b.Members(ctx, "m4")
		if err == nil && len(all) != 4 {
			t.Errorf("%+v", all)
		}
		return err
	})

	// The quorum of four is three: with two left there is no leader.
	c.Members[1].Kill()
	c.Members[2].Kill()
	servertest.Until(t, "loss of the leader", func(ctx context.Context) error {
		s, err := a.Status(ctx, "m1")
		if err == nil && s.Leader != 0 {
			err = errors.New("still has a leader")
		}
		return err
	})
	if s, err := a.Status(ctx, "m1"); err != nil || len(s.Errors) != 1 || !strings.Contains(s.Errors[0], "no leader") {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := a.Put(ctx, "m1", "k", "v"); !errors.Is(err, kvserver.ErrNoLeader) {
		t.Errorf("a write without a leader: %v", err)
	}
	if local, err := a.MembersLocal(ctx, "m1"); err != nil || len(local) != 4 {
		t.Errorf("%+v %v", local, err)
	}
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	var unreachable *admin.UnreachableError
	if err := a.Health(short, "m1"); !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &unreachable) || !unreachable.Sent {
		t.Errorf("health without a leader: %v", err)
	}
	// A broken connection is noticed, named, and made again when there is somebody.
	if _, err := a.Status(ctx, "m2"); !errors.As(err, &unreachable) {
		t.Errorf("a dead member: %v", err)
	}
	c.Members[1].Start()
	c.Members[1].WaitReady()
	servertest.Until(t, "the member coming back", func(ctx context.Context) error { return a.Health(ctx, "m2") })
	a.Close()
	if err := a.Health(ctx, "m1"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// Failures are told apart by their type, since callers act on them.
func TestFailures(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 1)
	c.Start()
	stranger := servertest.New(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), servertest.Wait)
	t.Cleanup(cancel)
	good := c.Members[0].Endpoint()

	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and is no etcd
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	go func() {
		for {
			conn, err := silent.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "220 smtp.example.org ready\r\n")
			conn.Close()
		}
	}()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()

	noCert := c.TLS()
	noCert.Certificates = nil
	foreignCert := c.TLS()
	foreignCert.Certificates = stranger.TLS().Certificates
	for name, tc := range map[string]struct {
		address  string
		tls      *tls.Config
		rejected bool
		want     string
	}{
		"nobody listens":         {gone.Addr().String(), c.TLS(), false, "connection refused"},
		"not TLS":                {silent.Addr().String(), c.TLS(), true, "first record does not look like a TLS handshake"},
		"we do not trust it":     {good.Address, stranger.TLS(), true, "certificate signed by unknown authority"},
		"it does not trust us":   {good.Address, foreignCert, true, "remote error: tls:"},
		"no certificate of ours": {good.Address, noCert, true, "remote error: tls: certificate required"},
		"its name is another":    {strings.Replace(good.Address, c.Members[0].Address, "ip6-localhost", 1), c.TLS(), true, "not ip6-localhost"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := admin.New(admin.Config{Members: []admin.Endpoint{{Name: "m1", Address: tc.address}}, TLS: tc.tls,
				Dial: func(ctx context.Context, _, network, address string) (net.Conn, error) {
					if strings.HasPrefix(address, "ip6-localhost") {
						address = good.Address
					}
					var d net.Dialer
					return d.DialContext(ctx, network, address)
				}})
			defer a.Close()
			for range 2 { // and no better the second time
				err := a.Health(ctx, "m1")
				var rejected *admin.RejectedError
				var unreachable *admin.UnreachableError
				if errors.As(err, &rejected) != tc.rejected || errors.As(err, &unreachable) == tc.rejected || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), `"m1"`) {
					t.Errorf("%T %v, want %q", errors.Unwrap(err), err, tc.want)
				}
			}
		})
	}
	if _, err := admin.New(admin.Config{}).Status(ctx, "m9"); err == nil || !strings.Contains(err.Error(), `"m9": it is not among the endpoints`) {
		t.Errorf("%v", err)
	}
}

// talker is a member that says in one message more than anything that is asked for.
type talker struct {
	pb.UnimplementedMaintenanceServer
	pb.UnimplementedClusterServer
	text string
}

func (s talker) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return &pb.StatusResponse{Version: s.text}, nil
}

func (s talker) MemberList(context.Context, *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	return &pb.MemberListResponse{Members: []*pb.Member{{Name: s.text}}}, nil
}

// TestAMemberThatTalksTooMuch: an answer is bounded, and what is beyond is neither kept nor taken for a
// failure that asking again would mend.
func TestAMemberThatTalksTooMuch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size    int
		bounded bool
	}{"much": {admin.Largest - 100, false}, "too much": {admin.Largest + 1, true}} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := grpc.NewServer(grpc.MaxSendMsgSize(2 * admin.Largest))
			member := talker{text: strings.Repeat("x", c.size)}
			pb.RegisterMaintenanceServer(server, member)
			pb.RegisterClusterServer(server, member)
			go server.Serve(l)
			defer server.Stop()
			a := admin.New(admin.Config{Members: []admin.Endpoint{{Name: "m1", Address: l.Addr().String()}}, Plain: true,
				Dial: func(ctx context.Context, _, network, address string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, address)
				}})
			defer a.Close()
			for what, call := range map[string]func() error{
				"status":  func() error { _, err := a.Status(t.Context(), "m1"); return err },
				"members": func() error { _, err := a.Members(t.Context(), "m1"); return err },
			} {
				if err := call(); (err != nil) != c.bounded || err != nil && !strings.Contains(err.Error(), "larger than max") {
					t.Errorf("%s: %.300v", what, err)
				}
			}
		})
	}
}

// remove has etcd's own client delete a key.
func remove(ctx context.Context, c *servertest.Cluster, key string) error {
	v3, err := clientv3.New(clientv3.Config{Endpoints: []string{"https://" + c.Members[0].Endpoint().Address}, TLS: c.TLS()})
	if err != nil {
		return err
	}
	defer v3.Close()
	_, err = v3.Delete(ctx, key)
	return err
}
