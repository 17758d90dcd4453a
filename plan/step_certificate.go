package plan

import (
	"slices"
	"strings"

	"quorate/pki"
	"quorate/plan/spec"
)

// KindCertificate issues a host's certificates.
const KindCertificate Kind = "certificates"

// Certificates has the host make the keys that are missing, signs their
// requests and installs the certificates and the CA. Holds afterwards: each
// certificate says what was asked for, for the key beside it, from the
// cluster's CA. A key never leaves its host. No process is touched: etcd
// reads certificates anew for each handshake.
type Certificates struct {
	CA     string        `json:"ca"` // path on the host
	Owner  string        `json:"owner,omitempty"`
	Helper string        `json:"helper"` // kvserver on the host, which makes keys
	Issue  []Certificate `json:"issue,omitempty"`
}

// Certificate is one certificate to be there.
type Certificate struct {
	Path      string      `json:"path,omitempty"`
	Key       string      `json:"key,omitempty"`
	Algorithm string      `json:"algorithm"`
	Request   pki.Request `json:"request"`
	// Have is what lies there now, nil for nothing.
	Have *pki.Certificate `json:"have,omitempty"`
}

// Kind of the step.
func (*Certificates) Kind() Kind { return KindCertificate }

func (b *builder) certificates(m *spec.Member) {
	h, l := b.obs.Hosts[m.Name], b.layout[m.Name]
	a := &Certificates{CA: l.CA, Owner: b.userOwner(m), Helper: l.KVServer}
	var why, absent []string
	if reason := b.drift(m, File{Mode: 0o644, Digest: digest(b.obs.CA.PEM)}, b.userOwner(m), h.Files[l.CA]); reason != "" {
		why = append(why, l.CA+" "+reason)
	}
	for _, want := range b.memberCertificates(m) {
		reasons := b.certificateDrift(m, h, want)
		if len(reasons) == 0 {
			continue
		}
		if have, ok := h.Certificates[want.Path]; ok {
			want.Have = &have
		}
		a.Issue = append(a.Issue, want)
		if !h.Files[want.Key].Exists && !h.Files[want.Path].Exists {
			absent = append(absent, string(want.Request.Profile))
			continue
		}
		for _, r := range reasons {
			why = append(why, want.Path+": "+r)
		}
	}
	if len(absent) > 0 {
		why = append(why, "not there yet: "+strings.Join(absent, ", "))
	}
	if len(why) == 0 {
		return
	}
	needs := slices.Concat(b.ids(KindCA), b.idsOf(m.Name, KindPush, KindFiles))
	b.add(Step{
		Kind: KindCertificate, Member: m.Name, Reasons: why, Needs: needs,
		Title:  "issue certificates for " + m.Name,
		Action: a,
	})
}

func (b *builder) certificateDrift(m *spec.Member, h *Host, want Certificate) []string {
	key, file := h.Files[want.Key], h.Files[want.Path]
	if !key.Exists {
		return []string{"there is no key"}
	}
	if r := b.drift(m, File{Mode: 0o600}, b.userOwner(m), key); r != "" {
		return []string{"its key " + r}
	}
	if !file.Exists {
		return []string{"is missing"}
	}
	have, ok := h.Certificates[want.Path]
	if !ok {
		return []string{"is no certificate"}
	}
	if r := b.drift(m, File{Mode: 0o644}, b.userOwner(m), file); r != "" {
		return []string{r}
	}
	return b.mismatch(have, want)
}

// mismatch says why a certificate that is there does not serve.
func (b *builder) mismatch(have pki.Certificate, want Certificate) []string {
	return pki.Mismatch(have, pki.Want{
		Request: want.Request, CA: b.obs.CA.Cert, KeyAlgorithm: want.Algorithm, Now: b.opt.Now, RenewBefore: b.spec.TLS.RenewBefore,
	})
}

// memberCertificates are the three of a member: the server's with every name
// a client may use, the peer's, and one for tools on the host itself.
func (b *builder) memberCertificates(m *spec.Member) []Certificate {
	l, t := b.layout[m.Name], b.spec.TLS
	loopback := []string{"127.0.0.1", "::1", "localhost"}
	host := []string{m.Address, b.obs.Hosts[m.Name].Hostname}
	names := map[pki.Profile][]string{
		pki.Server: slices.Concat(loopback, host, t.ExtraSANs, m.ExtraSANs),
		pki.Peer:   slices.Concat(loopback, host),
	}
	var out []Certificate
	for _, p := range []pki.Profile{pki.Server, pki.Peer, pki.Client} {
		out = append(out, Certificate{
			Path: l.Cert(string(p)), Key: l.Key(string(p)), Algorithm: t.KeyAlgorithm,
			Request: pki.Request{Profile: p, CommonName: m.Name, SANs: pki.CanonicalSANs(names[p]), Lifetime: t.LeafLifetime},
		})
	}
	return out
}

func clientRequest(c *spec.Client, t spec.TLS) pki.Request {
	return pki.Request{Profile: pki.Client, CommonName: c.CommonName, Organization: c.Organization, Lifetime: t.LeafLifetime}
}
