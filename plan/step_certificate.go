package plan

import (
	"cmp"
	"slices"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/pki"
	"quorate/plan/spec"
)

// KindCertificate issues a host's certificates.
const KindCertificate Kind = "certificates"

// Certificates has the host make the keys that are missing, signs their
// requests and installs the certificates, each together with its key, and the
// CA. Holds afterwards: each certificate says what was asked for, for the key
// beside it, from the cluster's CA; no key waits beside another. A key never leaves its host. No process is touched: etcd
// reads certificates anew for each handshake.
type Certificates struct {
	quiet
	CA      string        `json:"ca"` // path on the host
	CADrift *Drift        `json:"ca_drift,omitempty"`
	Owner   string        `json:"owner,omitempty"`
	Helper  string        `json:"helper"` // kvserver on the host, which makes keys
	Issue   []Certificate `json:"issue,omitempty"`
}

// Certificate is one certificate to be there.
type Certificate struct {
	Path      string      `json:"path,omitempty"`
	Key       string      `json:"key,omitempty"`
	Algorithm string      `json:"algorithm"`
	Request   pki.Request `json:"request"`
	// Have is what lies there now, nil for nothing; Why says what is wrong with it.
	Have *pki.Certificate `json:"have,omitempty"`
	Why  []string         `json:"why,omitempty"`
}

// Kind of the step.
func (*Certificates) Kind() Kind { return KindCertificate }

// Phase of the step.
func (*Certificates) Phase() Phase { return PhaseSign }

// Describe names each certificate.
func (a *Certificates) Describe() Description {
	var d Description
	if a.CADrift != nil {
		d.Items = append(d.Items, Item{Path: a.CA, Sign: a.CADrift.sign(), Problem: a.CADrift.String()})
	}
	for _, c := range a.Issue {
		d.Items = append(d.Items, c.items()...)
		d.Certificates = append(d.Certificates, c.issued(""))
	}
	d.Sign = signOf(d.Items)
	return d
}

func (c Certificate) issued(holder string) Issued {
	return Issued{Holder: holder, Profile: string(c.Request.Profile), Lifetime: c.Request.Lifetime, SANs: c.Request.SANs, Had: c.Have}
}

// items of one certificate: a line for each reason.
func (c Certificate) items() []Item {
	sign := New
	if c.Have != nil {
		sign = Changed
	}
	var out []Item
	for _, w := range c.Why {
		out = append(out, Item{Path: c.Path, Sign: sign, Problem: w})
	}
	return out
}

func (b *builder) certificates(m *member) {
	if !m.may.sign {
		return
	}
	if a := b.unsigned(m); a != nil {
		b.add(draft{Step: Step{Member: m.Name, Title: "issue certificates for " + m.Name, Action: a}})
	}
}

// unsigned are the certificates that a member's host lacks or that do not serve; nil if there are none.
func (b *builder) unsigned(m *member) *Certificates {
	h, l := m.host, m.layout
	a := &Certificates{CA: l.CA, Owner: b.userOwner(m), Helper: l.KVServer}
	a.CADrift = drift(m.Member, node.FileState{Mode: 0o644, Digest: digest(b.obs.CA.PEM)}, b.userOwner(m), h.Files[l.CA])
	for _, want := range b.memberCertificates(m) {
		if want.Why = b.certificateDrift(m, want, b.userOwner(m)); len(want.Why) == 0 {
			continue
		}
		if have, ok := h.Certificates[want.Path]; ok {
			want.Have = &have
		}
		a.Issue = append(a.Issue, want)
	}
	if a.CADrift == nil && len(a.Issue) == 0 {
		return nil
	}
	return a
}

// certificateDrift says why a certificate that is to be on a host, with its key, does not serve.
func (b *builder) certificateDrift(m *member, want Certificate, owner string) []string {
	key, file := m.host.Files[want.Key], m.host.Files[want.Path]
	if !key.Exists && !file.Exists {
		return []string{(&Drift{What: DriftMissing}).String()}
	}
	if !key.Exists {
		return []string{"there is no key"}
	}
	if d := drift(m.Member, node.FileState{Mode: 0o600}, owner, key); d != nil {
		return []string{"its key " + d.String()}
	}
	if d := drift(m.Member, node.FileState{Mode: 0o644}, owner, file); d != nil {
		return []string{d.String()}
	}
	have, ok := m.host.Certificates[want.Path]
	if !ok {
		return []string{"is no certificate"}
	}
	why := b.mismatch(have, want)
	if man := m.host.Manifest; man != nil && man.Keys[want.Key] != "" && key.Digest != "" && man.Keys[want.Key] != key.Digest {
		why = append(why, "its key is not the one that it was made for")
	}
	if m.host.Files[want.Key+kvserver.NewSuffix].Exists {
		why = append(why, "a new key waits beside its own: a change of it was interrupted")
	}
	return why
}

