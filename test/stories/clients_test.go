package stories

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"quorate/test/history"
)

// What a history needs to be worth judging.
const (
	clientCount    = 8
	keyCount       = 64
	leastOperation = 20_000 // acknowledged ones, in each run
)

// clients put, get and compare-and-swap on keyCount keys, clientCount of them at the same time, and record what they
// see. The even ones know every member and leave the choice to etcd's balancer; the odd ones talk to one member, whatever
// becomes of it. None repeats a request: what was not acknowledged is recorded as unknown.
type clients struct {
	config  clientv3.Config
	history *history.Recorder
	// endpoints are the members as the clients know them now.
	endpoints atomic.Pointer[[]string]
	// newest is what was last known of each key by anybody: what a compare-and-swap expects. It decides
	// nothing, so it may be wrong.
	newest sync.Map
	stop   context.CancelFunc
	done   sync.WaitGroup
	failed atomic.Pointer[error]
}

// operationTimeout is how long a client waits for one answer.
const operationTimeout = time.Second

// interval bounds the rate of one client, so that two cores carry the members and the clients.
const interval = 5 * time.Millisecond

// startClients begins a history on members at the endpoints.
func (s *stage) startClients(endpoints []string) *clients {
	s.Helper()
	c := &clients{config: s.clientConfig(nil), history: history.NewRecorder()}
	c.config.MaxUnaryRetries = 1 // one attempt: etcd's client would repeat a write whose deadline its server saw first
	c.know(endpoints)
	ctx, stop := context.WithCancel(s.Context())
	c.stop = stop
	for id := range clientCount {
		c.done.Go(func() {
			if err := c.run(ctx, id); err != nil {
				c.failed.Store(&err)
			}
		})
	}
	s.Cleanup(func() { stop(); c.done.Wait() })
	return c
}

// know tells the clients which members there are.
func (c *clients) know(endpoints []string) {
	list := slices.Clone(endpoints)
	c.endpoints.Store(&list)
}

// run is one client, until ctx ends.
func (c *clients) run(ctx context.Context, id int) error {
	var known *[]string
	var etcd *clientv3.Client
	defer func() {
		if etcd != nil {
			etcd.Close()
		}
	}()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if now := c.endpoints.Load(); now != known {
			mine := *now
			if id%2 == 1 {
				mine = []string{mine[id/2%len(mine)]}
			}
			if etcd == nil || !slices.Equal(etcd.Endpoints(), mine) {
				if etcd != nil {
					etcd.Close()
				}
				config := c.config
				config.Endpoints = mine
				var err error
				if etcd, err = clientv3.New(config); err != nil {
					return err
				}
			}
			known = now
		}
		c.operate(ctx, etcd, id, n)
	}
}

// operate makes one operation. Half of them meet on an eighth of the keys.
func (c *clients) operate(ctx context.Context, etcd *clientv3.Client, id, n int) {
	k := rand.IntN(keyCount)
	if rand.IntN(2) == 0 {
		k = rand.IntN(keyCount / 8)
	}
	op := history.Operation{Client: id, Key: historyKey(k)}
	switch dice := rand.IntN(10); {
	case dice < 4:
		op.Kind = history.Put
	case dice < 7:
		op.Kind = history.CAS
		if v, ok := c.newest.Load(op.Key); ok {
			op.Expected = v.(string)
		}
	default:
		op.Kind = history.Get
	}
	if op.Kind != history.Get {
		op.Value = fmt.Sprintf("%d-%d", id, n)
	}
	c.history.Do(op, func() (history.Outcome, string) {
		ctx, cancel := context.WithTimeout(ctx, operationTimeout)
		defer cancel()
		outcome, seen := ask(ctx, etcd, op)
		switch {
		case outcome == history.Done && op.Kind != history.Get:
			c.newest.Store(op.Key, op.Value)
		case outcome != history.Unknown:
			c.newest.Store(op.Key, seen)
		}
		return outcome, seen
	})
}

func historyKey(i int) string { return fmt.Sprintf("/history/%02d", i) }

// ask sends one request. Any error is taken for "unknown", also where the answer says that nothing was done: that costs
// the judge nothing.
func ask(ctx context.Context, etcd *clientv3.Client, op history.Operation) (history.Outcome, string) {
	switch op.Kind {
	case history.Put:
		if _, err := etcd.Put(ctx, op.Key, op.Value); err != nil {
			return history.Unknown, ""
		}
		return history.Done, ""
	case history.Get:
		r, err := etcd.Get(ctx, op.Key)
		if err != nil {
			return history.Unknown, ""
		}
		if len(r.Kvs) == 0 {
			return history.Done, ""
		}
		return history.Done, string(r.Kvs[0].Value)
	}
	expected := clientv3.Compare(clientv3.Value(op.Key), "=", op.Expected)
	if op.Expected == "" {
		expected = clientv3.Compare(clientv3.CreateRevision(op.Key), "=", 0)
	}
	r, err := etcd.Txn(ctx).If(expected).Then(clientv3.OpPut(op.Key, op.Value)).Else(clientv3.OpGet(op.Key)).Commit()
	switch {
	case err != nil:
		return history.Unknown, ""
	case r.Succeeded:
		return history.Done, ""
	}
	kvs := r.Responses[0].GetResponseRange().Kvs
	if len(kvs) == 0 {
		return history.Failed, ""
	}
	return history.Failed, string(kvs[0].Value)
}

