package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"

	"quorate/pki"
)

// leastRSA is the length of an RSA key in bits below which TLS libraries and
// distributions' policies refuse a chain (NIST SP 800-131A).
const leastRSA = 2048

// Extensions that belong to a key (RFC 5280, 4.2.1.1 and 4.2.1.2).
var (
	authorityKeyID = asn1.ObjectIdentifier{2, 5, 29, 35}
	subjectKeyID   = asn1.ObjectIdentifier{2, 5, 29, 14}
)

// trial finds out whether certificates that a CA signs will be taken, without
// its key: a CA with the same constraints and a key of the moment signs one for each
// request, and each is verified for its names and usages as TLS does it. The error
// says what the CA lacks.
func trial(ca *x509.Certificate, requests []pki.Request, now time.Time) error {
	if key, ok := ca.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < leastRSA {
		return fmt.Errorf("its RSA key has %d bits, and TLS wants at least %d: take another CA", key.N.BitLen(), leastRSA)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	// Whatever extension restricts the CA is in the substitute as it stands, also one that Go does not know.
	restrictions := slices.DeleteFunc(slices.Clone(ca.Extensions), func(e pkix.Extension) bool {
		return e.Id.Equal(subjectKeyID) || e.Id.Equal(authorityKeyID)
	})
	stand, err := made(&x509.Certificate{
		Subject: ca.Subject, SerialNumber: big.NewInt(1), NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		IsCA: true, BasicConstraintsValid: true, ExtraExtensions: restrictions,
	}, nil, key)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(stand)
	for i, r := range requests {
		leaf := &x509.Certificate{Subject: pkix.Name{CommonName: r.CommonName}, SerialNumber: big.NewInt(int64(i) + 2), NotBefore: now, NotAfter: now.Add(time.Minute), KeyUsage: x509.KeyUsageDigitalSignature}
		for _, name := range r.SANs {
			if ip := net.ParseIP(name); ip != nil {
				leaf.IPAddresses = append(leaf.IPAddresses, ip)
			} else {
				leaf.DNSNames = append(leaf.DNSNames, name)
			}
		}
		server, client := pki.Usages(r.Profile)
		if server {
			leaf.ExtKeyUsage = append(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		}
		if client {
			leaf.ExtKeyUsage = append(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
		}
		if leaf, err = made(leaf, stand, key); err != nil {
			return err
		}
		for _, usage := range leaf.ExtKeyUsage {
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
				return fmt.Errorf("a %s certificate that it signs for %q would not be accepted for %s: %w; take a CA that may sign both client and server certificates for these names",
					r.Profile, r.CommonName, map[x509.ExtKeyUsage]string{x509.ExtKeyUsageServerAuth: "servers", x509.ExtKeyUsageClientAuth: "clients"}[usage], err)
			}
		}
	}
	return nil
}

// made signs a certificate by parent, nil for itself, with one key for all.
func made(template, parent *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("cannot try what the CA may sign: %w", err)
	}
	return x509.ParseCertificate(der)
}
