// Package fleet is hundreds and thousands of simulated hosts behind real SSH servers, each
// with a member of a cluster that is as its spec says. A look at one is
// answered from memory in the words of the scripts, and the tunnel ends at a
// gRPC server with the member's own certificate: everything on the operator's
// side is real, and the hosts cost next to nothing.
//
// They can be looked at and nothing else; whatever would change a host is
// refused.
package fleet

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"quorate/kvserver"
	"quorate/pki/keypair"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision"
	"quorate/provision/host"
	"quorate/provision/host/hosttest"
	"quorate/provision/world"
)

// perCluster is how many members each cluster has.
const perCluster = 3

// Fleet is the hosts, and the folder with the spec of them.
type Fleet struct {
	// Dir has main.hcl with all clusters, their CAs and the key that logs in.
	Dir     string
	Hosts   int
	servers []*hosttest.Server
	members []*member
}

// New makes a fleet of so many hosts, a multiple of three, with a spec in
// dir, brings every cluster up in memory, and serves until Close.
func New(ctx context.Context, dir string, hosts int) (_ *Fleet, err error) {
	if hosts <= 0 || hosts%perCluster != 0 {
		return nil, fmt.Errorf("cannot make %d hosts: a multiple of %d is wanted", hosts, perCluster)
	}
	f := &Fleet{Dir: dir, Hosts: hosts}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	hostKey, login, err := f.keys()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "kvserver"), executable(), 0o755); err != nil {
		return nil, err
	}
	var machines []*hosttest.Machine
	for i := range hosts {
		m := hosttest.NewMachine(fmt.Sprintf("host%d", i))
		s, err := hosttest.Serve(hosttest.ServerOptions{
			Users: map[string]hosttest.User{"root": {Keys: []ssh.PublicKey{login}}}, HostKeys: []ssh.Signer{hostKey},
			Exec: look(m), Dial: m.Host().DialContext,
		})
		if err != nil {
			return nil, err
		}
		machines, f.servers = append(machines, m), append(f.servers, s)
	}
	clusters, err := f.spec(hostKey.PublicKey())
	if err != nil {
		return nil, err
	}
	var g errgroup.Group
	g.SetLimit(4)
	for i, c := range clusters {
		for j, m := range c.Members {
			f.members = append(f.members, newMember(c, j, machines[i*perCluster+j], plan.LayoutOf(c, m)))
		}
		g.Go(func() error { return f.raise(ctx, c, machines[i*perCluster:(i+1)*perCluster]) })
	}
	return f, g.Wait()
}

// Close ends the servers.
func (f *Fleet) Close() {
	for _, s := range f.servers {
		s.Close()
	}
	for _, m := range f.members {
		m.stop()
	}
}

// look runs a host's commands: looks. The text of one is the first line of the input of a shell that waits, or
// what sh is started with.
func look(m *hosttest.Machine) func(string, io.Reader, io.Writer, io.Writer) int {
	return func(line string, stdin io.Reader, stdout, stderr io.Writer) int {
		in := bufio.NewReader(stdin)
		if !strings.Contains(line, "quorate-") { // a shell that waits: the text is its first line
			var err error
			if line, err = in.ReadString('\n'); err != nil {
				return 1
			}
		}
		_, mark, _ := strings.Cut(line, "echo ") // which the text prints on both outputs first
		mark, _, _ = strings.Cut(mark, ";")
		fmt.Fprintln(stdout, mark)
		fmt.Fprintln(stderr, mark)
		if !strings.Contains(line, "quorate-look") {
			fmt.Fprintln(stderr, "a simulated host can be looked at and nothing else")
			return 1
		}
		request, err := io.ReadAll(in)
		if err != nil {
			return 1
		}
		h := m.Host()
		defer h.Close()
		_, _ = stdout.Write(hosttest.AnswerLook(context.Background(), h, request))
		return 0
	}
}

