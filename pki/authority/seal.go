package authority

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"quorate/internal/sealed"
)

// Encryption of the CA key at rest with age: with a passphrase, or to
// recipients (age1…, or SSH public keys) with the identity file that opens it again. The zero
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

// of is the encryption of the key at that path.
func (e Encryption) of(path string) sealed.Encryption {
	return sealed.Encryption{What: "the CA key " + path, Passphrase: e.Passphrase, Prompt: e.Prompt, Recipients: e.Recipients, IdentityFile: e.IdentityFile, Work: e.work}
}

// sealed encrypts a key, and gives what came of it only once that has been
// opened here: a recipient whose identity is not at hand would lock the operator out.
func (e Encryption) sealed(path string, plain []byte) ([]byte, error) {
	if len(e.Recipients) == 0 && e.Passphrase == "" {
		p, err := e.of(path).Fresh() // asked once, for both ways
		if err != nil {
			return nil, err
		}
		e.Passphrase = p
	}
	closed, err := e.seal(path, plain)
	if err != nil {
		return nil, err
	}
	back, err := e.open(path, closed)
	if err != nil {
		return nil, fmt.Errorf("what was encrypted cannot be opened here: %w", err)
	}
	if !bytes.Equal(back, plain) {
		return nil, errors.New("what was encrypted opens to something else")
	}
	return closed, nil
}

// seal encrypts a key; the armored form, so that it can live in a repository.
// open gives it back, if this operator can.
func (e Encryption) seal(path string, plain []byte) ([]byte, error) {
	text, err := e.of(path).Text(plain)
	return []byte(text), err
}

// open decrypts what seal (or the age command, armored or not) encrypted.
func (e Encryption) open(path string, closed []byte) ([]byte, error) {
	r, err := e.of(path).Decrypt(bytes.NewReader(bytes.TrimLeft(closed, " \t\r\n")))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
