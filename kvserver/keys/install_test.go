package keys

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"quorate/kvserver"
	"quorate/pki/keypair"
)

// authority signs what a host asks for.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  any
	pem  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := keypair.Generate("ecdsa-p256")
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(nil, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t: t, cert: c, key: key, pem: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

func (a *authority) sign(csr string) string {
	a.t.Helper()
	r := request(a.t, csr)
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: r.Subject, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(nil, c, a.cert, r.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// rig is a host's folder of keys with two profiles, and an operator who signs.
type rig struct {
	t   *testing.T
	dir string
	ca  *authority
}

func newRig(t *testing.T) *rig { return &rig{t: t, dir: t.TempDir(), ca: newAuthority(t)} }

func (r *rig) at(name string) string { return filepath.Join(r.dir, name) }

var profiles = []string{"server", "peer"}

// ask is one `kvserver keys`, signed.
func (r *rig) ask(algorithm string) kvserver.Certificates {
	r.t.Helper()
	c := kvserver.Certificates{CA: &kvserver.CertificateFile{Path: r.at("ca.pem"), PEM: r.ca.pem}}
	for _, p := range profiles {
		key := r.at(p + "-key.pem")
		a, err := Make(kvserver.KeyRequest{Path: key, Algorithm: algorithm, CommonName: p}, owners())
		if err != nil {
			r.t.Fatal(err)
		}
		c.Pairs = append(c.Pairs, kvserver.CertificatePair{Key: key, Certificate: kvserver.CertificateFile{Path: r.at(p + ".pem"), PEM: r.ca.sign(a.CSR)}})
	}
	return c
}

func (r *rig) install(c kvserver.Certificates) []string {
	r.t.Helper()
	a, err := Install(c, owners())
	if err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for _, p := range a.Changed {
		names = append(names, filepath.Base(p))
	}
	return names
}

// fits is an error if a key and its certificate do not go together.
func (r *rig) fits(p string) error {
	_, err := tls.LoadX509KeyPair(r.at(p+".pem"), r.at(p+"-key.pem"))
	return err
}

func (r *rig) names() (all []string) {
	r.t.Helper()
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// all that is in the folder, with its bytes.
func (r *rig) all() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	for _, name := range r.names() {
		text, err := os.ReadFile(r.at(name))
		if err != nil {
			r.t.Fatal(err)
		}
		all[name] = string(text)
	}
	return all
}

func (r *rig) wantNames(when string) {
	r.t.Helper()
	if d := cmp.Diff([]string{"ca.pem", "peer-key.pem", "peer.pem", "server-key.pem", "server.pem"}, r.names()); d != "" {
		r.t.Errorf("%s: %s", when, d)
	}
	for _, p := range profiles {
		if err := r.fits(p); err != nil {
			r.t.Errorf("%s: %s: %v", when, p, err)
		}
	}
}

func TestInstall(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.ask("ecdsa-p256")
	if d := cmp.Diff([]string{"peer-key.pem.new", "server-key.pem.new"}, r.names()); d != "" {
		t.Errorf("keys without certificates: %s", d)
	}
	if d := cmp.Diff([]string{"ca.pem", "server-key.pem", "server.pem", "peer-key.pem", "peer.pem"}, r.install(first)); d != "" {
		t.Error(d)
	}
	r.wantNames("fresh")
	was, _ := read(t, r.at("server-key.pem"))
	if got := r.install(first); len(got) != 0 {
		t.Errorf("a second time: %v", got)
	}
	if info, _ := os.Stat(r.at("server.pem")); info.Mode() != 0o644 {
		t.Errorf("%v", info.Mode())
	}

	// Renewal: the key stays.
	if d := cmp.Diff([]string{"server.pem", "peer.pem"}, r.install(r.ask("ecdsa-p256"))); d != "" {
		t.Error(d)
	}
	if is, _ := read(t, r.at("server-key.pem")); is != was {
		t.Error("another key")
	}
	// Another algorithm: a new key. One that waits is used.
	r.ask("ed25519")
	if is, _ := read(t, r.at("server-key.pem")); is != was || r.fits("server") != nil {
		t.Error("the old pair is gone before the new one is there")
	}
	waiting, _ := read(t, r.at("server-key.pem.new"))
	r.install(r.ask("ed25519"))
	r.wantNames("another algorithm")
	if is, a := read(t, r.at("server-key.pem")); is != waiting || a != "ed25519" {
		t.Errorf("%s: the key that waited was not used", a)
	}
	// One that waits with another algorithm is not.
	r.ask("ecdsa-p256")
	r.install(r.ask("ecdsa-p384"))
	r.wantNames("a key that waited with another algorithm")
	if _, a := read(t, r.at("server-key.pem")); a != "ecdsa-p384" {
		t.Error(a)
	}
}

// Cut after each atomic act, the same run again finishes; so does a new one,
// which asks again and has another certificate signed.
func TestInstallCutAnywhere(t *testing.T) {
	t.Parallel()
	for _, story := range []struct {
		name, algorithm string
	}{{"fresh", ""}, {"renewal", "ecdsa-p256"}, {"another algorithm", "ed25519"}} {
		for _, again := range []string{"same", "new"} {
			for n := 0; ; n++ {
				r := newRig(t)
				if story.algorithm != "" {
					r.install(r.ask("ecdsa-p256"))
				}
				algorithm := story.algorithm
				if algorithm == "" {
					algorithm = "ecdsa-p256"
				}
				c := r.ask(algorithm)
				actions, err := prepare(c, owners())
				if err != nil {
					t.Fatal(err)
				}
				if n > len(actions) {
					if n < 5 {
						t.Fatalf("%s: %d actions", story.name, len(actions))
					}
					break
				}
				unfit := 0
				for _, a := range actions[:n] {
					if err := a.run(); err != nil {
						t.Fatal(err)
					}
				}
				for _, p := range profiles {
					if r.fits(p) != nil {
						unfit++
					}
				}
				when := fmt.Sprintf("%s, cut after %d of %d, %s run again", story.name, n, len(actions), again)
				if story.algorithm != "" && unfit > 1 {
					t.Errorf("%s: %d pairs do not fit", when, unfit)
				}
				if again == "new" {
					c = r.ask(algorithm)
				}
				r.install(c)
				r.wantNames(when)
				for _, p := range profiles {
					if _, a := read(t, r.at(p+"-key.pem")); a != algorithm {
						t.Errorf("%s: %s", when, a)
					}
				}
			}
		}
	}
}

// What is refused changes nothing, not even in another pair of the same request.
func TestInstallRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil func(r *rig, c *kvserver.Certificates)
		want  string
	}{
		"for another key": {func(r *rig, c *kvserver.Certificates) {
			c.Pairs[1].Certificate.PEM = c.Pairs[0].Certificate.PEM
		}, "it is for another key than the one at"},
		"no key": {func(r *rig, c *kvserver.Certificates) {
			os.Remove(r.at("peer-key.pem"))
			os.Remove(r.at("peer-key.pem.new"))
		}, "there is no key"},
		"no certificate": {func(r *rig, c *kvserver.Certificates) { c.Pairs[1].Certificate.PEM = "" }, "no certificate in it"},
		"rubbish behind": {func(r *rig, c *kvserver.Certificates) { c.Pairs[1].Certificate.PEM += "rubbish" }, "no PEM"},
		"a key in it": {func(r *rig, c *kvserver.Certificates) {
			text, _ := os.ReadFile(r.at("peer-key.pem"))
			c.Pairs[1].Certificate.PEM += string(text)
		}, "PRIVATE KEY in it"},
		"no authority":  {func(r *rig, c *kvserver.Certificates) { c.CA.PEM = "" }, "cannot install authority"},
		"relative key":  {func(r *rig, c *kvserver.Certificates) { c.Pairs[1].Key = "peer-key.pem" }, "not absolute"},
		"relative path": {func(r *rig, c *kvserver.Certificates) { c.Pairs[1].Certificate.Path = "peer.pem" }, "not absolute"},
		"unknown owner": {func(r *rig, c *kvserver.Certificates) { c.Pairs[1].Certificate.Owner = "nobody-here" }, "unknown user"},
		"a link": {func(r *rig, c *kvserver.Certificates) {
			os.Remove(r.at("peer.pem"))
			os.Symlink(r.at("server.pem"), r.at("peer.pem"))
		}, "no regular file"},
		"what is no key": {func(r *rig, c *kvserver.Certificates) {
			os.WriteFile(r.at("peer-key.pem.new"), []byte("a secret"), 0o600)
		}, "no key"},
		"a missing place": {func(r *rig, c *kvserver.Certificates) { c.Pairs[1].Certificate.Path = r.at("no/peer.pem") }, "cannot put"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.install(r.ask("ecdsa-p256"))
			c := r.ask("ed25519")
			tc.spoil(r, &c)
			before := r.all()
			_, err := Install(c, owners())
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v, want %q", err, tc.want)
			}
			after := r.all()
			for name := range after { // staged before the place turned out to be missing
				if strings.HasSuffix(name, "r.pem.new") || name == "ca.pem.new" {
					delete(after, name)
				}
			}
			if d := cmp.Diff(before, after); d != "" {
				t.Errorf("touched: %s", d)
			}
		})
	}
	for _, in := range []string{"", "[]", `{"pairs":[],"typo":1}`} {
		if err := RunInstall(strings.NewReader(in), &bytes.Buffer{}, owners()); err == nil {
			t.Errorf("%q: no error", in)
		}
	}
	var out bytes.Buffer
	if err := RunInstall(strings.NewReader(`{"pairs":[]}`), &out, owners()); err != nil || out.String() != `{"changed":[]}`+"\n" {
		t.Errorf("%v %s", err, out.String())
	}
}

