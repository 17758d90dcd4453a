package provision

import (
	"context"
	"encoding/json"
	"fmt"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/provision/host"
)

// certificates has the host make what keys are missing and their requests,
// signs them here, and installs the certificates with the CA: two calls.
func (r *run) certificates(ctx context.Context, s plan.Step, a *plan.Certificates) (outcome, error) {
	h, err := r.session.Host(ctx, s.Member)
	if err != nil {
		return outcome{}, err
	}
	var w host.WriteRequest
	if len(a.Issue) > 0 {
		csrs, err := keys(ctx, h, a)
		if err != nil {
			return outcome{}, err
		}
		for _, c := range a.Issue {
			pem, _, err := r.session.world.Authority.Sign(csrs[c.Key], c.Request)
			if err != nil {
				return outcome{}, fmt.Errorf("cannot sign the %s certificate: %w", c.Request.Profile, err)
			}
			w.Files = append(w.Files, host.File{Path: c.Path, Mode: 0o644, Owner: a.Owner, Content: pem})
		}
	}
	ca, err := r.session.world.Authority.Look()
	if err != nil {
		return outcome{}, err
	}
	w.Files = append(w.Files, host.File{Path: a.CA, Mode: 0o644, Owner: a.Owner, Content: []byte(ca.PEM)})
	changes, err := h.Write(ctx, w)
	if err != nil {
		return outcome{}, err
	}
	var out outcome
	for _, c := range changes {
		out.changed = out.changed || c.Changed
	}
	return out, nil
}

// keys asks the helper on the host for a signing request per key. The keys stay there.
func keys(ctx context.Context, h host.Host, a *plan.Certificates) (map[string][]byte, error) {
	var ask []kvserver.KeyRequest
	for _, c := range a.Issue {
		ask = append(ask, kvserver.KeyRequest{Path: c.Key, Algorithm: c.Algorithm, CommonName: c.Request.CommonName, Owner: a.Owner})
	}
	in, err := json.Marshal(ask)
	if err != nil {
		return nil, err
	}
	res, err := h.Run(ctx, host.Command{Argv: []string{a.Helper, "keys"}, Stdin: in})
	if err != nil {
		return nil, fmt.Errorf("cannot make keys on host %q: %w", h.Name(), err)
	}
	var answers []kvserver.KeyAnswer
	if err := json.Unmarshal(res.Stdout, &answers); err != nil {
		return nil, fmt.Errorf("cannot read the answer of kvserver keys on host %q: %w", h.Name(), err)
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
