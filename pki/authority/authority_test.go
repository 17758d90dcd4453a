package authority

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"quorate/kvserver/node"
	"quorate/pki"
	"quorate/pki/keypair"
)

var now = time.Now().Truncate(time.Second).UTC()

const days = 24 * time.Hour

func open(t *testing.T, algorithm string) *Authority {
	t.Helper()
	a, created, err := Store{Dir: t.TempDir(), Name: "lab CA", KeyAlgorithm: algorithm, Lifetime: 3650 * days}.Open(now)
	if err != nil || !created {
		t.Fatalf("created %v: %v", created, err)
	}
	return a
}

// leaf makes a key and a certificate for it.
func leaf(t *testing.T, a *Authority, algorithm string, r pki.Request) (tls.Certificate, pki.Certificate) {
	t.Helper()
	key, err := keypair.Generate(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	request, err := keypair.Request(key, "whatever")
	if err != nil {
		t.Fatal(err)
	}
	text, said, err := a.Sign(t.Context(), request, algorithm, r, now)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	return tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}, said
}

func pool(a *Authority) *x509.CertPool {
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(a.Bundle())
	return p
}

// Every algorithm, for the CA and for the leaf, judged by crypto/x509 and by a
// real handshake in which both sides show a certificate.
func TestHandshake(t *testing.T) {
	t.Parallel()
	for _, algorithm := range node.KeyAlgorithms() {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			a := open(t, algorithm)
			sans := []string{"127.0.0.1", "::1", "etcd1.example.org", "localhost"}
			server, said := leaf(t, a, algorithm, pki.Request{Profile: pki.Server, CommonName: "etcd1", Organization: []string{"o1", "o2"}, SANs: sans, Lifetime: 90 * days})
			if d := cmp.Diff(pki.Certificate{
				Subject: "etcd1", Organization: []string{"o1", "o2"}, SANs: sans, Profiles: []pki.Profile{pki.Server, pki.Peer, pki.Client},
				KeyAlgorithm: algorithm, NotBefore: now.Add(-5 * time.Minute), NotAfter: now.Add(90 * days), Issuer: a.CA().Fingerprint,
				Serial: said.Serial, Fingerprint: said.Fingerprint, PublicKey: said.PublicKey,
			}, said); d != "" {
				t.Error(d)
			}
			client, _ := leaf(t, a, "ecdsa-p256", pki.Request{Profile: pki.Client, CommonName: "kube-apiserver", Lifetime: 90 * days})
			for _, name := range append(sans, "etcd2.example.org") {
				err := handshake(t, &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: pool(a), ClientAuth: tls.RequireAndVerifyClientCert},
					&tls.Config{Certificates: []tls.Certificate{client}, RootCAs: pool(a), ServerName: name})
				if wrong := name == "etcd2.example.org"; (err != nil) != wrong {
					t.Errorf("as %s: %v", name, err)
				}
			}
			// A client's certificate is no server's, and a stranger's CA is none.
			if err := handshake(t, &tls.Config{Certificates: []tls.Certificate{client}}, &tls.Config{RootCAs: pool(a), ServerName: "localhost"}); err == nil {
				t.Error("a client certificate passed for a server")
			}
			stranger, _ := leaf(t, open(t, "ecdsa-p256"), "ecdsa-p256", pki.Request{Profile: pki.Client, CommonName: "x", Lifetime: days})
			if err := handshake(t, &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: pool(a), ClientAuth: tls.RequireAndVerifyClientCert},
				&tls.Config{Certificates: []tls.Certificate{stranger}, RootCAs: pool(a), ServerName: "localhost"}); err == nil {
				t.Error("another CA's client was let in")
			}
		})
	}
}

func handshake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			s := tls.Server(c, server)
			if err = s.Handshake(); err == nil {
				_, err = s.Write([]byte("ok"))
			}
			c.Close()
		}
		done <- err
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c := tls.Client(raw, client)
	if _, err := io.ReadAll(c); err != nil {
		raw.Close()
		<-done
		return err
	}
	return <-done
}

