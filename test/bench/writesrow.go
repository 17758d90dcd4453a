package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"quorate/kvserver/servertest"
	"quorate/pki/authority"
	"quorate/templates"
)

// The load: so many clients at once, each putting its keys one after another.
const (
	loadClients = 64
	loadPuts    = 125 // of each client
	warmUpPuts  = 8
	valueBytes  = 256
)

// writes puts the same load on three members of kvserver and on three of
// upstream etcd of the same version, in turn: new data each time, the same
// configuration files, TLS on both ports, this machine's loopback and disk.
func writes(ctx context.Context, b *bench) ([]Result, error) {
	if err := b.build(); err != nil {
		return nil, err
	}
	rate := func(binary string, args ...string) func(int) (float64, error) {
		return func(round int) (float64, error) {
			v, err := b.rate(ctx, fmt.Sprintf("%s-%d", binary, round), b.bin(binary), args...)
			b.logf("%-8s %.0f writes/s", binary, v)
			return v, err
		}
	}
	kv, etcd := rate("kvserver", "serve"), rate("etcd")
	if _, err := alternate(1, kv, etcd); err != nil {
		return nil, err
	}
	p, err := alternate(b.turns(10), kv, etcd)
	if err != nil {
		return nil, err
	}
	r := against(p.ours, p.theirs)
	r.Work, r.Limit, r.AtLeast = "writes, 3 members, TLS, loopback: kvserver ÷ upstream etcd of the same version", 1, true
	r.Slack = 2 * standardError(ratios(p.ours, p.theirs))
	said, err := exec.CommandContext(ctx, b.bin("etcd"), "--version").Output()
	if err != nil {
		return nil, err
	}
	r.Notes = []string{
		spread("kvserver", p.ours, "writes/s"), spread("etcd", p.theirs, "writes/s"),
		fmt.Sprintf("%s; %d clients, %d puts of %d bytes each round, everything on one machine; ± is twice the standard error of the rounds' ratios, and parity within it meets the budget",
			strings.SplitN(string(said), "\n", 2)[0], loadClients, loadClients*loadPuts, valueBytes),
	}
	return []Result{r}, nil
}

// rate starts three members, loads them, and returns their writes a second. Nothing remains.
func (b *bench) rate(ctx context.Context, name, binary string, args ...string) (rate float64, err error) {
	c, err := newMembers(filepath.Join(b.dir, name), 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.stop(), os.RemoveAll(c.dir)) }()
	if err := c.start(binary, args...); err != nil {
		return 0, err
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: c.endpoints, TLS: c.tls, DialTimeout: 30 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return 0, err
	}
	defer client.Close()
	if err := c.serving(ctx, client); err != nil {
		return 0, err
	}
	if _, err := put(ctx, client, warmUpPuts); err != nil {
		return 0, err
	}
	return put(ctx, client, loadPuts)
}

// put puts the load, each client n times, and returns the writes a second.
func put(ctx context.Context, client *clientv3.Client, n int) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	value := strings.Repeat("x", valueBytes)
	g, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for i := range loadClients {
		g.Go(func() error {
			for j := range n {
				if _, err := client.Put(ctx, fmt.Sprintf("/bench/%d/%d", i, j), value); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	return float64(loadClients*n) / time.Since(began).Seconds(), err
}

// members are three of them with their files; processes while they run.
type members struct {
	dir       string
	configs   []string
	endpoints []string
	tls       *tls.Config
	running   []*exec.Cmd
}

// newMembers makes the files of a cluster as quorate would, with the settings
// for the start in the same file, which both servers read. snapshotCount is
// etcd's own if 0.
func newMembers(dir string, snapshotCount int64) (*members, error) {
	ca, _, err := authority.Store{Dir: filepath.Join(dir, "pki"), Name: "bench", KeyAlgorithm: "ecdsa-p256", Lifetime: 24 * time.Hour}.Open(time.Now())
	if err != nil {
		return nil, err
	}
	cert, roots, err := ca.Operator(context.Background(), time.Now(), time.Hour)
	if err != nil {
		return nil, err
	}
	c := &members{dir: dir, tls: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS12}}
	ports, err := freePorts(6)
	if err != nil {
		return nil, err
	}
	boot := templates.BootstrapParams{Cluster: "bench", Token: "bench"}
	for i := range 3 {
		boot.Peers = append(boot.Peers, templates.InitialPeer{Name: fmt.Sprintf("m%d", i), URLs: []string{fmt.Sprintf("https://127.0.0.1:%d", ports[2*i+1])}})
	}
	for i, peer := range boot.Peers {
		at := func(name string) string { return filepath.Join(dir, peer.Name, name) }
		if err := os.MkdirAll(at("data"), 0o700); err != nil {
			return nil, err
		}
		if err := servertest.IssueMember(context.Background(), ca, at(""), peer.Name, "127.0.0.1"); err != nil {
			return nil, err
		}
		running, err := templates.Config(templates.ConfigParams{
			Cluster: "bench", Version: version.Version, Name: peer.Name, Address: "127.0.0.1", ClientPort: ports[2*i], PeerPort: ports[2*i+1], DataDir: at("data"),
			ServerCert: at("server.pem"), ServerKey: at("server-key.pem"), PeerCert: at("peer.pem"), PeerKey: at("peer-key.pem"), TrustedCA: at("ca.pem"),
			HeartbeatInterval: 100, ElectionTimeout: 1000, LogLevel: "warn",
			QuotaBackendBytes: 8 << 30, SnapshotCount: snapshotCount,
		})
		if err != nil {
			return nil, err
		}
		boot.Name = peer.Name
		start, err := templates.Bootstrap(boot)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(at("etcd.yaml"), append(running, start...), 0o600); err != nil {
			return nil, err
		}
		c.configs = append(c.configs, at("etcd.yaml"))
		c.endpoints = append(c.endpoints, fmt.Sprintf("https://127.0.0.1:%d", ports[2*i]))
	}
	return c, nil
}

// freePorts of the loopback, which nobody has at the moment.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func (c *members) start(binary string, args ...string) error {
	for _, config := range c.configs {
		cmd, err := launch(config, binary, args...)
		if err != nil {
			return err
		}
		c.running = append(c.running, cmd)
	}
	return nil
}

// launch starts a member. Its log is beside its configuration.
func launch(config, binary string, args ...string) (*exec.Cmd, error) {
	log, err := os.OpenFile(logOf(config), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(binary, append(args, "--config-file", config)...)
	cmd.Stdout, cmd.Stderr = log, log
	return cmd, cmd.Start()
}

func logOf(config string) string { return filepath.Join(filepath.Dir(config), "log") }

// serving waits until a write is answered.
func (c *members) serving(ctx context.Context, client *clientv3.Client) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		one, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := client.Put(one, "/ready", "")
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			text, _ := os.ReadFile(logOf(c.configs[0]))
			return fmt.Errorf("the members do not serve: %w\n%s", err, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// stop ends the members together and waits for each.
func (c *members) stop() error {
	for _, cmd := range c.running {
		_ = cmd.Process.Signal(syscall.SIGKILL) // its data goes with it
	}
	for _, cmd := range c.running {
		_ = cmd.Wait()
	}
	return nil
}
