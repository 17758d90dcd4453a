package world

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quorate/pki"
	"quorate/pki/keypair"
	"quorate/plan"
	"quorate/plan/spec"
)

const day = 24 * time.Hour

var now = time.Now().UTC().Truncate(time.Second)

func clock() time.Time { return now }

func testCluster(t *testing.T) *spec.Cluster {
	t.Helper()
	return &spec.Cluster{
		Name: "lab", Dir: filepath.ToSlash(t.TempDir()),
		TLS:     spec.TLS{Dir: "pki/lab", KeyAlgorithm: "ecdsa-p256", CALifetime: 3650 * day, LeafLifetime: 365 * day, RenewBefore: 30 * day},
		Clients: []*spec.Client{{Name: "app", CommonName: "app", Dir: "pki/lab/clients"}},
	}
}

func (o *operator) mustCreate(t *testing.T) {
	t.Helper()
	err := o.Create(&plan.CreateCA{Dir: "pki/lab", CommonName: "lab CA", Algorithm: "ecdsa-p256", Lifetime: 3650 * day})
	if err != nil {
		t.Fatal(err)
	}
}

func issueApp() *plan.IssueClient {
	return &plan.IssueClient{Name: "app", Dir: "pki/lab/clients", Certificate: plan.Certificate{Algorithm: "ecdsa-p256",
		Request: pki.Request{Profile: pki.Client, CommonName: "app", Lifetime: 365 * day}}}
}

