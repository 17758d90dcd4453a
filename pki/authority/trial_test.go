package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quorate/pki"
)

// TestOwnCAThatCannotSign: what a CA of the operator's own lacks is said before
// anything is made; the key is not needed for that.
func TestOwnCAThatCannotSign(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	network := func(s string) *net.IPNet {
		_, n, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	signs := []pki.Request{
		{Profile: pki.Server, CommonName: "etcd1", SANs: []string{"192.168.7.101", "etcd1.example.com"}},
		{Profile: pki.Peer, CommonName: "etcd1", SANs: []string{"192.168.7.101", "etcd1.example.com"}},
		{Profile: pki.Client, CommonName: "etcd1"},
	}
	for name, tt := range map[string]struct {
		change func(*x509.Certificate)
		key    crypto.Signer
		want   string // "" if it can sign
	}{
		"any": {func(*x509.Certificate) {}, ec, ""},
		"RSA": {func(*x509.Certificate) {}, long, ""},
		"both usages": {func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
		}, ec, ""},
		"no further CA below it": {func(c *x509.Certificate) { c.MaxPathLenZero = true }, ec, ""},
		"names and addresses that fit": {func(c *x509.Certificate) {
			c.PermittedDNSDomains, c.PermittedIPRanges = []string{"example.com"}, []*net.IPNet{network("192.168.0.0/16")}
		}, ec, ""},
		"servers only":        {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, ec, "would not be accepted for clients"},
		"clients only":        {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, ec, "would not be accepted for servers"},
		"other names":         {func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"example.org"} }, ec, `"etcd1.example.com" is not permitted`},
		"other addresses":     {func(c *x509.Certificate) { c.PermittedIPRanges = []*net.IPNet{network("10.0.0.0/8")} }, ec, "192.168.7.101"},
		"an excluded address": {func(c *x509.Certificate) { c.ExcludedIPRanges = []*net.IPNet{network("192.168.7.0/24")} }, ec, "192.168.7.101"},
		"other URIs only":     {func(c *x509.Certificate) { c.PermittedURIDomains = []string{"example.org"} }, ec, ""},
		"a critical extension that nobody knows": {func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Critical: true, Value: []byte{5, 0}}}
		}, ec, "unhandled critical extension"},
		"a short RSA key": {func(*x509.Certificate) {}, short, "1024 bits"},
	} {
		template := &x509.Certificate{Subject: pkix.Name{CommonName: "house CA"}, SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(1000 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
		tt.change(template)
		der, err := x509.CreateCertificate(rand.Reader, template, template, tt.key.Public(), tt.key)
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(tt.key)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		s := Store{Cert: filepath.Join(dir, "ca.pem"), Key: filepath.Join(dir, "ca-key.pem")}
		for path, block := range map[string]*pem.Block{s.Cert: {Type: "CERTIFICATE", Bytes: der}, s.Key: {Type: "PRIVATE KEY", Bytes: private}} {
			if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if st, err := s.Look(now); err != nil || !st.Exists {
			t.Errorf("%s: %+v, %v", name, st, err)
		}
		switch err := s.Try(signs, now); {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), s.Cert)):
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}
