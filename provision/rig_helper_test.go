package provision_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"quorate/kvserver"
	"quorate/pki"
	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// keys is kvserver keys: makes what is missing, answers a request each.
func keys(_ context.Context, m *hosttest.Machine, c host.Command) (host.Result, error) {
	if len(c.Argv) > 2 && c.Argv[1] == "serve" && c.Argv[2] == "--check" {
		if strings.Contains(string(c.Stdin), "max-txn-ops: 666") {
			return host.Result{}, hosttest.Exit(1, "kvserver: etcd cannot be started with this configuration: max-txn-ops")
		}
		return host.Result{}, nil
	}
	if len(c.Argv) > 1 && c.Argv[1] == "inspect" {
		out, err := inspects(m, c.Argv)
		if err == nil && c.Line != nil {
			c.Line(string(out.Stdout))
		}
		return out, err
	}
	if len(c.Argv) > 1 && c.Argv[1] == "replay" {
		return replays(m, c)
	}
	if len(c.Argv) == 2 && c.Argv[1] == "snapshot" {
		return takes(m, c.Stdin)
	}
	if len(c.Argv) > 1 && c.Argv[1] == "backups" {
		return listsBackups(m, c.Argv)
	}
	if len(c.Argv) == 2 && c.Argv[1] == "probe" {
		return probes(m, c.Stdin)
	}
	if len(c.Argv) == 2 && c.Argv[1] == "handshakes" {
		return shakes(m, c.Stdin)
	}
	if len(c.Argv) == 2 && c.Argv[1] == "certificates" {
		return installs(m, c.Stdin)
	}
	if len(c.Argv) != 2 || c.Argv[1] != "keys" {
		return host.Result{}, hosttest.Exit(2, "usage")
	}
	var ask []kvserver.KeyRequest
	if err := json.Unmarshal(c.Stdin, &ask); err != nil {
		return host.Result{}, hosttest.Exit(1, err.Error())
	}
	var out []kvserver.KeyAnswer
	for _, k := range ask {
		a := kvserver.KeyAnswer{Path: k.Path}
		key, err := m.ReadFile(k.Path)
		if err != nil {
			a.Created, a.New = true, true
			key = []byte("PRIVATE KEY " + m.Name() + k.Path)
			if err := m.Place(host.File{Path: k.Path + ".new", Mode: 0o600, Owner: k.Owner, Content: key}); err != nil {
				return host.Result{}, hosttest.Exit(1, err.Error())
			}
		}
		a.CSR = "csr for " + string(key)
		out = append(out, a)
	}
	b, err := json.Marshal(out)
	return host.Result{Stdout: b}, err
}

// inspects is kvserver inspect, as far as a disk of the model says: which member it is, and how far its log goes.
func inspects(m *hosttest.Machine, argv []string) (host.Result, error) {
	dir := option(argv, "--data-dir")
	i := kvserver.Inspection{DataDir: dir, WALDir: path.Dir(wal(dir, option(argv, "--wal-dir")))}
	if text, err := m.ReadFile(wal(dir, option(argv, "--wal-dir"))); err == nil {
		var d disk
		if err := json.Unmarshal(text, &d); err != nil {
			return host.Result{}, hosttest.Exit(1, err.Error())
		}
		i.Member, i.ClusterID, i.MemberID = true, kvserver.ID(d.Cluster), kvserver.ID(d.Member)
		if d.Revision > 0 {
			i.DB = &kvserver.InspectedDB{Revision: d.Revision}
		}
		i.BootstrapOnly = !d.Served && d.Index > 0
		i.Log = &kvserver.InspectedLog{Term: 1, Commit: d.Index, LastTerm: 1, LastIndex: d.Index}
	}
	b, err := json.Marshal(i)
	return host.Result{Stdout: b}, err
}

// sizes is du -sk: of each path that is there, a kibibyte for a file.
func sizes(_ context.Context, m *hosttest.Machine, c host.Command) (host.Result, error) {
	var out strings.Builder
	for _, p := range c.Argv[2:] {
		if n := len(m.Paths(p)); n > 0 {
			fmt.Fprintf(&out, "%d\t%s\n", n, p)
		}
	}
	return host.Result{Stdout: []byte(out.String())}, nil
}

// probes is kvserver probe, on a network in which nobody reaches a machine that has the file /firewall.
func probes(m *hosttest.Machine, stdin []byte) (host.Result, error) {
	var ask kvserver.PeerProbe
	if err := json.Unmarshal(stdin, &ask); err != nil {
		return host.Result{}, hosttest.Exit(1, err.Error())
	}
	a := kvserver.PeerProbeAnswer{Unreached: map[string]string{}}
	if block, err := m.ReadFile("/firewall"); err == nil {
		a.Unreached[string(block)] = "no route to host"
	}
	b, err := json.Marshal(a)
	return host.Result{Stdout: b}, err
}

// installs is kvserver certificates: each with the key that it is for.
func installs(m *hosttest.Machine, stdin []byte) (host.Result, error) {
	var ask kvserver.Certificates
	if err := json.Unmarshal(stdin, &ask); err != nil {
		return host.Result{}, hosttest.Exit(1, err.Error())
	}
	out := kvserver.CertificatesAnswer{Changed: []string{}, Keys: map[string]string{}}
	put := func(path, owner, content string, mode uint32) error {
		have, err := m.ReadFile(path)
		if err == nil && string(have) == content {
			return nil
		}
		out.Changed = append(out.Changed, path)
		return m.Place(host.File{Path: path, Mode: mode, Owner: owner, Content: []byte(content)})
	}
	if err := put(ask.CA.Path, ask.CA.Owner, ask.CA.PEM, ask.CA.Mode); err != nil {
		return host.Result{}, hosttest.Exit(1, err.Error())
	}
	for _, p := range ask.Pairs {
		key, err := m.ReadFile(p.Key + ".new")
		if err == nil {
			m.RemoveAll(p.Key + ".new")
			err = put(p.Key, p.Certificate.Owner, string(key), 0o600)
		} else {
			if key, err = m.ReadFile(p.Key); err == nil {
				err = m.Place(host.File{Path: p.Key, Mode: 0o600, Owner: p.Certificate.Owner, Content: key})
			}
		}
		if err == nil {
			err = put(p.Certificate.Path, p.Certificate.Owner, p.Certificate.PEM, p.Certificate.Mode)
		}
		if err != nil {
			return host.Result{}, hosttest.Exit(1, err.Error())
		}
		sum := sha256.Sum256(key)
		out.Keys[p.Key] = hex.EncodeToString(sum[:])
	}
	b, err := json.Marshal(out)
	return host.Result{Stdout: b}, err
}

// shakes is kvserver handshakes: it sees what this end shows, and no further.
func shakes(m *hosttest.Machine, stdin []byte) (host.Result, error) {
	var ask kvserver.Handshakes
	var shown pki.Certificate
	err := json.Unmarshal(stdin, &ask)
	text, readErr := m.ReadFile(ask.Cert)
	if err = errors.Join(err, readErr); err == nil {
		err = json.Unmarshal(text, &shown)
	}
	if err == nil && shown.Subject != ask.CommonName {
		err = fmt.Errorf("the peer certificate has the common name %q", shown.Subject)
	}
	if err != nil {
		return host.Result{}, hosttest.Exit(1, err.Error())
	}
	return host.Result{Stdout: []byte("{}\n")}, nil
}