// What the host's request says about itself must not get into a certificate.
func TestRequestDecidesNothingButTheKey(t *testing.T) {
	t.Parallel()
	a := open(t, "ecdsa-p256")
	key, _ := keypair.Generate("ecdsa-p256")
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:     pkix.Name{CommonName: "root", Organization: []string{"system:masters"}, Country: []string{"XX"}},
		DNSNames:    []string{"evil.example.org"},
		IPAddresses: []net.IP{net.IPv4(6, 6, 6, 6)},
		ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}, // CA:TRUE
			{Id: []int{2, 5, 29, 37}, Value: []byte{0x30, 6, 6, 4, 0x55, 0x1d, 0x25, 0}}}, // any usage
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	text, _, err := a.Sign(t.Context(), request, "ecdsa-p256", pki.Request{Profile: pki.Client, CommonName: "etcd1", Lifetime: days}, now)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if c.Subject.String() != "CN=etcd1" || c.DNSNames != nil || c.IPAddresses != nil || c.IsCA {
		t.Errorf("certificate says %v %v %v CA %v", c.Subject, c.DNSNames, c.IPAddresses, c.IsCA)
	}
	if d := cmp.Diff([]x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, c.ExtKeyUsage); d != "" {
		t.Error(d)
	}
	if c.KeyUsage != x509.KeyUsageDigitalSignature {
		t.Errorf("key usage %b", c.KeyUsage)
	}

	// One bit of the request changed: its own signature does not hold any more.
	der[len(der)-1] ^= 1
	if _, _, err := a.Sign(t.Context(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), "ecdsa-p256", pki.Request{Profile: pki.Client, CommonName: "x", Lifetime: days}, now); err == nil {
		t.Error("signed a request whose signature does not hold")
	}
}

func TestSignRefusals(t *testing.T) {
	t.Parallel()
	a := open(t, "ecdsa-p256")
	key, _ := keypair.Generate("ecdsa-p256")
	request, _ := keypair.Request(key, "x")
	good := pki.Request{Profile: pki.Server, CommonName: "etcd1", Lifetime: days}
	for want, f := range map[string]func(*[]byte, *pki.Request, *time.Time){
		`unknown profile "admin"`:   func(_ *[]byte, r *pki.Request, _ *time.Time) { r.Profile = "admin" },
		`common name is missing`:    func(_ *[]byte, r *pki.Request, _ *time.Time) { r.CommonName = "" },
		`a lifetime of 0s is none`:  func(_ *[]byte, r *pki.Request, _ *time.Time) { r.Lifetime = 0 },
		`the CA expired on`:         func(_ *[]byte, _ *pki.Request, now *time.Time) { *now = now.Add(4000 * days) },
		`not in PEM form`:           func(b *[]byte, _ *pki.Request, _ *time.Time) { *b = []byte("hello") },
		`the request is damaged`:    func(b *[]byte, _ *pki.Request, _ *time.Time) { *b = a.Bundle() },
		`the signer made something`: func(_ *[]byte, r *pki.Request, _ *time.Time) { r.SANs = []string{"not a name <x@y>"} },
		`not valid before 20`:       func(_ *[]byte, _ *pki.Request, now *time.Time) { *now = now.Add(-time.Hour) },
	} {
		b, r, at := request, good, now
		f(&b, &r, &at)
		if _, _, err := a.Sign(t.Context(), b, "ecdsa-p256", r, at); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "cannot sign the ") {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

// Who is to be signed for may ask for anything: what costs time, or is not what was planned, is
// refused before a signature is computed or checked.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	a := open(t, "ecdsa-p256")
	r := pki.Request{Profile: pki.Server, CommonName: "etcd1", Lifetime: days}
	request := func(algorithm string) []byte {
		key, err := keypair.Generate(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		b, err := keypair.Request(key, "x")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, weak)
	if err != nil {
		t.Fatal(err)
	}
	// A modulus of a hundred thousand bits takes seconds to verify with: it does not get that far.
	modulus := new(big.Int).Lsh(big.NewInt(1), 100_000)
	spki, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: asn1.NullRawValue},
		asn1.BitString{Bytes: x509.MarshalPKCS1PublicKey(&rsa.PublicKey{N: modulus.Add(modulus, big.NewInt(1)), E: 65537})}})
	if err != nil {
		t.Fatal(err)
	}
	huge, err := asn1.Marshal(struct {
		Info struct {
			Version int
			Subject asn1.RawValue
			Key     asn1.RawValue
			Extras  asn1.RawValue
		}
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{Info: struct {
		Version int
		Subject asn1.RawValue
		Key     asn1.RawValue
		Extras  asn1.RawValue
	}{Subject: asn1.RawValue{FullBytes: []byte{0x30, 0}}, Key: asn1.RawValue{FullBytes: spki}, Extras: asn1.RawValue{FullBytes: []byte{0xa0, 0}}},
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue},
		Signature: asn1.BitString{Bytes: make([]byte, 12_500)}})
	if err != nil {
		t.Fatal(err)
	}
	asPEM := func(der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	}
	for what, tt := range map[string]struct {
		request []byte
		want    string
	}{
		"another algorithm":  {request("ed25519"), "for a key of ed25519, not of ecdsa-p256"},
		"a weak key":         {asPEM(der), "not of ecdsa-p256"},
		"a very large key":   {asPEM(huge), "more than 16384 bytes"},
		"megabytes":          {append(request("ecdsa-p256"), make([]byte, 1<<20)...), "more than 16384 bytes"},
		"the most there may": {append(request("ecdsa-p256"), make([]byte, pki.MaxRequest)...), "more than 16384 bytes"},
	} {
		if _, _, err := a.Sign(t.Context(), tt.request, "ecdsa-p256", r, now); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", what, err, tt.want)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := a.Sign(ended, request("ecdsa-p256"), "ecdsa-p256", r, now); !errors.Is(err, context.Canceled) {
		t.Errorf("signed after the end: %v", err)
	}
	if _, _, err := a.Sign(t.Context(), request("rsa-4096"), "rsa-4096", r, now); err != nil {
		t.Errorf("the largest key that a spec can ask for: %v", err)
	}
}