func TestAuthority(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	o := newAuthority(c, Environment{Clock: clock})
	if ca, err := o.Look(); err != nil || ca.Exists || ca.Problem != "" {
		t.Fatalf("an empty folder: %+v, %v", ca, err)
	}
	// Only Create makes a CA: whatever else wants one must not.
	if _, err := o.Operator(t.Context(), time.Hour); err == nil || !strings.Contains(err.Error(), "there is no CA in") {
		t.Errorf("an operator without a CA: %v", err)
	}
	if err := o.IssueClient(t.Context(), issueApp()); err == nil {
		t.Error("a client without a CA")
	}
	o.mustCreate(t)
	ca, err := o.Look()
	if err != nil || !ca.Exists || ca.Own || ca.Encrypted || ca.Cert.Subject != "lab CA" || !strings.Contains(ca.PEM, "BEGIN CERTIFICATE") {
		t.Fatalf("%+v, %v", ca, err)
	}
	o.mustCreate(t)
	if again, _ := o.Look(); again.Cert.Fingerprint != ca.Cert.Fingerprint {
		t.Error("a second Create made another CA")
	}

	key, err := keypair.Generate("ecdsa-p256")
	if err != nil {
		t.Fatal(err)
	}
	csr, err := keypair.Request(key, "etcd1")
	if err != nil {
		t.Fatal(err)
	}
	text, made, err := o.Sign(t.Context(), csr, "ecdsa-p256", pki.Request{Profile: pki.Server, CommonName: "etcd1", SANs: []string{"127.0.0.1"}, Lifetime: day})
	if err != nil {
		t.Fatal(err)
	}
	if said, err := o.Parse(text, ca); err != nil || said.Issuer != ca.Cert.Fingerprint || said.Fingerprint != made.Fingerprint {
		t.Errorf("%+v, %v", said, err)
	}
	op, err := o.Operator(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got := op.Certificates[0].Leaf.NotAfter; !got.Equal(now.Add(time.Hour)) {
		t.Errorf("the operator's certificate ends %s", got)
	}
	if _, err := op.Certificates[0].Leaf.Verify(x509.VerifyOptions{Roots: op.RootCAs, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if op.MinVersion != tls.VersionTLS12 {
		t.Error("old TLS is let in")
	}
}

func TestClients(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	o := newAuthority(c, Environment{Clock: clock})
	look := func() plan.ClientFiles {
		t.Helper()
		f, err := o.LookClient(c.Clients[0])
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if f := look(); f.Cert != nil || f.Key {
		t.Errorf("nothing is there: %+v", f)
	}
	o.mustCreate(t)
	ca, _ := o.Look()
	if err := o.IssueClient(t.Context(), issueApp()); err != nil {
		t.Fatal(err)
	}
	if f := look(); f.Cert == nil || f.Cert.Issuer != ca.Cert.Fingerprint || !f.Key || f.Bundle != ca.Cert.Fingerprint {
		t.Errorf("as issued: %+v", f)
	}
	dir := within(c, "pki/lab/clients")
	if err := os.Remove(filepath.Join(dir, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	if f := look(); f.Cert == nil || f.Bundle != "" || !f.Key {
		t.Errorf("without ca.pem: %+v", f)
	}
	if err := os.Chmod(filepath.Join(dir, "app-key.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	if f := look(); f.Key {
		t.Error("a key that others can read passes")
	}
	if err := os.Remove(filepath.Join(dir, "app-key.pem")); err != nil {
		t.Fatal(err)
	}
	if f := look(); f.Cert == nil || f.Key {
		t.Errorf("without a key: %+v", f)
	}

	// Forget removes what it is told, and folders only if they are empty then.
	if err := os.WriteFile(filepath.Join(dir, "mine.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	forget := &plan.Forget{Files: []string{"pki/lab/clients/app.pem", "pki/lab/clients/app-key.pem", "pki/lab/ca.pem", "pki/lab/ca-key.pem"}, Dirs: []string{"pki/lab/clients", "pki/lab", "pki/none"}}
	if err := o.Forget(forget); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "mine.txt")); err != nil {
		t.Error(err)
	}
	if ca, err := o.Look(); err != nil || ca.Exists {
		t.Errorf("the CA is still there: %+v %v", ca, err)
	}
	if _, err := o.Operator(t.Context(), time.Hour); err == nil {
		t.Error("a forgotten CA still signs")
	}
}

// Where a key is about to be, version control is told first: also where making it then fails.
func TestKeysAreIgnored(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	c.TLS.Encryption = &spec.Encryption{Recipients: []string{"age1nonsense"}}
	create := &plan.CreateCA{Dir: "pki/lab", CommonName: "lab CA", Algorithm: "ecdsa-p256", Lifetime: 3650 * day}
	if err := newAuthority(c, Environment{Clock: clock}).Create(create); err == nil {
		t.Fatal("it was encrypted for nobody")
	}
	c.TLS.Encryption = nil
	o := newAuthority(c, Environment{Clock: clock})
	o.mustCreate(t)
	inside, outside := issueApp(), issueApp()
	outside.Dir = "consumers/app"
	for _, a := range []*plan.IssueClient{inside, outside} {
		if err := o.IssueClient(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string]string{"pki/lab": IgnoreKeys, "pki/lab/clients": "", "consumers/app": IgnoreKeys} {
		if got, _ := os.ReadFile(within(c, dir+"/.gitignore")); string(got) != want {
			t.Errorf("%s: %q", dir, got)
		}
	}
}

// Look never needs the passphrase; signing asks for it once.
func TestEncryptedAuthority(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	c.TLS.Encryption = &spec.Encryption{}
	asked := 0
	e := Environment{Clock: clock, Prompt: remember(func(string, bool) (string, error) {
		asked++
		return "correct-horse", nil
	})}
	newAuthority(c, e).mustCreate(t)
	asked = 0
	o := newAuthority(c, e)
	if ca, err := o.Look(); err != nil || !ca.Exists || !ca.Encrypted || asked != 0 {
		t.Fatalf("%+v, %v, asked %d times", ca, err, asked)
	}
	for range 3 {
		if _, err := o.Operator(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	e.Prompt = nil
	if _, err := newAuthority(c, e).Operator(t.Context(), time.Hour); err == nil || !strings.Contains(err.Error(), "nobody is there to ask") {
		t.Errorf("without anybody: %v", err)
	}
}

func TestOwnAuthority(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	newAuthority(c, Environment{Clock: clock}).mustCreate(t)
	own := testCluster(t)
	own.TLS.CACert, own.TLS.CAKey = within(c, "pki/lab/ca.pem"), within(c, "pki/lab/ca-key.pem")
	if ca, err := newAuthority(own, Environment{Clock: clock}).Look(); err != nil || !ca.Exists || !ca.Own {
		t.Errorf("%+v, %v", ca, err)
	}
}

// TestTry: the CA of the spec is tried with what it is asked to sign.
func TestTry(t *testing.T) {
	t.Parallel()
	c := testCluster(t)
	o := newAuthority(c, Environment{Clock: clock})
	asked := []pki.Request{{Profile: pki.Server, CommonName: "etcd1", SANs: []string{"etcd1.example.com"}}}
	if err := o.Try(asked); err == nil || !strings.Contains(err.Error(), "cannot read the CA certificate") {
		t.Errorf("without a CA: %v", err)
	}
	o.mustCreate(t)
	if err := o.Try(asked); err != nil {
		t.Errorf("its own CA: %v", err)
	}
	key, err := keypair.Generate("ecdsa-p256")
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "house CA"}, SerialNumber: big.NewInt(1), NotBefore: now.Add(-day), NotAfter: now.Add(day),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, PermittedDNSDomains: []string{"example.org"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c.TLS.CACert, c.TLS.CAKey = "own.pem", "own-key.pem"
	if err := os.WriteFile(filepath.Join(c.Dir, "own.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := newAuthority(c, Environment{Clock: clock}).Try(asked); err == nil || !strings.Contains(err.Error(), `own.pem: a server certificate that it signs for "etcd1" would not be accepted`) {
		t.Errorf("an own CA that may not sign the name: %v", err)
	}
}