// keys makes the key of all hosts and the one that logs in.
func (f *Fleet) keys() (ssh.Signer, ssh.PublicKey, error) {
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	_, login, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(login, "fleet")
	if err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(filepath.Join(f.Dir, "id_ed25519"), pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, nil, err
	}
	signer, err := ssh.NewSignerFromKey(hostKey)
	if err != nil {
		return nil, nil, err
	}
	public, err := ssh.NewPublicKey(login.Public())
	return signer, public, err
}

// spec writes main.hcl and loads it.
func (f *Fleet) spec(hostKey ssh.PublicKey) ([]*spec.Cluster, error) {
	var b strings.Builder
	for i := range f.Hosts / perCluster {
		fmt.Fprintf(&b, `cluster "c%03d" {
  connection {
    user          = "root"
    ssh_config    = "none"
    identity_file = "id_ed25519"
    host_keys     = [%q]
  }
  server { binary = "kvserver" }
`, i, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(hostKey))))
		for j := range perCluster {
			port := f.servers[i*perCluster+j].Port()
			fmt.Fprintf(&b, "  member \"etcd%d\" {\n    address = %q\n    connection {\n      host = \"127.0.0.1\"\n      port = %d\n    }\n  }\n", j, addressOf(i*perCluster+j), port)
		}
		b.WriteString("}\n")
	}
	text := []byte(b.String())
	if err := os.WriteFile(filepath.Join(f.Dir, "main.hcl"), text, 0o600); err != nil {
		return nil, err
	}
	s, diags := spec.Load([]spec.File{{Name: "main.hcl", Bytes: text}}, spec.Options{Dir: f.Dir, Home: f.Dir})
	if diags.HasErrors() {
		return nil, diags
	}
	return s.Clusters, nil
}

// raise brings a cluster up in memory, by an apply.
func (f *Fleet) raise(ctx context.Context, c *spec.Cluster, machines []*hosttest.Machine) error {
	w, err := world.New(c, world.Environment{
		User: "fleet", Hostname: "fleet", Home: f.Dir, CacheDir: filepath.Join(f.Dir, "cache"),
		Executable: filepath.Join(f.Dir, "kvserver"), Run: "fleet", Clock: time.Now,
	})
	if err != nil {
		return err
	}
	w.Stamps = nil
	by := map[string]*hosttest.Machine{}
	for i, m := range c.Members {
		by[m.Name] = machines[i]
		layout := plan.LayoutOf(c, m)
		machines[i].Handle("kvserver", chores)
		machines[i].Program("", func(p *hosttest.Process) error {
			config, err := p.Machine.ReadFile(layout.EtcdYAML)
			if err != nil {
				return err
			}
			unit, err := p.Machine.ReadFile(layout.UnitFile)
			p.ConfigDigest = kvserver.ConfigDigest(config, unit)
			p.Machine.WriteFile(layout.Data+"/member/wal/0.wal", nil, 0o600)
			if err != nil {
				return err
			}
			// What the unit does when its member serves.
			mark, err := json.Marshal(kvserver.Mark{Format: kvserver.MarkFormat, ClusterID: kvserver.ID(clusterID), MemberID: kvserver.ID(uint64(i + 1)), At: time.Now().UTC()})
			p.Machine.WriteFile(layout.Mark, mark, 0o644)
			p.Machine.RemoveAll(layout.Bootstrap)
			return err
		})
	}
	w.Connect = func(ctx context.Context, m *spec.Member) (host.Host, error) { return by[m.Name].Dial(ctx) }
	s := provision.Open(w, c)
	defer s.Close()
	o, err := s.Observe(ctx)
	if err != nil {
		return err
	}
	p, err := plan.Build(c, o, plan.Options{Now: time.Now(), Token: "fleet", SpecDigest: spec.Digest(c)})
	if err != nil {
		return err
	}
	if len(p.Held) > 0 {
		return fmt.Errorf("cluster %q: %s: %s", c.Name, p.Held[0].Subject, p.Held[0].Reason)
	}
	_, err = s.Apply(ctx, ctx, p, provision.RunOptions{ID: "fleet"})
	return err
}