// A leaf never outlives its CA, and is not due at once for that.
func TestNeverBeyondTheCA(t *testing.T) {
	t.Parallel()
	a, _, err := Store{Dir: t.TempDir(), Name: "short", KeyAlgorithm: "ecdsa-p256", Lifetime: 10 * days}.Open(now)
	if err != nil {
		t.Fatal(err)
	}
	r := pki.Request{Profile: pki.Peer, CommonName: "etcd1", Lifetime: 365 * days}
	_, said := leaf(t, a, "ecdsa-p256", r)
	if !said.NotAfter.Equal(a.CA().NotAfter) {
		t.Errorf("ends %v, the CA %v", said.NotAfter, a.CA().NotAfter)
	}
	if why := pki.Mismatch(said, pki.Want{Request: r, CA: a.CA(), Now: now, RenewBefore: 30 * days}); why != nil {
		t.Error(why)
	}
}

func TestOperator(t *testing.T) {
	t.Parallel()
	a := open(t, "ecdsa-p256")
	server, _ := leaf(t, a, "ecdsa-p256", pki.Request{Profile: pki.Server, CommonName: "etcd1", SANs: []string{"127.0.0.1"}, Lifetime: days})
	mine, roots, err := a.Operator(t.Context(), now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got := mine.Leaf.NotAfter.Sub(now); got != time.Hour {
		t.Errorf("lives %v", got)
	}
	if err := handshake(t, &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: pool(a), ClientAuth: tls.RequireAndVerifyClientCert},
		&tls.Config{Certificates: []tls.Certificate{mine}, RootCAs: roots, ServerName: "127.0.0.1"}); err != nil {
		t.Error(err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	a, b := open(t, "ecdsa-p256"), open(t, "ecdsa-p256") // of the same name
	key, _ := keypair.Generate("ecdsa-p256")
	request, _ := keypair.Request(key, "x")
	text, said, err := a.Sign(t.Context(), request, "ecdsa-p256", pki.Request{Profile: pki.Server, CommonName: "etcd1", Lifetime: days}, now)
	if err != nil {
		t.Fatal(err)
	}
	private, _ := keypair.Encode(key)
	got, err := Parse(append(private, text...), a.Bundle())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(said, got); d != "" {
		t.Error(d)
	}
	if got, err := Parse(text, b.Bundle()); err != nil || got.Issuer != "" {
		t.Errorf("a CA of the same name passes for the issuer: %v %v", got.Issuer, err)
	}
	if got, err := Parse(text, nil); err != nil || got.Issuer != "" {
		t.Errorf("no CA: %v %v", got.Issuer, err)
	}
	if ca, err := Parse(a.Bundle(), a.Bundle()); err != nil || !ca.IsCA || ca.Profiles != nil || ca.Issuer != ca.Fingerprint {
		t.Errorf("CA: %+v %v", ca, err)
	}
	for _, bad := range []string{"", "hello", string(text[:100]), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if _, err := Parse([]byte(bad), nil); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}
