package authority

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"quorate/internal/durable"
	"quorate/pki"
	"quorate/pki/keypair"
)

// Files are the three files that a consumer of the cluster is given on the
// operator's side: its certificate, its key and the CA.
type Files struct{ Cert, Key, CA string }

// ClientFiles names them: <name>.pem, <name>-key.pem and ca.pem in dir.
func ClientFiles(dir, name string) Files {
	return Files{
		Cert: filepath.Join(dir, name+".pem"),
		Key:  filepath.Join(dir, name+"-key.pem"),
		CA:   filepath.Join(dir, "ca.pem"),
	}
}

// ClientState is what lies in the place of a client's files.
type ClientState struct {
	// Exists: the certificate is there and can be read.
	Exists      bool
	Certificate pki.Certificate
	// Problem says what is wrong with the files beside the certificate's own
	// contents (key missing or foreign, CA file old); "" if nothing is.
	Problem string
}

// LookClient says what is there. ca is the bundle that ca.pem should hold and
// the certificate be signed by; nil if there is no CA yet. Whether the
// certificate serves is [pki.Mismatch]'s business.
func LookClient(dir, name string, ca []byte) (ClientState, error) {
	var st ClientState
	f := ClientFiles(dir, name)
	text, err := os.ReadFile(f.Cert)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return st, nil
	case err != nil:
		return st, fmt.Errorf("cannot look at the certificate of client %q: %w", name, err)
	}
	if st.Certificate, err = Parse(text, ca); err != nil {
		st.Problem = fmt.Sprintf("%s: %v", f.Cert, err)
		return st, nil
	}
	st.Exists = true
	key, err := clientKey(f.Key)
	if err != nil {
		st.Problem = err.Error()
		return st, nil
	}
	if public, err := keypair.Fingerprint(key.Public()); err != nil || public != st.Certificate.PublicKey {
		st.Problem = fmt.Sprintf("the key %s does not belong to the certificate", f.Key)
		return st, nil
	}
	have, err := os.ReadFile(f.CA)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return st, fmt.Errorf("cannot look at the files of client %q: %w", name, err)
	}
	if !bytes.Equal(have, ca) {
		st.Problem = fmt.Sprintf("%s is not the cluster's CA", f.CA)
	}
	return st, nil
}

func clientKey(path string) (crypto.Signer, error) {
	text, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the key %s is missing", path)
	} else if err != nil {
		return nil, fmt.Errorf("cannot use the key %s: %w", path, err)
	}
	key, err := keypair.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// IssueClient puts a client's files in place, each atomically. A key of the
// algorithm asked for is kept; any other is replaced, after the certificate
// has been made. The key goes first: cut in between, [LookClient] sees that
// they do not belong together.
func (a *Authority) IssueClient(ctx context.Context, dir, name, algorithm string, r pki.Request, now time.Time) (pki.Certificate, error) {
	fail := func(err error) (pki.Certificate, error) {
		return pki.Certificate{}, fmt.Errorf("cannot issue the certificate of client %q: %w", name, err)
	}
	f := ClientFiles(dir, name)
	key, err := clientKey(f.Key)
	if err != nil || keypair.Algorithm(key.Public()) != algorithm {
		if key, err = keypair.Generate(algorithm); err != nil {
			return fail(err)
		}
	}
	request, err := keypair.Request(key, r.CommonName)
	if err != nil {
		return fail(err)
	}
	cert, made, err := a.Sign(ctx, request, algorithm, r, now)
	if err != nil {
		return pki.Certificate{}, err
	}
	text, err := keypair.Encode(key)
	if err != nil {
		return fail(err)
	}
	if err := put(durable.Write, f.Key, text, 0o600); err != nil {
		return fail(err)
	}
	if err := put(durable.Write, f.Cert, cert, 0o644); err != nil {
		return fail(err)
	}
	if err := put(durable.Write, f.CA, a.bundle, 0o644); err != nil {
		return fail(err)
	}
	return made, nil
}
