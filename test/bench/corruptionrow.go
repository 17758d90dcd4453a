package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// corruption measures what the corruption checks, which are on by default, cost
// a member that is started again: until it answers a linearizable read, with
// InitialCorruptCheck beside without, its two peers serving.
func corruption(size int64) func(context.Context, *bench) ([]Result, error) {
	return func(ctx context.Context, b *bench) (results []Result, err error) {
		if err := b.build(); err != nil {
			return nil, err
		}
		// Snapshots often enough that a start is not the replay of a gigabyte of WAL.
		c, err := newMembers(filepath.Join(b.dir, "corruption"), 50)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, c.stop(), os.RemoveAll(c.dir)) }()
		checked := c.configs[2]
		unchecked, err := withoutCheck(checked)
		if err != nil {
			return nil, err
		}
		if err := c.start(b.bin("kvserver"), "serve"); err != nil {
			return nil, err
		}
		client, err := clientv3.New(clientv3.Config{Endpoints: c.endpoints[:2], TLS: c.tls, DialTimeout: 30 * time.Second, Logger: zap.NewNop()})
		if err != nil {
			return nil, err
		}
		defer client.Close()
		if err := c.serving(ctx, client); err != nil {
			return nil, err
		}
		if err := fill(ctx, client, size); err != nil {
			return nil, err
		}
		start := func(config string) func(int) (float64, error) {
			return func(int) (float64, error) {
				took, err := c.restart(ctx, 2, config, b.bin("kvserver"), "serve")
				b.logf("%s: %.2f s", filepath.Base(config), took)
				return took, err
			}
		}
		if _, err := alternate(1, start(checked), start(unchecked)); err != nil {
			return nil, err
		}
		p, err := alternate(b.turns(5), start(checked), start(unchecked))
		if err != nil {
			return nil, err
		}
		perGB := (median(p.ours) - median(p.theirs)) / (float64(size) / (1 << 30))
		return []Result{{
			Work:  fmt.Sprintf("start of a member with %d GiB beside two peers that serve: what the corruption check adds, for each GiB", size>>30),
			Limit: corruptionBudget, Unit: "s", Measured: perGB, Rounds: len(p.ours), Low: perGB, High: perGB,
			Notes: []string{spread("with InitialCorruptCheck", p.ours, "s"), spread("without", p.theirs, "s")},
		}}, nil
	}
}

// corruptionBudget is what a rolling restart can bear: an 8 GiB member, the
// largest that etcd advises, is to be back within the two minutes that a start may take.
const corruptionBudget = 10

// withoutCheck writes a configuration beside one: the same with the check off.
func withoutCheck(config string) (unchecked string, err error) {
	text, err := os.ReadFile(config)
	if err != nil {
		return "", err
	}
	const on, off = "InitialCorruptCheck=true", "InitialCorruptCheck=false"
	if !strings.Contains(string(text), on) {
		return "", fmt.Errorf("cannot compare: %s does not have the corruption check on", config)
	}
	unchecked = filepath.Join(filepath.Dir(config), "unchecked.yaml")
	return unchecked, os.WriteFile(unchecked, []byte(strings.Replace(string(text), on, off, 1)), 0o600)
}

// fill puts so many bytes into the database, in values of a megabyte that are all different and do not compress.
func fill(ctx context.Context, client *clientv3.Client, size int64) error {
	random, value := rand.NewChaCha8([32]byte{}), make([]byte, 1<<20)
	for i := range size / int64(len(value)) {
		_, _ = random.Read(value)
		one, cancel := context.WithTimeout(ctx, time.Minute)
		_, err := client.Put(one, fmt.Sprintf("/fill/%d", i), string(value))
		cancel()
		if err != nil {
			return fmt.Errorf("cannot fill the database: %w", err)
		}
	}
	return nil
}

// restart ends a member cleanly, starts it with another configuration and
// returns the seconds from there until it answers a linearizable read itself.
func (c *members) restart(ctx context.Context, i int, config, binary string, args ...string) (float64, error) {
	if err := c.running[i].Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	_ = c.running[i].Wait() // how it ended shows in what follows
	began := time.Now()
	cmd, err := launch(config, binary, args...)
	if err != nil {
		return 0, err
	}
	c.running[i] = cmd
	client, err := clientv3.New(clientv3.Config{Endpoints: c.endpoints[i : i+1], TLS: c.tls, Logger: zap.NewNop()})
	if err != nil {
		return 0, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		one, cancel := context.WithTimeout(ctx, time.Second)
		_, err := client.Get(one, "/ready")
		cancel()
		if err == nil {
			return time.Since(began).Seconds(), nil
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("the member does not serve again: %w", err)
		}
	}
}
