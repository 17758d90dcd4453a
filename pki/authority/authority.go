// Package authority is the operator's certificate authority, on cfssl: it
// keeps the CA in a folder, signs what hosts request, and makes the short-lived
// certificate of a run. The CA's key stays here: nothing in this package
// writes it anywhere but its own file, or puts it in an error or a log.
//
// It decides nothing: what is due and what is wrong with a certificate is
// package pki's business.
package authority

import (
	"cmp"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cloudflare/cfssl/config"
	"github.com/cloudflare/cfssl/csr"
	"github.com/cloudflare/cfssl/log"
	"github.com/cloudflare/cfssl/signer"
	"github.com/cloudflare/cfssl/signer/local"

	"quorate/kvserver/node"
	"quorate/pki"
	"quorate/pki/keypair"
)

// cfssl reports every signature on standard error; a tool's output is the
// tool's own. What goes wrong comes back as an error anyway.
func init() { log.Level = log.LevelFatal }

// Authority is a CA with its key at hand. It may be used from many goroutines.
type Authority struct {
	ca     *x509.Certificate
	bundle []byte
	signer *local.Signer
}

// newAuthority joins a CA certificate and its key. bundle is what those who
// trust the CA are given; its first certificate is ca.
func newAuthority(ca *x509.Certificate, bundle []byte, key crypto.Signer) (*Authority, error) {
	profiles := map[string]*config.SigningProfile{}
	for _, p := range []pki.Profile{pki.Server, pki.Peer, pki.Client} {
		// No key encipherment: that is RSA key exchange, which TLS 1.3 and Go's own list of ciphers left behind.
		usage := []string{"digital signature"}
		serverAuth, clientAuth := pki.Usages(p)
		if serverAuth {
			usage = append(usage, "server auth")
		}
		if clientAuth {
			usage = append(usage, "client auth")
		}
		profiles[string(p)] = &config.SigningProfile{
			Usage:  usage,
			Expiry: time.Hour, // never used: every request says when it ends
			// Of the host's request only the key is taken.
			CSRWhitelist: &config.CSRWhitelist{PublicKey: true, PublicKeyAlgorithm: true, SignatureAlgorithm: true},
		}
	}
	s, err := local.NewSigner(key, ca, signer.DefaultSigAlgo(key), &config.Signing{
		Profiles: profiles,
		Default:  config.DefaultConfig(),
	})
	if err != nil {
		return nil, err
	}
	return &Authority{ca: ca, bundle: bundle, signer: s}, nil
}

// CA says what the CA's certificate says.
func (a *Authority) CA() pki.Certificate { return describe(a.ca, a.ca) }

// Bundle is what those who trust the CA are given (PEM): ca.pem.
func (a *Authority) Bundle() []byte { return append([]byte(nil), a.bundle...) }

// Sign makes a certificate for the key of a signing request (PEM), which has to be of the
// algorithm asked for and signed with it; subject, names and usages are those of r, whatever
// the request says. Who sent the request is not trusted: its size ([pki.MaxRequest]) and the kind
// of its key are looked at before anything is computed with it. The certificate is valid from [pki.Backdate] before now for r.Lifetime,
// but never after the CA; its serial is random. What comes back has been read
// again and holds exactly what was asked for.
func (a *Authority) Sign(ctx context.Context, request []byte, algorithm string, r pki.Request, now time.Time) ([]byte, pki.Certificate, error) {
	fail := func(err error) ([]byte, pki.Certificate, error) {
		return nil, pki.Certificate{}, fmt.Errorf("cannot sign the %s certificate of %q: %w", r.Profile, r.CommonName, err)
	}
	if serverAuth, clientAuth := pki.Usages(r.Profile); !serverAuth && !clientAuth {
		return fail(fmt.Errorf("unknown profile %q", r.Profile))
	}
	if r.CommonName == "" {
		return fail(errors.New("the common name is missing"))
	}
	if r.Lifetime <= 0 {
		return fail(fmt.Errorf("a lifetime of %s is none", r.Lifetime))
	}
	if !now.Before(a.ca.NotAfter) {
		return fail(fmt.Errorf("the CA expired on %s", a.ca.NotAfter.UTC().Format(time.RFC3339)))
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	parsed, err := parseRequest(request)
	if err != nil {
		return fail(err)
	}
	if have := keypair.Algorithm(parsed.PublicKey); have != algorithm {
		return fail(fmt.Errorf("the request is for a key of %s, not of %s", cmp.Or(have, "another algorithm"), algorithm))
	}
	public, err := keypair.Fingerprint(parsed.PublicKey)
	if err != nil {
		return fail(err)
	}
	subject := &signer.Subject{CN: r.CommonName}
	for _, o := range r.Organization {
		subject.Names = append(subject.Names, csr.Name{O: o})
	}
	ca := a.CA()
	start := now.Add(-pki.Backdate)
	if start.Before(a.ca.NotBefore) {
		start = a.ca.NotBefore
	}
	text, err := a.signer.Sign(signer.SignRequest{
		Hosts:     append([]string{}, pki.CanonicalSANs(r.SANs)...), // not nil: nil would take the request's
		Request:   string(request),
		Subject:   subject,
		Profile:   string(r.Profile),
		NotBefore: start,
		NotAfter:  pki.NotAfter(now, r.Lifetime, ca),
	})
	if err != nil {
		return fail(err)
	}
	leaf, err := first(text)
	if err != nil {
		return fail(err)
	}
	made := describe(leaf, a.ca)
	if why := pki.Mismatch(made, pki.Want{Request: r, CA: ca, KeyAlgorithm: algorithm, PublicKey: public, Now: now}); why != nil {
		return fail(fmt.Errorf("the signer made something else: %v", why))
	}
	return text, made, nil
}

// parseRequest takes a request apart; its signature is not checked.
func parseRequest(request []byte) (*x509.CertificateRequest, error) {
	if len(request) > pki.MaxRequest {
		return nil, fmt.Errorf("the request has more than %d bytes", pki.MaxRequest)
	}
	block, _ := pem.Decode(request)
	if block == nil {
		return nil, errors.New("the request is not in PEM form")
	}
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the request is damaged: %w", err)
	}
	return parsed, nil
}

// operatorKey is the algorithm of a run's own key.
const operatorKey = "ecdsa-p256"

// ofThisRun is a run's own key, in memory only, and what its certificates are asked for with.
var ofThisRun = sync.OnceValues(func() (own struct {
	key     crypto.Signer
	request []byte
}, err error) {
	if own.key, err = keypair.Generate(operatorKey); err == nil {
		own.request, err = keypair.Request(own.key, node.OperatorName)
	}
	return own, err
})

// Operator makes a client certificate for one run: its key is in memory only
// and it ends after lifetime. Roots trusts the CA's bundle and nothing else.
func (a *Authority) Operator(ctx context.Context, now time.Time, lifetime time.Duration) (tls.Certificate, *x509.CertPool, error) {
	own, err := ofThisRun()
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	text, _, err := a.Sign(ctx, own.request, operatorKey, pki.Request{Profile: pki.Client, CommonName: node.OperatorName, Lifetime: lifetime}, now)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf, err := first(text)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.bundle)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: own.key, Leaf: leaf}, roots, nil
}
