package authority

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// Encryption of the CA key at rest with age: with a passphrase, or to
// recipients (age1…) with the identity file that opens it again. The zero
// value is none.
type Encryption struct {
	// Wanted says that the key is to be encrypted.
	Wanted bool
	// Passphrase, if the spec carries it; otherwise Prompt is asked.
	Passphrase string
	// Prompt asks the operator; fresh asks for a new passphrase (twice). May
	// be nil: nobody is there to ask.
	Prompt func(question string, fresh bool) (string, error)
	// Recipients make the encryption asymmetric; Passphrase is then not used.
	Recipients []string
	// IdentityFile opens what is encrypted to Recipients.
	IdentityFile string

	// work is scrypt's factor (a power of two); 0 is age's own, about a second of computing.
	work int
}

func (e Encryption) passphrase(path string, fresh bool) (string, error) {
	if e.Passphrase != "" {
		return e.Passphrase, nil
	}
	if e.Prompt == nil {
		return "", errors.New("it wants a passphrase and nobody is there to ask: give it in the encryption block of the spec (from an environment variable)")
	}
	question := "Passphrase for the CA key " + path
	if fresh {
		question = "New passphrase for the CA key " + path
	}
	p, err := e.Prompt(question, fresh)
	if err == nil && p == "" {
		err = errors.New("an empty passphrase protects nothing")
	}
	return p, err
}

// seal encrypts a key; the armored form, so that it can live in a repository.
// open gives it back, if this operator can.
func (e Encryption) seal(path string, plain []byte) (sealed []byte, err error) {
	var recipients []age.Recipient
	for _, r := range e.Recipients {
		parsed, err := age.ParseRecipients(strings.NewReader(r))
		if err != nil || len(parsed) != 1 {
			return nil, fmt.Errorf("recipient %q is not an age recipient (age1…)", r)
		}
		recipients = append(recipients, parsed...)
	}
	if len(recipients) == 0 {
		p, err := e.passphrase(path, true)
		if err != nil {
			return nil, err
		}
		r, err := age.NewScryptRecipient(p)
		if err != nil {
			return nil, err
		}
		if e.work > 0 {
			r.SetWorkFactor(e.work)
		}
		recipients = []age.Recipient{r}
	}
	var b bytes.Buffer
	a := armor.NewWriter(&b)
	w, err := age.Encrypt(a, recipients...)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := a.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// open decrypts what seal (or the age command, armored or not) encrypted.
func (e Encryption) open(path string, sealed []byte) ([]byte, error) {
	var in io.Reader = bytes.NewReader(sealed)
	if bytes.HasPrefix(bytes.TrimSpace(sealed), []byte(armor.Header)) {
		in = armor.NewReader(bytes.NewReader(bytes.TrimSpace(sealed)))
	}
	var ids []age.Identity
	if e.IdentityFile != "" {
		f, err := os.Open(e.IdentityFile)
		if err != nil {
			return nil, fmt.Errorf("identity file: %w", err)
		}
		defer f.Close()
		if ids, err = age.ParseIdentities(f); err != nil {
			// age quotes the line that it could not read; that line may be a secret.
			return nil, fmt.Errorf("identity file %s: it does not hold age identities (AGE-SECRET-KEY-1…), one a line", e.IdentityFile)
		}
	}
	ids = append(ids, &asking{e: e, path: path})
	r, err := age.Decrypt(in, ids...)
	if err != nil {
		var refused refusal
		var none *age.NoIdentityMatchError
		switch {
		case errors.As(err, &refused):
			return nil, refused.error
		case !errors.As(err, &none):
			return nil, err
		case e.IdentityFile == "":
			return nil, errors.New("it is encrypted to recipients: name the identity_file that opens it in the encryption block of the spec")
		}
		return nil, fmt.Errorf("no identity in %s opens it", e.IdentityFile)
	}
	return io.ReadAll(r)
}

// refusal is why an identity gave up; age would wrap it away otherwise.
type refusal struct{ error }

// asking asks for the passphrase only if the file turns out to want one.
type asking struct {
	e    Encryption
	path string
}

func (a *asking) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != "scrypt" {
		return nil, age.ErrIncorrectIdentity
	}
	p, err := a.e.passphrase(a.path, false)
	if err != nil {
		return nil, refusal{err}
	}
	id, err := age.NewScryptIdentity(p)
	if err != nil {
		return nil, refusal{err}
	}
	key, err := id.Unwrap(stanzas)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, refusal{errors.New("the passphrase does not open it")}
	}
	return key, err
}
