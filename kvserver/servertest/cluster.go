// Package servertest runs real members for tests: TLS clusters of kvserver
// processes on this machine's loopback, with everything that a host would have
// been given. For tests only.
package servertest

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/version"

	"quorate/kvserver/admin"
	"quorate/kvserver/node"
	"quorate/pki"
	"quorate/pki/authority"
	"quorate/templates"
)

// serving marks a process that a test started to serve.
const serving = "QUORATE_SERVERTEST_MAIN"

// Main is for TestMain: it runs main in the processes that tests started, and the tests elsewhere.
func Main(m *testing.M, main func()) {
	if os.Getenv(serving) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Cluster is a cluster that has its files and may be started.
type Cluster struct {
	Members []*Member
	CA      *authority.Authority
	Dir     string
	Token   string
	t       testing.TB
}

// Wait is how long anything may take here before a test gives up; a bound for
// a machine under load, never a measure.
const Wait = 60 * time.Second

// New makes the files of a cluster with that many members (m1, m2, …), none
// started. What runs when the test ends is killed.
func New(t testing.TB, size int) *Cluster {
	t.Helper()
	c := &Cluster{Dir: t.TempDir(), Token: fmt.Sprintf("t-%08x", rand.Uint32()), t: t}
	var err error
	c.CA, _, err = authority.Store{Dir: filepath.Join(c.Dir, "pki"), Name: "test CA", KeyAlgorithm: "ecdsa-p256", Lifetime: 24 * time.Hour}.Open(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for i := range size {
		c.Members = append(c.Members, c.member(fmt.Sprintf("m%d", i+1)))
	}
	for _, m := range c.Members {
		c.WriteConfig(m, nil)
		c.WriteBootstrap(m, false, c.Members...)
	}
	return c
}

// member gives a member its place, its keys and certificates.
func (c *Cluster) member(name string) *Member {
	c.t.Helper()
	dir := filepath.Join(c.Dir, name)
	m := &Member{Name: name, Dir: dir, cluster: c,
		ConfigFile: filepath.Join(dir, "etcd.yaml"), BootstrapFile: filepath.Join(dir, "bootstrap.yaml"), UnitFile: filepath.Join(dir, "unit"),
		MarkFile: filepath.Join(dir, "formed.json"),
		DataDir:  filepath.Join(dir, "data")}
	m.Address, m.ClientPort, m.PeerPort = c.place()
	c.write(m.UnitFile, []byte("[Service]\n"))
	if err := IssueMember(c.t.Context(), c.CA, dir, name, m.Address); err != nil {
		c.t.Fatal(err)
	}
	return m
}

// IssueMember puts into dir what the member of that name and address shows its clients and its
// peers: server.pem, peer.pem, their keys, and ca.pem.
func IssueMember(ctx context.Context, ca *authority.Authority, dir, name, address string) error {
	for p, commonName := range map[pki.Profile]string{pki.Server: name, pki.Peer: node.PeerName} {
		r := pki.Request{Profile: p, CommonName: commonName, SANs: []string{address, "127.0.0.1", "localhost"}, Lifetime: time.Hour}
		// What a client is given has the same form.
		if _, err := ca.IssueClient(ctx, dir, string(p), "ecdsa-p256", r, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// Add makes the files of one more member, which is to join the others.
func (c *Cluster) Add(name string) *Member {
	c.t.Helper()
	m := c.member(name)
	c.Members = append(c.Members, m)
	c.WriteConfig(m, nil)
	c.WriteBootstrap(m, true, c.Members...)
	return m
}

// place finds an address and two ports that nobody has. On Linux all of
// 127.0.0.0/8 is ours, and a random address of it keeps parallel tests and
// outgoing connections (which come from 127.0.0.1) out of each other's way.
func (c *Cluster) place() (address string, client, peer int) {
	c.t.Helper()
	address = "127.0.0.1"
	if runtime.GOOS == "linux" {
		address = fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	}
	var ports []int
	for range 2 {
		l, err := net.Listen("tcp", address+":0")
		if err != nil {
			c.t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return address, ports[0], ports[1]
}

// ConfigParams are what a member is configured with.
func (c *Cluster) ConfigParams(m *Member) templates.ConfigParams {
	at := func(name string) string { return filepath.Join(m.Dir, name) }
	return templates.ConfigParams{
		Cluster: "test", Name: m.Name, Address: m.Address, ClientPort: m.ClientPort, PeerPort: m.PeerPort, DataDir: m.DataDir,
		ServerCert: at("server.pem"), ServerKey: at("server-key.pem"), PeerCert: at("peer.pem"), PeerKey: at("peer-key.pem"), TrustedCA: at("ca.pem"),
		PeerName: node.PeerName, Version: version.Version,
		HeartbeatInterval: 100, ElectionTimeout: 1000,
	}
}

// WriteConfig writes a member's configuration, changed as change says.
func (c *Cluster) WriteConfig(m *Member, change func(*templates.ConfigParams)) {
	c.t.Helper()
	p := c.ConfigParams(m)
	if change != nil {
		change(&p)
	}
	text, err := templates.Config(p)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(m.ConfigFile, text)
}

// WriteBootstrap writes a member's bootstrap file.
func (c *Cluster) WriteBootstrap(m *Member, existing bool, members ...*Member) {
	c.t.Helper()
	p := templates.BootstrapParams{Cluster: "test", Name: m.Name, Token: c.Token, Existing: existing}
	for _, o := range members {
		p.Peers = append(p.Peers, templates.InitialPeer{Name: o.Name, URLs: []string{node.URL("https", o.Address, o.PeerPort)}})
	}
	text, err := templates.Bootstrap(p)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(m.BootstrapFile, text)
}

func (c *Cluster) write(path string, text []byte) {
	c.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// Start starts all members and waits until all have said that they are ready.
func (c *Cluster) Start() {
	c.t.Helper()
	for _, m := range c.Members {
		m.Start()
	}
	for _, m := range c.Members {
		m.WaitReady()
	}
}

// TLS is an operator's configuration for this cluster.
func (c *Cluster) TLS() *tls.Config {
	c.t.Helper()
	cert, roots, err := c.CA.Operator(c.t.Context(), time.Now(), time.Hour)
	if err != nil {
		c.t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// ClientTLS is what a client of that name shows.
func (c *Cluster) ClientTLS(name string) *tls.Config {
	c.t.Helper()
	dir := filepath.Join(c.Dir, "clients")
	r := pki.Request{Profile: pki.Client, CommonName: name, Lifetime: time.Hour}
	if _, err := c.CA.IssueClient(c.t.Context(), dir, name, "ecdsa-p256", r, time.Now()); err != nil {
		c.t.Fatal(err)
	}
	f := authority.ClientFiles(dir, name)
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		c.t.Fatal(err)
	}
	t := c.TLS()
	t.Certificates = []tls.Certificate{pair}
	return t
}

// Admin is a client of all members, which dials directly.
func (c *Cluster) Admin() *admin.Client {
	c.t.Helper()
	a := admin.New(admin.Config{Members: c.Endpoints(), TLS: c.TLS()})
	c.t.Cleanup(func() { a.Close() })
	return a
}

// Endpoints of all members.
func (c *Cluster) Endpoints() []admin.Endpoint {
	var out []admin.Endpoint
	for _, m := range c.Members {
		out = append(out, m.Endpoint())
	}
	return out
}

// Until repeats f until it is satisfied; the last error is the test's.
func Until(t testing.TB, what string, f func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Wait)
	defer cancel()
	for {
		err := f(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
