package stories

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"quorate/plan"
	"quorate/test/lab"
)

// client is a consumer of the cluster: it has the certificate of client "app"
// and dials the members directly, as kube-apiserver would.
func (s *stage) client() *clientv3.Client {
	s.Helper()
	var endpoints []string
	for _, h := range s.Hosts() {
		endpoints = append(endpoints, "https://"+net.JoinHostPort(h.Addr(), "2379"))
	}
	return s.consumer(endpoints)
}

// consumer is the same with endpoints of its own.
func (s *stage) consumer(endpoints []string) *clientv3.Client {
	s.Helper()
	c, err := clientv3.New(s.clientConfig(endpoints))
	s.check(err)
	s.Cleanup(func() { c.Close() })
	return c
}

// clientConfig is what client "app" dials with, out of the lab's network.
func (s *stage) clientConfig(endpoints []string) clientv3.Config {
	s.Helper()
	dir := filepath.Join(s.dir, "pki/lab/clients")
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "app.pem"), filepath.Join(dir, "app-key.pem"))
	s.check(err)
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	s.check(err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		s.Fatal("ca.pem holds no certificate")
	}
	return clientv3.Config{
		Endpoints: endpoints, TLS: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool}, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return s.DialContext(ctx, "tcp", addr)
		})},
	}
}

// load writes one key after the other until it is stopped. Each write is
// repeated until it is acknowledged, as a careful consumer does.
type load struct {
	patience time.Duration // with one write
	stop     chan struct{}
	done     chan struct{}
	// What came of it; to be read after the end.
	acknowledged []time.Time // when each write was
	err          error
}

func key(i int) string { return fmt.Sprintf("/load/%08d", i) }

// startLoad writes until it is ended. A write that is not acknowledged within patience, repeated, ends it with an error.
func (s *stage) startLoad(c *clientv3.Client, patience time.Duration) *load {
	l := &load{stop: make(chan struct{}), done: make(chan struct{}), patience: patience}
	go func() {
		defer close(l.done)
		for {
			select {
			case <-l.stop:
				return
			default:
			}
			if l.err = put(s.Context(), c, key(len(l.acknowledged)), patience); l.err != nil {
				return
			}
			l.acknowledged = append(l.acknowledged, time.Now())
		}
	}()
	return l
}

// gap is the longest time without an acknowledgement of which any part lies between from and to, and when it began.
// The acknowledgements are sorted, and some lie before and after.
func gap(acknowledged []time.Time, from, to time.Time) (longest time.Duration, began time.Time) {
	last := from
	for _, at := range acknowledged {
		if at.After(from) && at.Sub(last) > longest {
			longest, began = at.Sub(last), last
		}
		if last = at; at.After(to) {
			break
		}
	}
	return longest, began
}

// longest is the longest time between two acknowledged writes.
func (l *load) longest() time.Duration {
	longest, _ := gap(l.acknowledged, l.acknowledged[0], l.acknowledged[len(l.acknowledged)-1])
	return longest.Round(time.Millisecond)
}

// put repeats a write for as long as patience.
func put(ctx context.Context, c *clientv3.Client, key string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		try, cancel := context.WithTimeout(ctx, time.Second)
		_, err := c.Put(try, key, "x")
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// end stops the load and checks that everything acknowledged is there.
func (s *stage) end(l *load, c *clientv3.Client) {
	s.Helper()
	close(l.stop)
	<-l.done
	if l.err != nil {
		s.Errorf("a write was not acknowledged for %s: %v", l.patience, l.err)
	}
	r, err := c.Get(s.Context(), "/load/", clientv3.WithPrefix(), clientv3.WithKeysOnly(),
		clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend), clientv3.WithLimit(0))
	s.check(err)
	if len(r.Kvs) < len(l.acknowledged) {
		s.Errorf("%d writes were acknowledged, %d are there", len(l.acknowledged), len(r.Kvs))
	}
	for i := range min(len(l.acknowledged), len(r.Kvs)) {
		if string(r.Kvs[i].Key) != key(i) {
			s.Fatalf("the acknowledged write %s is not there", key(i))
		}
	}
	s.Logf("%d writes acknowledged, the longest wait for one was %s", len(l.acknowledged), l.longest())
}

// pulse begins a write at fixed times, whatever became of those before it, and never repeats one: so that the cluster
// takes no writes can be told from clients who all wait for an answer that never comes, since raft drops what reaches a
// leader that is handing over.
type pulse struct {
	stop         context.CancelFunc
	done         sync.WaitGroup
	mu           sync.Mutex
	acknowledged map[string]time.Time // by key; to be read after the end
}

const (
	pulseInterval = 10 * time.Millisecond
	pulsePrefix   = "/pulse/"
)

// startPulse writes until it is ended.
func (s *stage) startPulse(c *clientv3.Client) *pulse {
	ctx, stop := context.WithCancel(s.Context())
	p := &pulse{stop: stop, acknowledged: map[string]time.Time{}}
	p.done.Go(func() {
		tick := time.NewTicker(pulseInterval)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			p.done.Go(func() {
				key := fmt.Sprintf("%s%08d", pulsePrefix, n)
				try, cancel := context.WithTimeout(s.Context(), operationTimeout)
				defer cancel()
				if _, err := c.Put(try, key, "x"); err == nil {
					p.mu.Lock()
					defer p.mu.Unlock()
					p.acknowledged[key] = time.Now()
				}
			})
		}
	})
	return p
}

// endPulse stops it, checks that everything acknowledged is there, and returns when each write was.
func (s *stage) endPulse(p *pulse, c *clientv3.Client) []time.Time {
	s.Helper()
	p.stop()
	p.done.Wait()
	r, err := c.Get(s.Context(), pulsePrefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	s.check(err)
	there := map[string]bool{}
	for _, kv := range r.Kvs {
		there[string(kv.Key)] = true
	}
	for key := range p.acknowledged {
		if !there[key] {
			s.Errorf("the acknowledged write %s is not there", key)
		}
	}
	return slices.SortedFunc(maps.Values(p.acknowledged), time.Time.Compare)
}

// A setting changes for all: members are restarted one at a time, the quorum
// is never given up, and a client that retries loses nothing.
func TestSettingRollsThroughUnderLoad(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec(`client "app" {}`)
	s.must("apply", "-y")
	before := s.pids(unit)
	c := s.client()
	l := s.startLoad(c, time.Minute)

	s.spec("client \"app\" {}\n server { snapshot_count = 5000 }")
	p := s.plan(pending)
	for _, step := range p.Steps {
		if step.Kind == plan.KindRestart && !step.Quorum.During.Writable() {
			t.Errorf("step %q stops writes: %+v", step.ID, step.Quorum)
		}
	}
	s.must("apply", "-y")
	if got := restarted(before, s.pids(unit)); len(got) != 3 {
		t.Errorf("restarted %q, want all three", got)
	}
	s.settled()
	s.end(l, c)
}
