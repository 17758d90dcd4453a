package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"quorate/plan"
	"quorate/test/lab"
)

// membership adds a fourth member to a cluster that has just formed, and takes it out again: by quorate apply, which brings
// the host all that it needs, and by hand on a host where everything lies ready, with nothing but etcd's own calls
// and a start. Both wait out what etcd wants to have seen for five seconds before members change.
func membership(ctx context.Context, s *stage) ([]Result, error) {
	newcomer := s.lab.Host(3)
	args := []string{"apply", "-y", "--accept", string(plan.SpecBehind)} // it goes back to the spec before, on purpose
	help, err := s.op.Command(ctx, s.bin("quorate"), "apply", "--help").Output()
	if err != nil {
		return nil, err
	}
	if bytes.Contains(help, []byte("--remove")) { // where apply does not know it, -y is enough
		args = append(args, "--remove", newcomer.Name())
	}
	var remove pair
	ours := func(int) (float64, error) {
		if err := s.reset(ctx); err != nil {
			return 0, err
		}
		dir, err := s.spec("")
		if err != nil {
			return 0, err
		}
		if _, err := s.quorate(ctx, dir, "apply", "-y"); err != nil {
			return 0, err
		}
		if err := s.write(dir, s.lab.Hosts(), ""); err != nil {
			return 0, err
		}
		added, err := s.quorate(ctx, dir, "apply", "-y")
		if err != nil {
			return 0, err
		}
		if err := s.write(dir, s.lab.Hosts()[:3], ""); err != nil {
			return 0, err
		}
		removed, err := s.quorate(ctx, dir, args...)
		remove.ours = append(remove.ours, removed)
		s.logf("quorate %.2f s, %.2f s", added, removed)
		return added, err
	}
	byHand := func(int) (float64, error) {
		if err := s.reset(ctx); err != nil {
			return 0, err
		}
		_, work, err := s.shellCluster(ctx, newcomer)
		if err != nil {
			return 0, err
		}
		etcd, err := s.etcd(work)
		if err != nil {
			return 0, err
		}
		defer etcd.Close()
		added, err := s.addByHand(ctx, etcd, newcomer)
		if err != nil {
			return 0, err
		}
		removed, err := s.removeByHand(ctx, etcd, newcomer)
		remove.theirs = append(remove.theirs, removed)
		s.logf("by hand %.2f s, %.2f s", added, removed)
		return added, err
	}
	add, err := alternate(s.turns(5), ours, byHand)
	if err != nil {
		return nil, err
	}
	a := against(add.ours, add.theirs)
	a.Work, a.Limit = "one member more, three to four: quorate apply, files and certificates too ÷ etcd's own calls and a start, with all files in place", 1.5
	a.Notes = []string{spread("quorate", add.ours, "s"), spread("by hand", add.theirs, "s")}
	r := against(remove.ours, remove.theirs)
	r.Work, r.Limit = "one member less, four to three: quorate apply ÷ etcd's own call and a stop", 1.5
	r.Notes = []string{spread("quorate", remove.ours, "s"), spread("by hand", remove.theirs, "s")}
	return []Result{a, r}, nil
}

// etcd is a client of the script's cluster.
func (s *stage) etcd(work string) (*clientv3.Client, error) {
	return s.etcdWith(filepath.Join(work, "client.pem"), filepath.Join(work, "client-key.pem"), filepath.Join(work, "ca.pem"))
}

// etcdWith is a client of the members on the first three hosts, with these files.
func (s *stage) etcdWith(certFile, keyFile, caFile string, more ...grpc.DialOption) (*clientv3.Client, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	var endpoints []string
	for _, h := range s.lab.Hosts()[:3] {
		endpoints = append(endpoints, "https://"+net.JoinHostPort(h.Addr(), "2379"))
	}
	return clientv3.New(clientv3.Config{
		Endpoints: endpoints, TLS: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool}, Logger: zap.NewNop(),
		DialOptions: append(more, grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return s.lab.DialContext(ctx, "tcp", addr)
		})),
	})
}

// peerURL is where a member of the script's cluster listens for the others.
func peerURL(h *lab.Host) string { return "https://" + net.JoinHostPort(h.Addr(), "2380") }

// addByHand adds a host where everything is in place, as a learner that is promoted once etcd lets it.
func (s *stage) addByHand(ctx context.Context, etcd *clientv3.Client, h *lab.Host) (float64, error) {
	began := time.Now()
	var id uint64
	err := persist(ctx, func() error {
		r, err := etcd.MemberAddAsLearner(ctx, []string{peerURL(h)})
		if err == nil {
			id = r.Member.ID
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if _, err := timed(s.op.SSH(ctx, h.Addr(), "systemctl enable --quiet --now etcd")); err != nil {
		return 0, err
	}
	err = persist(ctx, func() error {
		_, err := etcd.MemberPromote(ctx, id)
		return err
	})
	return time.Since(began).Seconds(), err
}

// removeByHand takes the host's member out and stops it.
func (s *stage) removeByHand(ctx context.Context, etcd *clientv3.Client, h *lab.Host) (float64, error) {
	began := time.Now()
	list, err := etcd.MemberList(ctx)
	if err != nil {
		return 0, err
	}
	for _, m := range list.Members {
		if m.PeerURLs[0] != peerURL(h) {
			continue
		}
		if err := persist(ctx, func() error {
			_, err := etcd.MemberRemove(ctx, m.ID)
			return err
		}); err != nil {
			return 0, err
		}
		_, err := timed(s.op.SSH(ctx, h.Addr(), "systemctl disable --quiet --now etcd"))
		return time.Since(began).Seconds(), err
	}
	return 0, fmt.Errorf("no member listens at %s", peerURL(h))
}

// persist repeats what etcd refuses for now, every 50 ms for at most 30 seconds.
func persist(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}