// mismatch says why a certificate that is there does not serve.
func (b *builder) mismatch(have pki.Certificate, want Certificate) []string {
	return pki.Mismatch(have, pki.Want{
		Request: want.Request, CA: b.obs.CA.Cert, KeyAlgorithm: want.Algorithm, Now: b.opt.Now, RenewBefore: b.spec.TLS.RenewBefore,
	})
}

// memberCertificates are the three of a member: the server's with every name
// a client may use, the peer's, and one for tools on the host itself. A peer's
// has the extra names too: etcd compares the address that a peer comes from
// with the names in the certificate it shows (transport/listener_tls.go,
// checkCertSAN), and on a host with several addresses that is any of them.
func (b *builder) memberCertificates(m *member) []Certificate {
	l, t := m.layout, b.spec.TLS
	var out []Certificate
	for _, r := range memberRequests(m.Member, t, m.former) {
		p := string(r.Profile)
		out = append(out, Certificate{Path: l.Cert(p), Key: l.Key(p), Algorithm: t.KeyAlgorithm, Request: r})
	}
	return out
}

// memberRequests are what a member's certificates are to say. The names are those of the spec, and former ones
// that it is about to leave, see [formerNames]: nothing new that a host says of itself is in them.
func memberRequests(m *spec.Member, t spec.TLS, former []string) []pki.Request {
	names := pki.CanonicalSANs(slices.Concat([]string{"127.0.0.1", "::1", "localhost", m.Name, m.Address}, t.ExtraSANs, m.ExtraSANs, former))
	return []pki.Request{
		{Profile: pki.Server, CommonName: m.Name, SANs: names, Lifetime: t.LeafLifetime},
		{Profile: pki.Peer, CommonName: node.PeerName, SANs: names, Lifetime: t.LeafLifetime},
		{Profile: pki.Client, CommonName: node.OperatorName, Lifetime: t.LeafLifetime},
	}
}

// Requests are what a cluster's CA has yet to sign at a time: for each member, and for each client of the spec. Where a certificate
// that it has signed is there and serves, nothing is asked of it.
func Requests(c *spec.Cluster, o *Observed, now time.Time) []pki.Request {
	var out []pki.Request
	add := func(have pki.Certificate, there bool, r pki.Request) {
		if !there || len(pki.Mismatch(have, pki.Want{Request: r, CA: o.CA.Cert, Now: now, RenewBefore: c.TLS.RenewBefore})) > 0 {
			out = append(out, r)
		}
	}
	census := TakeCensus(c, o)
	for _, m := range c.Members {
		h := o.Hosts[m.Name]
		if h == nil {
			h = &Host{}
		}
		l := LayoutOf(c, m)
		for _, r := range memberRequests(m, c.TLS, formerNames(c, o, &census, m)) {
			have, ok := h.Certificates[l.Cert(string(r.Profile))]
			add(have, ok, r)
		}
	}
	for _, cl := range c.ClientsHere() {
		have := pki.Certificate{}
		if said := o.Clients[cl.Name].Cert; said != nil {
			have = *said
		}
		add(have, o.Clients[cl.Name].Cert != nil, clientRequest(cl, c.TLS))
	}
	for _, cl := range c.Clients {
		for _, i := range cl.Install {
			for _, name := range i.Hosts {
				m, h := c.Machine(name), cmp.Or(o.Hosts[name], o.Others[name])
				if h == nil || h.Problem != "" {
					continue
				}
				have, ok := h.Certificates[PlaceOf(LayoutOf(c, m), spec.Installation{Client: cl, Install: i}).Cert]
				add(have, ok, clientRequest(cl, c.TLS))
			}
		}
	}
	return out
}

func clientRequest(c *spec.Client, t spec.TLS) pki.Request {
	return pki.Request{Profile: pki.Client, CommonName: c.CommonName, Organization: c.Organization, Lifetime: t.LeafLifetime}
}