func TestInstallOwner(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("giving a file away wants root")
	}
	r := newRig(t)
	c := r.ask("ecdsa-p256")
	c.CA.Owner, c.CA.Mode = "4711:4712", 0o640
	for i := range c.Pairs {
		c.Pairs[i].Certificate.Owner = "4711:4712"
	}
	r.install(c)
	for _, name := range r.names() {
		info, _ := os.Stat(r.at(name))
		if uid, gid := ownerOf(info); uid != 4711 || gid != 4712 {
			t.Errorf("%s is owned by %d:%d", name, uid, gid)
		}
	}
	if info, _ := os.Stat(r.at("ca.pem")); info.Mode() != 0o640 {
		t.Errorf("%v", info.Mode())
	}
	// Wrong owners are put right, with the content as it is.
	os.Chown(r.at("server.pem"), 0, 0)
	os.Chown(r.at("peer-key.pem"), 0, 0)
	if d := cmp.Diff([]string{"server.pem"}, r.install(c)); d != "" {
		t.Error(d)
	}
	if info, _ := os.Stat(r.at("peer-key.pem")); info.Mode() != 0o600 {
		t.Errorf("%v", info.Mode())
	} else if uid, _ := ownerOf(info); uid != 4711 {
		t.Errorf("owned by %d", uid)
	}
}

