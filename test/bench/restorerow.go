package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"quorate/test/lab"
)

// restoreSize is what the row's snapshot holds, bytes of values that do not compress.
const restoreSize = 1 << 30

const (
	memberUnit = "quorate-lab"
	memberData = "/var/lib/quorate/lab"
)

// What somebody who knows etcd well does on a host: one command behind the copying of the file, while the
// member serves; and then, once all have it, the exchange. Nothing is compared, nothing can be resumed, and nobody
// is kept from starting in between.
const (
	byHandRestore = `set -e
		rm -rf %[1]s/.by-hand
		/root/etcdutl snapshot restore /var/backups/by-hand.db --name %[2]s --initial-cluster %[3]s --initial-cluster-token by-hand --initial-advertise-peer-urls %[4]s --data-dir %[1]s/.by-hand --bump-revision 1000000000 --mark-compacted >/dev/null 2>&1
		chown -R --reference=%[1]s/member %[1]s/.by-hand`
	byHandSwap = `mv ` + memberData + `/member ` + memberData + `/.former && mv ` + memberData + `/.by-hand/member ` + memberData + `/member`
	// byHandBack makes the round undone.
	byHandBack = `rm -rf ` + memberData + `/member ` + memberData + `/.by-hand /var/backups/by-hand.db && mv ` + memberData + `/.former ` + memberData + `/member`
)

// restoring is the row's cluster, its snapshot, and its client.
type restoring struct {
	*stage
	dir, file string
	client    *clientv3.Client

	outage pair // ours: while quorate restores; theirs: while all members are stopped and started by hand
	manual []float64
}

// restore gives three members a snapshot of a gigabyte, by quorate and by hand in turn; somebody writes meanwhile. The members
// that are stopped and started by hand hold the same gigabyte.
func restore(ctx context.Context, s *stage) ([]Result, error) {
	r := &restoring{stage: s}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	defer r.client.Close()
	var here, onHost atomic.Int64
	unwatch := []func(){watchMemory("quorate", "restore", &here), watchMemory("kvserver", "restore", &onHost)}
	resident, err := s.peak(ctx, r.dir, "restore", r.file, "-y")
	for _, stop := range unwatch {
		stop()
	}
	if err == nil {
		err = r.sweep(ctx)
	}
	if err != nil {
		return nil, err
	}
	p, err := alternate(s.turns(3), func(int) (float64, error) { return r.ours(ctx) }, func(int) (float64, error) { return r.byHand(ctx) })
	if err != nil {
		return nil, err
	}
	all := against(p.ours, p.theirs)
	all.Work, all.Limit = "restore of 1 GB, 3 hosts: quorate restore, verified and compared ÷ scp to the three at once, etcdutl snapshot restore, stop, exchange and start by hand", 1.5
	all.Notes = []string{spread("quorate", p.ours, "s"), spread("by hand", p.theirs, "s")}
	out := against(r.outage.ours, r.outage.theirs)
	out.Work, out.Limit = "the same: nobody writes meanwhile, from the last acknowledgement before to the first after ÷ stopping and starting all three by hand", 2
	out.Notes = []string{spread("quorate", r.outage.ours, "s"), spread("stop and start", r.outage.theirs, "s")}
	swap := against(r.outage.ours, r.manual)
	swap.Work, swap.Limit = "the same ÷ nobody writes while it is done by hand, the exchange with it", 2
	swap.Notes = []string{spread("by hand", r.manual, "s")}
	return []Result{
		all, out, swap,
		{Work: "the same: peak memory of quorate, without pages of files", Limit: 120, Unit: "MB", Measured: float64(here.Load()) / 1e6, Rounds: 1,
			Notes: []string{fmt.Sprintf("%.0f MB resident with them: the snapshot is mapped while it is verified", resident)}},
		{Work: "the same: peak memory of kvserver restore on a host, without pages of files", Limit: 120, Unit: "MB", Measured: float64(onHost.Load()) / 1e6, Rounds: 1},
	}, nil
}

// prepare makes the cluster, fills it, and takes the snapshot.
func (r *restoring) prepare(ctx context.Context) error {
	if err := r.filled(ctx, restoreSize, ""); err != nil {
		return err
	}
	r.file = filepath.Join(r.dir, "full.db")
	_, err := r.quorate(ctx, r.dir, "ctl", "--", "snapshot", "save", r.file)
	return err
}

