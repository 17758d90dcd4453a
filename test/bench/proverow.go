package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"quorate/kvserver"
)

// prove proves a snapshot of a gigabyte, and restores it with etcd's own tool in turn; then it is verified once. The members that it
// came from do not run any more.
func prove(ctx context.Context, b *bench) (results []Result, err error) {
	if err := b.build(); err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, "prove")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "full.db")
	if err := b.snapshotOf(ctx, restoreSize, file); err != nil {
		return nil, err
	}
	var last kvserver.Proved
	var most, inVerify atomic.Int64
	stop := watchMemory("kvserver", "prove", &most)
	p, err := alternate(b.turns(5), func(int) (float64, error) {
		took, proved, err := b.proved(ctx, file, filepath.Join(dir, "work"))
		last = proved
		b.logf("proved in %.2f s", took)
		return took, err
	}, func(int) (float64, error) {
		out := filepath.Join(dir, "restored")
		defer os.RemoveAll(out)
		return timed(exec.CommandContext(ctx, b.bin("etcdutl"), "snapshot", "restore", file, "--data-dir", out))
	})
	stop()
	if err != nil {
		return nil, err
	}
	stop = watchMemory("kvserver", "verify", &inVerify)
	took, err := timed(exec.CommandContext(ctx, b.bin("kvserver"), "verify", file))
	stop()
	if err != nil {
		return nil, err
	}
	r := against(p.ours, p.theirs)
	r.Work, r.Limit = "proving a snapshot of 1 GB: kvserver prove, which checks and restores it, starts a server on it and reads ÷ etcdutl snapshot restore", 2
	r.Notes = []string{
		spread("kvserver prove", p.ours, "s"), spread("etcdutl", p.theirs, "s"),
		fmt.Sprintf("of the last: %.2f s until it was restored, %.2f s more until it was read; %d MB resident at the most, pages of its files with them; kvserver verify took %.2f s", last.RestoreSeconds, last.ServeSeconds, last.PeakMemory/1e6, took),
	}
	return []Result{
		r,
		{Work: "the same: peak memory of kvserver prove, without pages of files", Limit: 120, Unit: "MB", Measured: float64(most.Load()) / 1e6, Rounds: len(p.ours)},
		{Work: "peak memory of kvserver verify of it, without pages of files", Limit: 120, Unit: "MB", Measured: float64(inVerify.Load()) / 1e6, Rounds: 1},
	}, nil
}

// proved runs kvserver prove once.
func (b *bench) proved(ctx context.Context, file, work string) (took float64, p kvserver.Proved, err error) {
	began := time.Now()
	cmd := exec.CommandContext(ctx, b.bin("kvserver"), "prove", "--snapshot", file, "--work", work)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	took = time.Since(began).Seconds()
	if err != nil {
		return took, p, failed(cmd, err, said.Bytes())
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var report kvserver.RestoreReport
	if err := json.Unmarshal(lines[len(lines)-1], &report); err != nil {
		return took, p, err
	}
	if report.Proved == nil || !report.Proved.Agreed {
		return took, p, fmt.Errorf("kvserver prove says %s", lines[len(lines)-1])
	}
	return took, *report.Proved, nil
}

// snapshotOf fills three members that are made for it, and leaves a snapshot of one.
func (b *bench) snapshotOf(ctx context.Context, size int64, file string) (err error) {
	c, err := newMembers(filepath.Join(b.dir, "filled"), 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop(), os.RemoveAll(c.dir)) }()
	if err := c.start(b.bin("kvserver"), "serve"); err != nil {
		return err
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: c.endpoints, TLS: c.tls, DialTimeout: 30 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer client.Close()
	if err := c.serving(ctx, client); err != nil {
		return err
	}
	if err := fill(ctx, client, size); err != nil {
		return err
	}
	from, err := client.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Sync(), to.Close())
}
