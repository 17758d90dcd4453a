package authority

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cloudflare/cfssl/csr"
	"github.com/cloudflare/cfssl/initca"
	"github.com/cloudflare/cfssl/signer"
	"github.com/cloudflare/cfssl/signer/local"

	"quorate/internal/durable"
	"quorate/pki"
	"quorate/pki/keypair"
)

// Store is where a CA is kept: a folder of the operator's with ca.pem and
// ca-key.pem (0600), or ca-key.pem.age when the key is encrypted; or the
// operator's own CA, which is only read.
type Store struct {
	// Dir is the folder; made (0700) when the CA is.
	Dir string
	// Name is the common name of a CA made here.
	Name string
	// KeyAlgorithm and Lifetime of a CA made here.
	KeyAlgorithm string
	Lifetime     time.Duration
	Encryption   Encryption
	// Cert and Key, both or neither, name the operator's own CA: PEM files,
	// the key may be encrypted with age. Dir is then not used.
	Cert, Key string
}

// State is what a look at the store found.
type State struct {
	// Exists: there is a CA that could sign, as far as can be seen without its key.
	Exists bool
	// Certificate of the CA; zero if there is none.
	Certificate pki.Certificate
	// Bundle is ca.pem as it lies there.
	Bundle []byte
	// Encrypted: the key is encrypted with age.
	Encrypted bool
	// Unsealed: a plain key lies there although it is to be encrypted: [Store.Encrypt] ends that.
	Unsealed bool
	// Problem says why the CA cannot sign, or be made; "" if it can. It names the way out.
	Problem string
}

func (s Store) own() bool      { return s.Cert != "" || s.Key != "" }
func (s Store) plain() string  { return filepath.Join(s.Dir, "ca-key.pem") }
func (s Store) sealed() string { return filepath.Join(s.Dir, "ca-key.pem.age") }
func (s Store) certPath() string {
	if s.own() {
		return s.Cert
	}
	return filepath.Join(s.Dir, "ca.pem")
}

// Look says what is there without opening the key, so that a plan never needs
// its passphrase; see also [Store.Try]. Neither CA nor problem means that the next [Store.Open] makes one.
// The error is about looking itself.
func (s Store) Look(now time.Time) (State, error) {
	var st State
	if s.own() && (s.Cert == "" || s.Key == "") {
		return st, errors.New("cannot use your own CA: ca_cert and ca_key go together")
	}
	// The certificate first: it is made after its key, so whoever sees one that is just being made sees its key too.
	text, readErr := os.ReadFile(s.certPath())
	keyPath, haveKey, err := s.findKey()
	if err != nil {
		return st, fmt.Errorf("cannot look for the CA key: %w", err)
	}
	if s.Encryption.Wanted && !s.own() {
		if st.Unsealed, err = exists(s.plain()); err != nil {
			return st, fmt.Errorf("cannot look for the CA key: %w", err)
		}
	}
	switch err = readErr; {
	case errors.Is(err, fs.ErrNotExist) && s.own():
		st.Problem = fmt.Sprintf("your own CA certificate %s does not exist", s.Cert)
		return st, nil
	case errors.Is(err, fs.ErrNotExist):
		// With or without a key: Open makes what lacks, if it may use the key.
		if !haveKey {
			return st, nil
		}
		st.Encrypted, st.Problem, err = lookKey(keyPath)
		return st, err
	case err != nil:
		return st, fmt.Errorf("cannot read the CA certificate: %w", err)
	}
	ca, err := first(text)
	if err != nil {
		st.Problem = s.lacking(err).Error()
		return st, nil
	}
	st.Bundle, st.Certificate = text, describe(ca, nil) // who signed the CA matters to nobody here
	if !haveKey {
		st.Problem = fmt.Sprintf("the CA certificate %s is there but its key %s is not: put the key back from where you keep it, or move the certificate away to have a new CA (every certificate is then issued anew)", s.certPath(), keyPath)
		return st, nil
	}
	if st.Encrypted, st.Problem, err = lookKey(keyPath); err != nil || st.Problem != "" {
		return st, err
	}
	if err := usable(ca, now); err != nil {
		st.Problem = s.lacking(err).Error()
		return st, nil
	}
	st.Exists = true
	return st, nil
}

