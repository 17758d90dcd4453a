package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"quorate/test/lab"
)

// recoverByHand is what etcd's guide has somebody do on the host that is left, with its database as it lies there: a cluster of one
// member is made of it, and what was only in the log is lost. recoverBack makes the round undone.
const (
	recoverByHand = `set -e
		systemctl stop ` + memberUnit + `
		mv ` + memberData + `/member ` + memberData + `/.former
		/root/etcdutl snapshot restore ` + memberData + `/.former/snap/db --skip-hash-check --name %[1]s --initial-cluster %[1]s=%[2]s --initial-cluster-token by-hand --initial-advertise-peer-urls %[2]s --data-dir ` + memberData + `/.by-hand --bump-revision 1000000000 --mark-compacted >/dev/null 2>&1
		chown -R --reference=` + memberData + `/.former ` + memberData + `/.by-hand
		mv ` + memberData + `/.by-hand/member ` + memberData + `/member
		systemctl start ` + memberUnit
	recoverByHandBack = `systemctl stop ` + memberUnit + `; rm -rf ` + memberData + `/member ` + memberData + `/.by-hand; mv ` + memberData + `/.former ` + memberData + `/member; systemctl start --no-block ` + memberUnit
	recoverKeep       = `rm -rf /root/kept; cp -a /etc/quorate/lab /root/kept`
	recoverBack       = `systemctl stop ` + memberUnit + `; rm -rf ` + memberData + `/member /etc/quorate/lab; mv ` + memberData + `/.aside/*/member ` + memberData + `/member; rm -rf ` + memberData + `/.aside; cp -a /root/kept /etc/quorate/lab; systemctl start --no-block ` + memberUnit
)

// recoveries measures both sizes, on hosts of their own.
func recoveries(ctx context.Context, b *bench) ([]Result, error) {
	var out []Result
	for _, at := range []struct {
		size int64
		what string
	}{{10 << 20, "10 MB"}, {1 << 30, "1 GB"}} {
		r, err := onHosts(recoverAt(at.size, at.what))(ctx, b)
		if out = append(out, r...); err != nil {
			return out, err
		}
	}
	return out, nil
}

// recoverAt measures, with that many bytes, the time from a lost majority to the next write.
func recoverAt(size int64, what string) func(context.Context, *stage) ([]Result, error) {
	return func(ctx context.Context, s *stage) ([]Result, error) {
		r := &restoring{stage: s}
		if err := r.filled(ctx, size, "\n  connection { connect_timeout = \"3s\" }"); err != nil {
			return nil, err
		}
		defer r.client.Close()
		left := r.lab.Host(0)
		if _, err := timed(r.op.SSH(ctx, left.Addr(), recoverKeep)); err != nil {
			return nil, err
		}
		for _, h := range r.lab.Hosts()[1:] {
			if err := h.PowerCut(ctx); err != nil {
				return nil, err
			}
		}
		recorded := filepath.Join(r.dir, "pki/lab/cluster.json")
		p, err := alternate(s.turns(3), func(int) (float64, error) {
			return r.recovers(ctx, left, recorded)
		}, func(int) (float64, error) { return r.recoversByHand(ctx, left) })
		if err != nil {
			return nil, err
		}
		out := against(p.ours, p.theirs)
		out.Work = fmt.Sprintf("majority lost, %s, one of three hosts is left: from quorate recover to the next write ÷ asking all three by ssh, and a restore of its database by hand, without what is only in the log", what)
		out.Limit = 2
		out.Notes = []string{spread("quorate", p.ours, "s"), spread("by hand", p.theirs, "s")}
		return []Result{out}, nil
	}
}

// recovers, until a write is taken; and puts back what was before.
func (r *restoring) recovers(ctx context.Context, left *lab.Host, recorded string) (float64, error) {
	if err := r.leaderless(ctx); err != nil {
		return 0, err
	}
	kept, err := os.ReadFile(recorded)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if _, err := r.quorate(ctx, r.dir, "recover", "--from", left.Name(), "-y"); err != nil {
		return 0, err
	}
	if err := r.writes(ctx); err != nil {
		return 0, err
	}
	took := time.Since(began).Seconds()
	r.logf("quorate recovers in %.2f s", took)
	if _, err := timed(r.op.SSH(ctx, left.Addr(), recoverBack)); err != nil {
		return 0, err
	}
	return took, os.WriteFile(recorded, kept, 0o644)
}

// recoversByHand is the same by hand.
func (r *restoring) recoversByHand(ctx context.Context, left *lab.Host) (float64, error) {
	if err := r.leaderless(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	_ = r.everywhere(func(h *lab.Host) error { // who is there?
		_, _ = timed(r.op.Command(ctx, "ssh", "-F", r.op.SSHConfig(), "-o", "BatchMode=yes", "-o", "ConnectTimeout=3", "root@"+h.Addr(), "true"))
		return nil
	})
	if _, err := timed(r.op.SSH(ctx, left.Addr(), fmt.Sprintf(recoverByHand, left.Name(), peerURL(left)))); err != nil {
		return 0, err
	}
	if err := r.writes(ctx); err != nil {
		return 0, err
	}
	took := time.Since(began).Seconds()
	r.logf("recovered by hand in %.2f s", took)
	_, err := timed(r.op.SSH(ctx, left.Addr(), recoverByHandBack))
	return took, err
}

// leaderless waits until the member that is left knows of no leader any more.
func (r *restoring) leaderless(ctx context.Context) error {
	return persist(ctx, func() error {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		st, err := r.client.Status(try, "https://"+net.JoinHostPort(r.lab.Host(0).Addr(), "2379"))
		if err == nil && st.Leader != 0 {
			return fmt.Errorf("there is a leader still")
		}
		return nil
	})
}

// writes waits until a write is taken.
func (r *restoring) writes(ctx context.Context) error {
	return persist(ctx, func() error {
		try, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := r.client.Put(try, "/written", "on")
		return err
	})
}
