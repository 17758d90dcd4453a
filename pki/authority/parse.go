package authority

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"quorate/pki"
	"quorate/pki/keypair"
)

// Parse reads the first certificate of a PEM text. If ca (PEM, may be empty; its
// first certificate counts) signed it, Issuer is the CA's fingerprint. Time
// does not matter here: whether it still serves is [pki.Mismatch]'s business.
func Parse(text, ca []byte) (pki.Certificate, error) {
	c, err := first(text)
	if err != nil {
		return pki.Certificate{}, err
	}
	var issuer *x509.Certificate
	if len(ca) > 0 {
		if issuer, err = first(ca); err != nil {
			return pki.Certificate{}, errors.New("the CA: " + err.Error())
		}
	}
	return describe(c, issuer), nil
}

// describe says what a certificate says.
func describe(c, ca *x509.Certificate) pki.Certificate {
	d := pki.Certificate{
		Subject:      c.Subject.CommonName,
		Organization: slices.Sorted(slices.Values(c.Subject.Organization)),
		IsCA:         c.IsCA,
		KeyAlgorithm: keypair.Algorithm(c.PublicKey),
		NotBefore:    c.NotBefore.UTC(),
		NotAfter:     c.NotAfter.UTC(),
		Serial:       c.SerialNumber.Text(16),
		Fingerprint:  fmt.Sprintf("%x", sha256.Sum256(c.Raw)),
		PublicKey:    fmt.Sprintf("%x", sha256.Sum256(c.RawSubjectPublicKeyInfo)),
	}
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	names = append(names, c.EmailAddresses...)
	if len(names) > 0 {
		d.SANs = pki.CanonicalSANs(names)
	}
	if !c.IsCA {
		any := slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
		d.Profiles = pki.Profiles(
			any || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth),
			any || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth))
	}
	if ca != nil && bytes.Equal(c.RawIssuer, ca.RawSubject) &&
		(bytes.Equal(c.Raw, ca.Raw) || ca.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil) {
		d.Issuer = fmt.Sprintf("%x", sha256.Sum256(ca.Raw))
	}
	return d
}

// first decodes the first certificate of a PEM text.
func first(text []byte) (*x509.Certificate, error) {
	for {
		var block *pem.Block
		block, text = pem.Decode(text)
		if block == nil {
			return nil, errors.New("no certificate in PEM form found")
		}
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
}