// Try finds out, without the key, whether the certificates that are to be signed will be
// taken by who checks them. The error says what the CA lacks and names its file.
func (s Store) Try(requests []pki.Request, now time.Time) error {
	text, err := os.ReadFile(s.certPath())
	if err != nil {
		return fmt.Errorf("cannot read the CA certificate: %w", err)
	}
	ca, err := first(text)
	if err == nil {
		err = trial(ca, requests, now)
	}
	if err != nil {
		return s.lacking(err)
	}
	return nil
}

// lacking names the CA's file beside what is wrong with it.
func (s Store) lacking(err error) error {
	return fmt.Errorf("CA certificate %s: %w", s.certPath(), err)
}

// Open gives the authority, and makes the CA if there is none (created). A key
// without its certificate, as an interrupted making leaves it, is taken up again.
// Nothing existing is ever replaced, and a CA that is there is only read.
func (s Store) Open(now time.Time) (a *Authority, created bool, err error) {
	st, err := s.Look(now)
	if err != nil {
		return nil, false, err
	}
	if st.Problem != "" {
		return nil, false, errors.New("cannot open the CA: " + st.Problem)
	}
	if !st.Exists {
		a, err = s.create(now)
		return a, err == nil, err
	}
	ca, err := first(st.Bundle)
	if err != nil {
		return nil, false, err
	}
	key, err := s.key()
	if err != nil {
		return nil, false, fmt.Errorf("cannot open the CA key: %w", err)
	}
	public, err := keypair.Fingerprint(key.Public())
	if err != nil {
		return nil, false, err
	}
	if public != st.Certificate.PublicKey {
		return nil, false, fmt.Errorf("cannot open the CA: the key does not belong to the certificate %s", s.certPath())
	}
	a, err = newAuthority(ca, st.Bundle, key)
	if err != nil {
		return nil, false, fmt.Errorf("cannot open the CA: %w", err)
	}
	return a, false, nil
}

// lookKey says what can be said about a key without opening it.
func lookKey(path string) (sealed bool, problem string, err error) {
	if sealed, err = encrypted(path); err != nil {
		return false, "", fmt.Errorf("cannot look at the CA key: %w", err)
	}
	if !sealed {
		if _, err := readPrivate(path); err != nil {
			problem = fmt.Sprintf("cannot use the CA key %s: %v", path, err)
		}
	}
	return sealed, problem, nil
}

