package world

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"quorate/pki"
	"quorate/pki/authority"
	"quorate/plan"
	"quorate/plan/spec"
)

// operator is provision.Authority on a folder of the operator's.
type operator struct {
	cluster *spec.Cluster
	store   authority.Store
	clock   func() time.Time

	mu   sync.Mutex
	open *authority.Authority
}

func newAuthority(c *spec.Cluster, e Environment) *operator {
	t := c.TLS
	s := authority.Store{
		Dir: within(c, t.Dir), KeyAlgorithm: t.KeyAlgorithm, Lifetime: t.CALifetime,
		Cert: within(c, t.CACert), Key: within(c, t.CAKey),
		Encryption: authority.Encryption{Prompt: e.Prompt},
	}
	if enc := t.Encryption; enc != nil {
		s.Encryption = authority.Encryption{
			Wanted: true, Passphrase: enc.Passphrase.Reveal(), Prompt: e.Prompt,
			Recipients: enc.Recipients, IdentityFile: within(c, enc.IdentityFile),
		}
	}
	return &operator{cluster: c, store: s, clock: e.Clock}
}

// Look implements provision.Authority.
func (o *operator) Look() (plan.CA, error) {
	st, err := o.store.Look(o.clock())
	if err != nil {
		return plan.CA{}, err
	}
	return plan.CA{
		Unsealed: st.Unsealed, Exists: st.Exists, PEM: string(st.Bundle), Cert: st.Certificate, Encrypted: st.Encrypted,
		Own: o.store.Cert != "", Problem: st.Problem,
	}, nil
}

// Try implements provision.Authority.
func (o *operator) Try(requests []pki.Request) error { return o.store.Try(requests, o.clock()) }

// Create implements provision.Authority.
func (o *operator) Create(a *plan.CreateCA) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.store
	s.Dir, s.Name, s.KeyAlgorithm, s.Lifetime = within(o.cluster, a.Dir), a.CommonName, a.Algorithm, a.Lifetime
	if err := ignoreKeys(s.Dir); err != nil {
		return err
	}
	var err error
	o.open, _, err = s.Open(o.clock())
	return err
}

// ignoreKeys comes before the first key, so that an interruption leaves none to be committed.
func ignoreKeys(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make folder %s: %w", dir, err)
	}
	return Ignore(dir, IgnoreKeys)
}

// authority opens the CA with its key, once. One that is not there is an
// error: only Create makes it.
func (o *operator) authority() (*authority.Authority, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open != nil {
		return o.open, nil
	}
	now := o.clock()
	st, err := o.store.Look(now)
	if err != nil {
		return nil, err
	}
	if !st.Exists && st.Problem == "" {
		return nil, fmt.Errorf("there is no CA in %s", o.store.Dir)
	}
	o.open, _, err = o.store.Open(now)
	return o.open, err
}

// Encrypt implements provision.Authority.
func (o *operator) Encrypt() (bool, error) { return o.store.Encrypt() }

// Sign implements provision.Authority.
func (o *operator) Sign(ctx context.Context, csr []byte, algorithm string, r pki.Request) ([]byte, pki.Certificate, error) {
	a, err := o.authority()
	if err != nil {
		return nil, pki.Certificate{}, err
	}
	return a.Sign(ctx, csr, algorithm, r, o.clock())
}

// Parse implements provision.Authority.
func (o *operator) Parse(text []byte, ca plan.CA) (pki.Certificate, error) {
	return authority.Parse(text, []byte(ca.PEM))
}

// Operator implements provision.Authority.
func (o *operator) Operator(ctx context.Context, lifetime time.Duration) (*tls.Config, error) {
	a, err := o.authority()
	if err != nil {
		return nil, err
	}
	cert, roots, err := a.Operator(ctx, o.clock(), lifetime)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// Ready implements provision.Authority.
func (o *operator) Ready() bool {
	o.mu.Lock()
	opened := o.open != nil
	o.mu.Unlock()
	if opened {
		return true
	}
	st, err := o.store.Look(o.clock())
	return err == nil && st.Exists && st.Problem == "" && !st.Encrypted
}

// ClientTLS implements provision.Authority.
func (o *operator) ClientTLS(name string) (*tls.Config, error) {
	i := slices.IndexFunc(o.cluster.Clients, func(c *spec.Client) bool { return c.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("cluster %q has no client %q in its spec", o.cluster.Name, name)
	}
	f := authority.ClientFiles(within(o.cluster, o.cluster.Clients[i].Dir), name)
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("cannot use the client certificate %q: %w", name, err)
	}
	text, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("cannot read the CA certificate beside the client certificate %q: %w", name, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", f.CA)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

// LookClient implements provision.Authority.
func (o *operator) LookClient(c *spec.Client) (plan.ClientFiles, error) {
	var out plan.ClientFiles
	ca, err := o.store.Look(o.clock())
	if err != nil {
		return out, err
	}
	dir := within(o.cluster, c.Dir)
	text, err := os.ReadFile(filepath.Join(dir, c.Name, "endpoints"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return out, err
	}
	out.Endpoints = string(text)
	st, err := authority.LookClient(dir, c.Name, ca.Bundle)
	if err != nil || !st.Exists {
		return out, err
	}
	out.Cert = &st.Certificate
	beside, err := os.ReadFile(authority.ClientFiles(dir, c.Name).CA)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return out, err
	}
	if said, err := authority.Parse(beside, nil); err == nil {
		out.Bundle = said.Fingerprint
	}
	if st.Problem != "" {
		// Held against the CA file that lies there, only the key is left to complain about.
		if st, err = authority.LookClient(dir, c.Name, beside); err != nil {
			return out, err
		}
	}
	out.Key = st.Problem == ""
	return out, nil
}

// IssueClient implements provision.Authority.
func (o *operator) IssueClient(ctx context.Context, c *plan.IssueClient) error {
	a, err := o.authority()
	if err != nil {
		return err
	}
	dir := within(o.cluster, c.Dir)
	// The CA's folder says so for all below it.
	if rel, err := filepath.Rel(o.store.Dir, dir); err != nil || !filepath.IsLocal(rel) {
		if err := ignoreKeys(dir); err != nil {
			return err
		}
	}
	_, err = a.IssueClient(ctx, dir, c.Name, c.Certificate.Algorithm, c.Certificate.Request, o.clock())
	return err
}

// Forget implements provision.Authority.
func (o *operator) Forget(a *plan.Forget) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = nil
	if a.Move != nil {
		err := os.Rename(within(o.cluster, a.Move.From), within(o.cluster, a.Move.To))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot move %s aside: %w", a.Move.From, err)
		}
	}
	for _, f := range a.Files {
		if err := os.Remove(within(o.cluster, f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot remove %s: %w", f, err)
		}
	}
	for _, d := range a.Dirs {
		if err := unignore(within(o.cluster, d)); err != nil {
			return fmt.Errorf("cannot tidy folder %s: %w", d, err)
		}
		err := os.Remove(within(o.cluster, d))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.EEXIST) {
			return fmt.Errorf("cannot remove folder %s: %w", d, err)
		}
	}
	return nil
}
