package plan

// KindEncrypt encrypts the CA's key.
const KindEncrypt Kind = "encrypt-ca"

// EncryptCA encrypts the plain CA key on the operator's side, and removes the
// plain file once the encrypted one has been opened here. Holds afterwards: no
// plain key lies there.
type EncryptCA struct {
	quiet
	Dir string `json:"dir"`
}

// Kind of the step.
func (*EncryptCA) Kind() Kind { return KindEncrypt }

// Phase of the step.
func (*EncryptCA) Phase() Phase { return PhasePrepare }

// Describe names the files.
func (a *EncryptCA) Describe() Description {
	return Description{Sign: Changed, Items: []Item{{Path: a.Dir + "/ca-key.pem", Sign: Changed, Problem: "lies there plain, and the spec wants it encrypted: becomes ca-key.pem.age"}}}
}

func (b *builder) encryptCA() {
	if b.obs.CA.Exists && b.obs.CA.Unsealed {
		b.add(draft{Step: Step{Title: "encrypt the CA key in " + b.spec.TLS.Dir, Action: &EncryptCA{Dir: b.spec.TLS.Dir}}})
	}
}