// filled makes the cluster, of whose spec more is a part, and fills it; etcdutl is on each host.
func (r *restoring) filled(ctx context.Context, size int64, more string) (err error) {
	if r.dir, err = r.spec("  client \"app\" {}" + more); err != nil {
		return err
	}
	if _, err := r.quorate(ctx, r.dir, "apply", "-y"); err != nil {
		return err
	}
	pki := filepath.Join(r.dir, "pki/lab/clients")
	// Who writes calls again at once: how long a client waits before it does is no part of an outage.
	r.client, err = r.etcdWith(filepath.Join(pki, "app.pem"), filepath.Join(pki, "app-key.pem"), filepath.Join(pki, "ca.pem"),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1, MaxDelay: 10 * time.Millisecond}, MinConnectTimeout: time.Second}))
	if err != nil {
		return err
	}
	if err := fill(ctx, r.client, size); err != nil {
		return err
	}
	return r.everywhere(func(h *lab.Host) error {
		_, err := timed(r.op.Command(ctx, "scp", "-q", "-F", r.op.SSHConfig(), "-o", "BatchMode=yes", r.bin("etcdutl"), "root@"+h.Addr()+":/root/etcdutl"))
		return err
	})
}

// ours restores, and then stops and starts all.
func (r *restoring) ours(ctx context.Context) (took float64, err error) {
	gap, err := r.written(ctx, func() error {
		took, err = r.quorate(ctx, r.dir, "restore", r.file, "-y")
		return err
	})
	if err != nil {
		return 0, err
	}
	r.logf("quorate restores in %.2f s, without writes for %.2f s", took, gap)
	r.outage.ours = append(r.outage.ours, gap)
	if err := r.sweep(ctx); err != nil {
		return 0, err
	}
	gap, err = r.written(ctx, func() error { return r.restarted(ctx, "true") })
	r.logf("stopped and started by hand, without writes for %.2f s", gap)
	r.outage.theirs = append(r.outage.theirs, gap)
	return took, err
}

// byHand copies, restores and exchanges, and brings back what was before.
func (r *restoring) byHand(ctx context.Context) (took float64, err error) {
	var all []string
	for _, h := range r.lab.Hosts() {
		all = append(all, h.Name()+"="+peerURL(h))
	}
	gap, err := r.written(ctx, func() error {
		began := time.Now()
		if err := r.everywhere(func(h *lab.Host) error {
			if _, err := timed(r.op.Command(ctx, "scp", "-q", "-F", r.op.SSHConfig(), "-o", "BatchMode=yes", r.file, "root@"+h.Addr()+":/var/backups/by-hand.db")); err != nil {
				return err
			}
			_, err := timed(r.op.SSH(ctx, h.Addr(), fmt.Sprintf(byHandRestore, memberData, h.Name(), strings.Join(all, ","), peerURL(h))))
			return err
		}); err != nil {
			return err
		}
		err := r.restarted(ctx, byHandSwap)
		took = time.Since(began).Seconds()
		return err
	})
	if err != nil {
		return 0, err
	}
	r.logf("restored by hand in %.2f s, without writes for %.2f s", took, gap)
	r.manual = append(r.manual, gap)
	if err := r.restarted(ctx, byHandBack); err != nil {
		return 0, err
	}
	_, err = r.written(ctx, func() error { return nil }) // it serves again
	return took, err
}

// restarted stops all members at once, has something done on each host, and starts them at once.
func (r *restoring) restarted(ctx context.Context, between string) error {
	for _, script := range []string{"systemctl stop " + memberUnit, between + " && systemctl start " + memberUnit} {
		if err := r.everywhere(func(h *lab.Host) error {
			_, err := timed(r.op.SSH(ctx, h.Addr(), script))
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes what a restore has put aside: each round would keep three gigabytes more.
func (r *restoring) sweep(ctx context.Context) error {
	return r.everywhere(func(h *lab.Host) error {
		_, err := h.Shell(ctx, "rm -rf "+memberData+"/.aside")
		return err
	})
}

func (r *restoring) everywhere(do func(h *lab.Host) error) error {
	var g errgroup.Group
	for _, h := range r.lab.Hosts() {
		g.Go(func() error { return do(h) })
	}
	return g.Wait()
}

// written does something while somebody writes all the time, and returns the longest time without an acknowledgement, in
// seconds. Writes are there before it begins and after it has ended.
func (r *restoring) written(ctx context.Context, do func() error) (gap float64, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var acknowledged atomic.Int64
	longest := make(chan time.Duration, 1)
	go func() {
		var most time.Duration
		var last time.Time
		for ctx.Err() == nil {
			one, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			_, err := r.client.Put(one, "/written", "on")
			cancel()
			if err != nil {
				select {
				case <-ctx.Done():
				case <-time.After(5 * time.Millisecond):
				}
				continue
			}
			now := time.Now()
			if !last.IsZero() {
				most = max(most, now.Sub(last))
			}
			last = now
			acknowledged.Add(1)
		}
		longest <- most
	}()
	wait := func() error {
		acknowledged.Store(0)
		return persist(ctx, func() error {
			if acknowledged.Load() < 2 {
				return fmt.Errorf("nobody's writes are acknowledged")
			}
			return nil
		})
	}
	if err = wait(); err == nil {
		if err = do(); err == nil {
			err = wait()
		}
	}
	stop()
	return (<-longest).Seconds(), err
}