func TestLook(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.install(r.ask("ecdsa-p256"))
	r.ask("ed25519")
	os.Remove(r.at("peer-key.pem"))
	os.WriteFile(r.at("odd.pem"), []byte("a secret"), 0o600)
	os.WriteFile(r.at("half.pem.new"), []byte("a secret"), 0o600)
	server, _ := read(t, r.at("server-key.pem"))
	serverNew, _ := read(t, r.at("server-key.pem.new"))
	peerNew, _ := read(t, r.at("peer-key.pem.new"))
	paths := []string{r.at("server-key.pem"), r.at("peer-key.pem"), r.at("odd.pem"), r.at("half.pem"), r.at("nothing.pem")}
	before := r.all()
	var byArgs, byInput bytes.Buffer
	in, _ := json.Marshal(paths)
	if err := RunLook(paths, nil, &byArgs); err != nil {
		t.Fatal(err)
	}
	if err := RunLook(nil, bytes.NewReader(in), &byInput); err != nil || byArgs.String() != byInput.String() {
		t.Errorf("%v %s", err, byInput.String())
	}
	if d := cmp.Diff(before, r.all()); d != "" {
		t.Errorf("looking has changed something: %s", d)
	}
	var got []kvserver.KeyLook
	if err := json.Unmarshal(byArgs.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	problem := "what is there is no key: no private key in PEM form found; move it away if nobody needs it"
	want := []kvserver.KeyLook{
		{Path: paths[0], Exists: true, PublicKey: server, Algorithm: "ecdsa-p256", New: true, NewPublicKey: serverNew},
		{Path: paths[1], New: true, NewPublicKey: peerNew},
		{Path: paths[2], Exists: true, Problem: problem},
		{Path: paths[3], New: true, Problem: paths[3] + ".new: " + problem},
		{Path: paths[4]},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// The fingerprint is the one that a certificate's reader computes.
	pair, err := tls.LoadX509KeyPair(r.at("server.pem"), r.at("server-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if f, _ := keypair.Fingerprint(pair.Leaf.PublicKey); f != server {
		t.Errorf("%s, of the certificate %s", server, f)
	}
	if err := RunLook(nil, strings.NewReader("nonsense"), &byInput); err == nil {
		t.Error("no error")
	}
}
