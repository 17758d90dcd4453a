package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/provision/host"
)

// certificates has the host make what keys are missing and their requests,
// signs them here, and has the host put each certificate in place together
// with its key: two calls. A step without anything to issue installs the CA only.
func (r *run) certificates(ctx context.Context, h host.Host, s plan.Step, a *plan.Certificates) (outcome, error) {
	pairs, done, err := r.certify(ctx, h, a)
	if err != nil {
		return outcome{}, err
	}
	r.installed(s.Member, pairs, done.Keys)
	return outcome{changed: len(done.Changed) > 0}, nil
}

// certify is what was installed, and what the host says of it.
func (r *run) certify(ctx context.Context, h host.Host, a *plan.Certificates) (_ []kvserver.CertificatePair, done kvserver.CertificatesAnswer, err error) {
	ca, err := r.session.world.Authority.Look()
	if err != nil {
		return nil, done, err
	}
	want := kvserver.Certificates{CA: &kvserver.CertificateFile{Path: a.CA, PEM: ca.PEM, Owner: a.Owner, Mode: 0o644}}
	if len(a.Issue) > 0 {
		csrs, err := keys(ctx, h, a)
		if err != nil {
			return nil, done, err
		}
		for _, c := range a.Issue {
			pem, _, err := r.session.world.Authority.Sign(ctx, csrs[c.Key], c.Algorithm, c.Request)
			if err != nil {
				return nil, done, fmt.Errorf("cannot sign the %s certificate: %w", c.Request.Profile, err)
			}
			want.Pairs = append(want.Pairs, kvserver.CertificatePair{Key: c.Key,
				Certificate: kvserver.CertificateFile{Path: c.Path, PEM: string(pem), Owner: a.Owner, Mode: 0o644}})
		}
	}
	if err := helper(ctx, h, a.Helper, "certificates", want, &done); err != nil {
		return nil, done, fmt.Errorf("cannot install certificates on host %q: %w", h.Name(), err)
	}
	return want.Pairs, done, nil
}

// installed keeps the digests of the keys that certificates were installed for: the manifest notes them. Of
// what the host said, only what was asked counts, and only if it is a sha256.
func (r *run) installed(member string, pairs []kvserver.CertificatePair, said map[string]string) {
	keys := map[string]string{}
	for _, p := range pairs {
		if sum, err := hex.DecodeString(said[p.Key]); err == nil && len(sum) == sha256.Size {
			keys[p.Key] = hex.EncodeToString(sum)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys[member] = keys
}

// keys asks the helper on the host for a signing request per key. The keys stay there.
func keys(ctx context.Context, h host.Host, a *plan.Certificates) (map[string][]byte, error) {
	var ask []kvserver.KeyRequest
	for _, c := range a.Issue {
		ask = append(ask, kvserver.KeyRequest{Path: c.Key, Algorithm: c.Algorithm, CommonName: c.Request.CommonName, Owner: a.Owner})
	}
	var answers []kvserver.KeyAnswer
	if err := helper(ctx, h, a.Helper, "keys", ask, &answers); err != nil {
		return nil, fmt.Errorf("cannot make keys on host %q: %w", h.Name(), err)
	}
	out := map[string][]byte{}
	for _, k := range answers {
		out[k.Path] = []byte(k.CSR)
	}
	for _, k := range ask {
		if len(out[k.Path]) == 0 {
			return nil, fmt.Errorf("host %q gave no signing request for %s", h.Name(), k.Path)
		}
	}
	return out, nil
}

// helper runs a chore of kvserver's on the host: JSON in, JSON out.
func helper(ctx context.Context, h host.Host, binary, chore string, in, out any) error {
	stdin, err := json.Marshal(in)
	if err != nil {
		return err
	}
	res, err := h.Run(ctx, host.Command{Argv: []string{binary, chore}, Stdin: stdin})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(res.Stdout, out); err != nil {
		return fmt.Errorf("cannot read the answer of kvserver %s: %w", chore, err)
	}
	return nil
}