// acknowledged is how many operations were.
func (c *clients) acknowledged() int { return c.history.Count(history.Done, history.Failed) }

// await waits until so many operations have been acknowledged, for as long as that goes on.
func (s *stage) await(c *clients, operations int) {
	s.Helper()
	const patience = time.Minute
	before, end := 0, time.Now().Add(patience)
	for ; ; time.Sleep(50 * time.Millisecond) {
		n := c.acknowledged()
		if err := c.failed.Load(); err != nil {
			s.Fatal(*err)
		}
		switch {
		case n >= operations:
			return
		case n > before:
			before, end = n, time.Now().Add(patience)
		case time.Now().After(end):
			s.Fatalf("after %d operations none was acknowledged for %s", n, patience)
		}
	}
}

// writes are the times at which writes were acknowledged, sorted.
func (c *clients) writes() []time.Time {
	var at []time.Time
	for _, op := range c.history.Operations() { // in the order of their end
		if op.Kind != history.Get && op.Outcome == history.Done {
			at = append(at, c.history.Began.Add(op.Return))
		}
	}
	return at
}

// waits lists the operations of which a part lies in a time without an acknowledged write, a line each.
func (c *clients) waits(began time.Time, pause time.Duration) string {
	var b strings.Builder
	from := began.Sub(c.history.Began)
	for _, op := range c.history.Operations() {
		if op.Return > from && op.Call < from+pause {
			fmt.Fprintf(&b, "%6d to %5d ms: client %d, %s: %s\n", (op.Call - from).Milliseconds(), (op.Return - from).Milliseconds(), op.Client, op.Kind, op.Outcome)
		}
	}
	return b.String()
}

// judgeLimit is for each key.
const judgeLimit = 2 * time.Minute

// judge ends the clients, reads every key once more, and judges what all of them saw. It is judged again with
// one acknowledged write lost, which must be found.
func (s *stage) judge(c *clients, etcd *clientv3.Client) {
	s.Helper()
	c.stop()
	c.done.Wait()
	for k := range keyCount {
		ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
		c.history.Do(history.Operation{Client: clientCount, Key: historyKey(k), Kind: history.Get}, func() (history.Outcome, string) {
			return ask(ctx, etcd, history.Operation{Key: historyKey(k), Kind: history.Get})
		})
		cancel()
	}
	ops := c.history.Operations()
	s.wellMixed(ops)
	began := time.Now()
	if err := history.Check(ops, judgeLimit); err != nil {
		s.Fatal(err)
	}
	took := time.Since(began)
	lost, write, ok := history.LoseOne(ops)
	if !ok {
		s.Fatal("the negative control found no write to lose")
	}
	if err := history.Check(lost, judgeLimit); err == nil {
		s.Fatalf("%s was taken out, and the history was still judged linearizable", write)
	}
	waited := 0
	for _, op := range ops {
		if op.Outcome == history.Unknown && op.Return-op.Call >= operationTimeout {
			waited++
		}
	}
	s.Logf("linearizable: %d operations acknowledged, %d unknown, %d of these without any answer; judged in %.1fs, and found wrong without %s",
		c.acknowledged(), c.history.Count(history.Unknown), waited, took.Seconds(), write)
}

// wellMixed checks that the history could have shown something.
func (s *stage) wellMixed(ops []history.Operation) {
	s.Helper()
	by, keys, kinds, acknowledged := map[int]bool{}, map[string]bool{}, map[string]int{}, 0
	for _, op := range ops {
		if op.Outcome == history.Unknown {
			if op.Client == clientCount {
				s.Errorf("key %s could not be read at the end", op.Key)
			}
			continue
		}
		acknowledged++
		by[op.Client], keys[op.Key] = true, true
		kinds[string(op.Kind)+" "+string(op.Outcome)]++
	}
	if len(by) < clientCount+1 || len(keys) != keyCount || acknowledged < leastOperation {
		s.Errorf("%d clients had %d operations acknowledged on %d keys", len(by)-1, acknowledged, len(keys))
	}
	for _, kind := range []string{"put done", "get done", "cas done", "cas failed"} {
		if kinds[kind] < 100 {
			s.Errorf("the history has %d × %s", kinds[kind], kind)
		}
	}
}
