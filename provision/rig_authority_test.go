package provision_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	pathpkg "path"
	"slices"
	"strings"
	"sync"
	"time"

	"quorate/pki"
	"quorate/plan"
	"quorate/plan/spec"
)

// authority is a CA whose certificates are JSON.
type authority struct {
	mu      sync.Mutex
	ca      *pki.Certificate
	clients map[string]pki.Certificate
	// endpoints are what the files of the clients say.
	endpoints map[string]string
	serial    int
	noted     *plan.Recorded
	locked    bool   // its key is encrypted, and nobody is there to open it
	opened    int    // how often a certificate was made for a run
	refuses   string // a name for which nobody would take its certificates
}

func encode(c pki.Certificate) []byte { b, _ := json.Marshal(c); return append(b, '\n') }

func (a *authority) Look() (plan.CA, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ca == nil {
		return plan.CA{}, nil
	}
	return plan.CA{Exists: true, PEM: string(encode(*a.ca)), Cert: *a.ca}, nil
}

func (a *authority) Try(requests []pki.Request) error {
	for _, r := range requests {
		if slices.Contains(r.SANs, a.refuses) {
			return fmt.Errorf("%q is not permitted", a.refuses)
		}
	}
	return nil
}

func (a *authority) Create(c *plan.CreateCA) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.serial++
	a.ca = &pki.Certificate{Subject: c.CommonName, IsCA: true, Fingerprint: fmt.Sprintf("ca-%d", a.serial), NotAfter: now.Add(c.Lifetime), KeyAlgorithm: c.Algorithm}
	return nil
}

func (a *authority) sign(r pki.Request, algorithm string) pki.Certificate {
	a.serial++
	s, c := pki.Usages(r.Profile)
	return pki.Certificate{Subject: r.CommonName, Organization: r.Organization, SANs: r.SANs, Profiles: pki.Profiles(s, c), KeyAlgorithm: algorithm,
		NotBefore: now.Add(-pki.Backdate), NotAfter: now.Add(r.Lifetime), Fingerprint: fmt.Sprintf("cert-%d", a.serial), Issuer: a.ca.Fingerprint}
}

func (a *authority) Sign(_ context.Context, csr []byte, algorithm string, r pki.Request) ([]byte, pki.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !strings.HasPrefix(string(csr), "csr for ") {
		return nil, pki.Certificate{}, errors.New("that is no request")
	}
	c := a.sign(r, algorithm)
	return encode(c), c, nil
}

func (a *authority) Parse(pem []byte, _ plan.CA) (c pki.Certificate, err error) {
	return c, json.Unmarshal(pem, &c)
}

func (a *authority) Operator(context.Context, time.Duration) (*tls.Config, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ca == nil || a.locked {
		return nil, errors.New("there is no CA that could sign")
	}
	a.opened++
	return &tls.Config{}, nil
}

func (a *authority) Encrypt() (bool, error) { return false, nil }

func (a *authority) Ready() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ca != nil && !a.locked
}

func (a *authority) ClientTLS(name string) (*tls.Config, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.clients[name]; !ok {
		return nil, errors.New("no such client certificate")
	}
	return &tls.Config{}, nil
}

func (a *authority) LookClient(c *spec.Client) (plan.ClientFiles, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	cert, ok := a.clients[c.Name]
	if !ok {
		return plan.ClientFiles{Endpoints: a.endpoints[c.Name]}, nil
	}
	return plan.ClientFiles{Cert: &cert, Key: true, Bundle: cert.Issuer, Endpoints: a.endpoints[c.Name]}, nil
}

func (a *authority) WriteEndpoints(path, content string) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.endpoints == nil {
		a.endpoints = map[string]string{}
	}
	name := pathpkg.Base(pathpkg.Dir(path))
	changed := a.endpoints[name] != content
	a.endpoints[name] = content
	return changed, nil
}

func (a *authority) IssueClient(_ context.Context, i *plan.IssueClient) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.clients == nil {
		a.clients = map[string]pki.Certificate{}
	}
	a.clients[i.Name] = a.sign(i.Certificate.Request, i.Certificate.Algorithm)
	return nil
}

func (a *authority) Recorded() (*plan.Recorded, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.noted, nil
}

func (a *authority) Remember(_ string, r *plan.Recorded) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.noted = r
	return true, nil
}

func (a *authority) Forget(f *plan.Forget) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.noted = nil
	if len(f.Files) == 1 && strings.HasSuffix(f.Files[0], "cluster.json") {
		return nil
	}
	a.ca, a.clients, a.endpoints = nil, nil, nil
	return nil
}
