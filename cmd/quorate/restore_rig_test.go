package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"quorate/kvserver/servertest"
)

// clusterHere is a cluster of members on this machine, in a folder of its own, and its operator.
type clusterHere struct {
	*operator
	name  string
	ports []int // of the clients, one a member
}

// newClusterHere writes the spec of one, with more blocks in it; nothing runs yet.
func newClusterHere(t *testing.T, name string, size int, more string, env ...string) *clusterHere {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() { killLeft(t, dir) })
	ports, err := freePorts(size)
	if err != nil {
		t.Fatal(err)
	}
	c := &clusterHere{operator: newOperator(t, dir, env...), name: name, ports: ports}
	c.spec(more)
	return c
}

// spec writes it anew with other blocks.
func (c *clusterHere) spec(more string) {
	c.t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "cluster %q {\nconnection { type = \"local\" }\nclient \"app\" {}\n%s\n", c.name, more)
	for i, p := range c.ports {
		fmt.Fprintf(&text, "member \"etcd%d\" {\n address = \"127.0.0.1\"\n client_port = %d\n peer_port = %d\n}\n", i+1, p, p+peerOffset)
	}
	c.write("main.hcl", []byte(text.String()+"}\n"))
}

// write puts a file into the operator's folder, and gives its path.
func (c *clusterHere) write(name string, content []byte) string {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// put writes a key, and value reads one.
func (c *clusterHere) put(key, value string) {
	c.t.Helper()
	c.run(exitDone, "ctl", "--", "put", key, value)
}

func (c *clusterHere) value(key string) string {
	c.t.Helper()
	return strings.TrimSpace(c.run(exitDone, "ctl", "--", "get", key, "--print-value-only"))
}

// snapshot is what etcdctl saves of it.
func (c *clusterHere) snapshot() []byte {
	c.t.Helper()
	c.run(exitDone, "ctl", "snapshot", "save", "saved.db")
	path := filepath.Join(c.dir, "saved.db")
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

// settled sees that every member serves and nothing is left to do.
func (c *clusterHere) settled() {
	c.t.Helper()
	c.run(exitDone, "plan", "--detailed-exitcode")
	c.run(exitDone, "status", "--hash")
}

// client is a consumer of it.
func (c *clusterHere) client() *clientv3.Client {
	c.t.Helper()
	dir := filepath.Join(c.dir, "pki", c.name, "clients")
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "app.pem"), filepath.Join(dir, "app-key.pem"))
	if err != nil {
		c.t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		c.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	var at []string
	for _, p := range c.ports {
		at = append(at, fmt.Sprintf("https://127.0.0.1:%d", p))
	}
	cl, err := clientv3.New(clientv3.Config{Endpoints: at, TLS: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots}, DialTimeout: servertest.Wait, Logger: zap.NewNop()})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { cl.Close() })
	return cl
}

// raft is who leads, in which term, as each member says; and the cluster's id.
func (c *clusterHere) raft() string {
	c.t.Helper()
	text := c.run(exitDone, "ctl", "--", "endpoint", "status", "-w", "json")
	var all []struct {
		Endpoint string
		Status   struct {
			Header struct {
				ClusterID uint64 `json:"cluster_id"`
			}
			Leader, RaftTerm uint64
		}
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil || len(all) != len(c.ports) {
		c.t.Fatalf("%v\n%s", err, text)
	}
	var out []string
	for _, m := range all {
		if m.Status.Leader == 0 || m.Status.RaftTerm == 0 || m.Status.Header.ClusterID == 0 {
			c.t.Fatalf("it does not say who leads: %s", text)
		}
		out = append(out, fmt.Sprintf("%s: leader %x, term %d, cluster %x", m.Endpoint, m.Status.Leader, m.Status.RaftTerm, m.Status.Header.ClusterID))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}
