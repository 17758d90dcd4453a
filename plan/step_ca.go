package plan

import (
	"time"

	"quorate/plan/spec"
)

// KindCA makes the cluster's certificate authority on the operator's side.
const KindCA Kind = "ca"

// CreateCA makes a CA in Dir. Holds afterwards: Dir has a CA certificate and a
// key that fits it. An existing CA is never replaced.
type CreateCA struct {
	quiet
	Dir        string        `json:"dir"`
	CommonName string        `json:"common_name"`
	Algorithm  string        `json:"algorithm"`
	Lifetime   time.Duration `json:"lifetime"`
	Encrypted  bool          `json:"encrypted"` // the key is kept under age
}

// Kind of the step.
func (*CreateCA) Kind() Kind { return KindCA }

// Phase of the step.
func (*CreateCA) Phase() Phase { return PhasePrepare }

// Describe names the folder.
func (a *CreateCA) Describe() Description {
	return Description{Sign: New, Items: []Item{{Path: a.Dir, Sign: New, Problem: "there is none"}},
		Certificates: []Issued{{Holder: a.CommonName, Profile: "ca", Lifetime: a.Lifetime}}}
}

func (b *builder) createCA() {
	if b.obs.CA.Exists {
		return
	}
	t := b.spec.TLS
	if t.Encryption == nil {
		b.note("the new CA's key will lie unencrypted in %s/ca-key.pem: whoever reads it can make certificates for this cluster; keep it out of repositories, or encrypt it (tls: encryption)", t.Dir)
	}
	b.add(draft{Step: Step{
		Title: "create the certificate authority in " + t.Dir,
		Action: &CreateCA{Dir: t.Dir, CommonName: "quorate " + b.spec.Name + " CA", Algorithm: t.KeyAlgorithm,
			Lifetime: t.CALifetime, Encrypted: t.Encryption != nil},
	}})
}

// KindClient issues a certificate for a consumer of the cluster, on the operator's side.
const KindClient Kind = "client"

// IssueClient writes <name>.pem, <name>-key.pem and ca.pem into Dir. Holds
// afterwards: the certificate says what Certificate asks for, for a key that lies beside it.
type IssueClient struct {
	quiet
	Dir         string      `json:"dir"`
	Name        string      `json:"name"`
	Certificate Certificate `json:"certificate"`
}

// Kind of the step.
func (*IssueClient) Kind() Kind { return KindClient }

// Phase of the step: it is of nobody's use before the cluster serves.
func (*IssueClient) Phase() Phase { return PhaseRecord }

// Describe names the certificate.
func (a *IssueClient) Describe() Description {
	c := a.Certificate
	c.Path = a.Dir + "/" + a.Name + ".pem"
	d := Description{Items: c.items(), Certificates: []Issued{c.issued(a.Name)}}
	d.Sign = signOf(d.Items)
	return d
}

func (b *builder) clients() {
	for _, c := range b.spec.ClientsHere() {
		want := b.clientCertificate(c)
		have := b.obs.Clients[c.Name]
		var why []string
		switch {
		case have.Cert == nil:
			why = []string{"there is none"}
		case !have.Key:
			why = []string{"its key is missing, does not fit or is readable for others"}
		default:
			why = b.mismatch(*have.Cert, want)
			if have.Bundle != b.obs.CA.Cert.Fingerprint {
				why = append(why, "the CA certificate beside it is missing or another one")
			}
		}
		if len(why) == 0 {
			continue
		}
		want.Have, want.Why = have.Cert, why
		b.add(draft{subject: c.Name, Step: Step{
			Title:  "issue the client certificate " + c.Name + " into " + c.Dir,
			Action: &IssueClient{Dir: c.Dir, Name: c.Name, Certificate: want},
		}})
	}
}

func (b *builder) clientCertificate(c *spec.Client) Certificate {
	return Certificate{Request: clientRequest(c, b.spec.TLS), Algorithm: b.spec.TLS.KeyAlgorithm}
}