// chores are those of kvserver that an apply needs on a simulated host.
func chores(_ context.Context, m *hosttest.Machine, c host.Command) (host.Result, error) {
	var out []byte
	var err error
	switch strings.Join(c.Argv[1:], " ") {
	case "keys":
		out, err = makeKeys(m, c.Stdin)
	case "probe": // on one machine everybody reaches everybody
		return host.Result{Stdout: []byte("{}")}, nil
	case "certificates":
		out, err = install(m, c.Stdin)
	default:
		return host.Result{}, hosttest.Exit(2, "a simulated host does not do this")
	}
	if err != nil {
		return host.Result{}, hosttest.Exit(1, err.Error())
	}
	return host.Result{Stdout: out}, nil
}

// makeKeys is `kvserver keys` where there are none yet.
func makeKeys(m *hosttest.Machine, request []byte) ([]byte, error) {
	var ask []kvserver.KeyRequest
	if err := json.Unmarshal(request, &ask); err != nil {
		return nil, err
	}
	var answers []kvserver.KeyAnswer
	for _, k := range ask {
		key, err := keypair.Generate(k.Algorithm)
		if err != nil {
			return nil, err
		}
		text, err := keypair.Encode(key)
		if err != nil {
			return nil, err
		}
		csr, err := keypair.Request(key, k.CommonName)
		if err := errors.Join(err, m.Place(host.File{Path: k.Path + kvserver.NewSuffix, Mode: 0o600, Owner: k.Owner, Content: text})); err != nil {
			return nil, err
		}
		answers = append(answers, kvserver.KeyAnswer{Path: k.Path, Created: true, New: true, CSR: string(csr)})
	}
	return json.Marshal(answers)
}

// install is `kvserver certificates` for keys that were just made.
func install(m *hosttest.Machine, request []byte) ([]byte, error) {
	var ask kvserver.Certificates
	if err := json.Unmarshal(request, &ask); err != nil {
		return nil, err
	}
	out := kvserver.CertificatesAnswer{Keys: map[string]string{}}
	put := func(path, owner string, mode uint32, content []byte) error {
		out.Changed = append(out.Changed, path)
		return m.Place(host.File{Path: path, Mode: mode, Owner: owner, Content: content})
	}
	file := func(f kvserver.CertificateFile) error {
		return put(f.Path, f.Owner, cmp.Or(f.Mode, 0o644), []byte(f.PEM))
	}
	if ask.CA != nil {
		if err := file(*ask.CA); err != nil {
			return nil, err
		}
	}
	for _, p := range ask.Pairs {
		key, err := m.ReadFile(p.Key + kvserver.NewSuffix)
		if err != nil {
			return nil, err
		}
		m.RemoveAll(p.Key + kvserver.NewSuffix)
		if err := errors.Join(put(p.Key, p.Certificate.Owner, 0o600, key), file(p.Certificate)); err != nil {
			return nil, err
		}
		out.Keys[p.Key] = fmt.Sprintf("%x", sha256.Sum256(key))
	}
	return json.Marshal(out)
}

// executable is the smallest file that says of itself that it is a program for
// linux/amd64, which the simulated hosts are: an ELF header and no more.
func executable() []byte {
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01") // 64 bits, little-endian
	for at, v := range map[int]uint16{16: 2 /* executable */, 18: 62 /* x86-64 */, 20: 1 /* version */, 52: 64 /* this header */, 54: 56, 58: 64} {
		binary.LittleEndian.PutUint16(b[at:], v)
	}
	return b
}

// addressOf the n-th host: of the range for benchmarks (RFC 2544), nobody dials it.
func addressOf(n int) string {
	n++ // not the network's own
	return fmt.Sprintf("198.%d.%d.%d", 18+n>>16, n>>8&255, n&255)
}
