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
	Dir        string        `json:"dir"`
	CommonName string        `json:"common_name"`
	Algorithm  string        `json:"algorithm"`
	Lifetime   time.Duration `json:"lifetime"`
	Encrypted  bool          `json:"encrypted"` // the key is kept under age
}

// Kind of the step.
func (*CreateCA) Kind() Kind { return KindCA }

func (b *builder) createCA() {
	if b.obs.CA.Exists {
		return
	}
	t := b.spec.TLS
	b.add(Step{
		Kind:    KindCA,
		Title:   "create the certificate authority in " + t.Dir,
		Reasons: []string{"there is none"},
		Action: &CreateCA{Dir: t.Dir, CommonName: "quorate " + b.spec.Name + " CA", Algorithm: t.KeyAlgorithm,
			Lifetime: t.CALifetime, Encrypted: t.Encryption != nil},
	})
}

// KindClient issues a certificate for a consumer of the cluster, on the operator's side.
const KindClient Kind = "client"

// IssueClient writes <name>.pem, <name>-key.pem and ca.pem into Dir. Holds
// afterwards: the certificate says what Certificate asks for, for a key that lies beside it.
type IssueClient struct {
	Dir         string      `json:"dir"`
	Name        string      `json:"name"`
	Certificate Certificate `json:"certificate"`
}

// Kind of the step.
func (*IssueClient) Kind() Kind { return KindClient }

func (b *builder) clients() {
	for _, c := range b.spec.Clients {
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
		want.Have = have.Cert
		b.add(Step{
			Kind: KindClient, subject: c.Name,
			Title:   "issue the client certificate " + c.Name + " into " + c.Dir,
			Reasons: why,
			Needs:   b.ids(KindCA),
			Action:  &IssueClient{Dir: c.Dir, Name: c.Name, Certificate: want},
		})
	}
}

func (b *builder) clientCertificate(c *spec.Client) Certificate {
	return Certificate{Request: clientRequest(c, b.spec.TLS), Algorithm: b.spec.TLS.KeyAlgorithm}
}