// usable judges a CA certificate.
func usable(ca *x509.Certificate, now time.Time) error {
	switch {
	case !ca.IsCA || !ca.BasicConstraintsValid:
		return errors.New("it is not a CA certificate (basic constraints)")
	case ca.KeyUsage != 0 && ca.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("it may not sign certificates (key usage lacks certificate sign)")
	case !now.Before(ca.NotAfter):
		return fmt.Errorf("it expired on %s: a new CA is needed", ca.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(ca.NotBefore):
		return fmt.Errorf("it is not valid before %s: is this machine's clock right?", ca.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}

// findKey returns the path of the key and whether it is there. Of a plain and
// an encrypted one, the one that the spec asks for counts.
func (s Store) findKey() (string, bool, error) {
	if s.own() {
		there, err := exists(s.Key)
		return s.Key, there, err
	}
	first, second := s.plain(), s.sealed()
	if s.Encryption.Wanted {
		first, second = second, first
	}
	for _, path := range []string{first, second} {
		if there, err := exists(path); there || err != nil {
			return path, there, err
		}
	}
	return first, false, nil
}

// key reads the key; it changes nothing.
func (s Store) key() (crypto.Signer, error) {
	path, there, err := s.findKey()
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, fs.ErrNotExist
	}
	isSealed, err := encrypted(path)
	if err != nil {
		return nil, err
	}
	if isSealed {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		plain, err := s.Encryption.open(path, text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return decode(path, plain)
	}
	text, err := readPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return decode(path, text)
}

// Encrypt encrypts a plain CA key where that is wanted, opens what came of it
// once to be sure, and then removes the plain file. Interrupted, it is taken up
// again; where nothing is to be done it does nothing (changed false).
func (s Store) Encrypt() (changed bool, err error) {
	if !s.Encryption.Wanted || s.own() {
		return false, nil
	}
	plain, err := readPrivate(s.plain())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s is to be encrypted: %w", s.plain(), err)
	}
	if _, err := decode(s.plain(), plain); err != nil {
		return false, err
	}
	same := plain
	sealed, err := os.ReadFile(s.sealed())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if sealed, err = s.Encryption.sealed(s.sealed(), plain); err != nil {
			err = fmt.Errorf("%w; the plain key stays", err)
		} else {
			err = put(durable.Create, s.sealed(), sealed, 0o600)
		}
	case err == nil: // an earlier run came this far
		same, err = s.Encryption.open(s.sealed(), sealed)
	}
	if err == nil {
		err = s.removePlain(same)
	}
	if err != nil {
		return false, fmt.Errorf("%s is to be encrypted: %w", s.plain(), err)
	}
	return true, nil
}

func decode(path string, text []byte) (crypto.Signer, error) {
	key, err := keypair.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// removePlain removes ca-key.pem beside its encrypted form, the end of
// [Store.Encrypt]. One that holds something else stays, and is an error.
func (s Store) removePlain(same []byte) error {
	there, err := os.ReadFile(s.plain())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(there, same) {
		return fmt.Errorf("%s and %s hold different keys: move away the one that does not belong to the CA", s.plain(), s.sealed())
	}
	if err := os.Remove(s.plain()); err != nil {
		return err
	}
	return durable.SyncDir(s.Dir)
}

// create makes the CA: the key first, then the certificate, so that what an
// interruption leaves (a key alone) has signed nothing and is taken up again.
func (s Store) create(now time.Time) (*Authority, error) {
	fail := func(err error) (*Authority, error) {
		return nil, fmt.Errorf("cannot make the CA in %s: %w", s.Dir, err)
	}
	_, there, err := s.findKey()
	if err != nil {
		return fail(err)
	}
	var key crypto.Signer
	if there {
		if _, err := s.Encrypt(); err != nil {
			return fail(err)
		}
		if key, err = s.key(); err != nil {
			return fail(err)
		}
	} else {
		if key, err = keypair.Generate(s.KeyAlgorithm); err != nil {
			return fail(err)
		}
		text, err := keypair.Encode(key)
		if err != nil {
			return fail(err)
		}
		path := s.plain()
		if s.Encryption.Wanted {
			path = s.sealed()
			if text, err = s.Encryption.sealed(path, text); err != nil {
				return fail(err)
			}
		}
		if err := put(durable.Create, path, text, 0o600); err != nil {
			return fail(err)
		}
	}
	text, ca, err := selfSign(key, s.Name, now, s.Lifetime)
	if err != nil {
		return fail(err)
	}
	if err := put(durable.Create, s.certPath(), text, 0o644); err != nil {
		return fail(err)
	}
	a, err := newAuthority(ca, text, key)
	if err != nil {
		return fail(err)
	}
	return a, nil
}

// selfSign makes the CA's own certificate; it can sign leaves and no further CA.
func selfSign(key crypto.Signer, name string, now time.Time, lifetime time.Duration) (text []byte, ca *x509.Certificate, err error) {
	if name == "" || lifetime <= 0 {
		return nil, nil, fmt.Errorf("a CA needs a name and a lifetime, not %q and %s", name, lifetime)
	}
	policy := initca.CAPolicy()
	policy.Default.CAConstraint.MaxPathLenZero = true
	request, err := csr.Generate(key, &csr.CertificateRequest{CN: name, CA: &csr.CAConfig{PathLenZero: true}})
	if err != nil {
		return nil, nil, err
	}
	s, err := local.NewSigner(key, nil, signer.DefaultSigAlgo(key), policy)
	if err != nil {
		return nil, nil, err
	}
	text, err = s.Sign(signer.SignRequest{
		Request:   string(request),
		NotBefore: now.Add(-pki.Backdate),
		NotAfter:  now.Add(lifetime),
	})
	if err != nil {
		return nil, nil, err
	}
	ca, err = first(text)
	if err != nil {
		return nil, nil, err
	}
	if got := (pkix.Name{CommonName: name}).String(); ca.Subject.String() != got {
		return nil, nil, fmt.Errorf("the signer made %s, not %s", ca.Subject, got)
	}
	return text, ca, usable(ca, now)
}

// encrypted tells by its first bytes whether a file is encrypted with age.
func encrypted(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, 64)
	n, err := f.Read(head)
	if n == 0 && err != nil {
		return false, nil // empty: no key at all, which reading it will say
	}
	return bytes.HasPrefix(head[:n], []byte("age-encryption.org/")) || bytes.HasPrefix(bytes.TrimSpace(head[:n]), []byte("-----BEGIN AGE ENCRYPTED FILE")), nil
}
