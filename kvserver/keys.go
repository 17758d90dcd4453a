package kvserver

// KeyRequest asks a host for a key and a CSR for it. `kvserver keys` reads a
// list of these as JSON on its standard input. A key that is to be made is made
// at Path.new, from where `kvserver certificates` puts it in place together with
// its certificate: a member never sees a key that its certificate does not fit.
// One that is there already at Path.new is used: an earlier run has not come to its end.
type KeyRequest struct {
	// Path of the private key (PEM, PKCS#8, mode 0600).
	Path      string `json:"path"`
	Algorithm string `json:"algorithm"`
	// CommonName is what the CSR says; the CA decides what the certificate says.
	CommonName string `json:"common_name"`
	// Owner of the key file, empty for the caller.
	Owner string `json:"owner,omitempty"`
}

// KeyAnswer is the answer to one KeyRequest: `kvserver keys` writes a list of these as JSON.
type KeyAnswer struct {
	Path    string `json:"path"`
	Created bool   `json:"created"`
	// New: the key of the CSR lies at Path.new.
	New bool   `json:"new,omitempty"`
	CSR string `json:"csr"` // PEM
}

// NewSuffix is what a key or certificate is called that waits beside its place.
const NewSuffix = ".new"

// KeyLook is what there is at the path of a key: `kvserver keys --look` writes
// a list of these as JSON. A fingerprint is the sha256 (hex) of the public key's
// SubjectPublicKeyInfo, as in pki.Certificate.PublicKey.
type KeyLook struct {
	Path      string `json:"path"`
	Exists    bool   `json:"exists"`
	PublicKey string `json:"public_key,omitempty"`
	Algorithm string `json:"algorithm,omitempty"` // as in the spec
	// New is the key that waits at Path.new.
	New          bool   `json:"new,omitempty"`
	NewPublicKey string `json:"new_public_key,omitempty"`
	// Problem says why a fingerprint is not known of something that is there.
	Problem string `json:"problem,omitempty"`
}

// Certificates asks a host to put certificates in place with their keys:
// `kvserver certificates` reads one as JSON on its standard input.
type Certificates struct {
	Pairs []CertificatePair `json:"pairs"`
	// CA is written first; nil leaves it as it is.
	CA *CertificateFile `json:"ca,omitempty"`
}

// CertificatePair is a certificate, and the key that it is for.
type CertificatePair struct {
	Key         string          `json:"key"` // path
	Certificate CertificateFile `json:"certificate"`
}

// CertificateFile is one file of certificates.
type CertificateFile struct {
	Path string `json:"path"`
	PEM  string `json:"pem"`
	// Owner of it, and of the key beside it; empty for the caller.
	Owner string `json:"owner,omitempty"`
	Mode  uint32 `json:"mode,omitempty"` // permissions; 0: 0644
}

// CertificatesAnswer says what was changed: paths, in the order they were
// changed; empty if all was so already.
type CertificatesAnswer struct {
	Changed []string `json:"changed"`
	// Keys are the sha256 (hex) of the files of the keys that the certificates are for, by path: by
	// it a later look sees, without reading a key, that another one lies there.
	Keys map[string]string `json:"keys,omitempty"`
}
