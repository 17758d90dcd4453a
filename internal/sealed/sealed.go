// Package sealed encrypts streams with age, by a passphrase or for recipients,
// and opens them again: the CA's key, and backups.
package sealed

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"
	"golang.org/x/crypto/ssh"
)

// Encryption is how something is encrypted: with a passphrase, or for
// recipients (age1…, or SSH public keys), with the identity file that opens it again.
type Encryption struct {
	// What is encrypted, as the operator is asked for its passphrase: "the CA key pki/ca-key.pem".
	What string
	// Passphrase, if it is known; otherwise Prompt is asked.
	Passphrase string
	// Prompt asks the operator; fresh asks for a new passphrase (twice). May
	// be nil: nobody is there to ask.
	Prompt func(question string, fresh bool) (string, error)
	// Recipients make the encryption asymmetric; Passphrase is then not used.
	Recipients []string
	// IdentityFile opens what is encrypted to Recipients.
	IdentityFile string
	// Work is scrypt's factor (a power of two); 0 is age's own, about a second of computing.
	Work int
}

// Fresh is the passphrase for something new: the one that is known, or the operator's answer.
func (e Encryption) Fresh() (string, error) { return e.passphrase(true) }

func (e Encryption) passphrase(fresh bool) (string, error) {
	if e.Passphrase != "" {
		return e.Passphrase, nil
	}
	if e.Prompt == nil {
		return "", errors.New("it wants a passphrase and nobody is there to ask: give it in the encryption block of the spec (from an environment variable)")
	}
	question := "Passphrase for " + e.What
	if fresh {
		question = "New passphrase for " + e.What
	}
	p, err := e.Prompt(question, fresh)
	if err == nil && p == "" {
		err = errors.New("an empty passphrase protects nothing")
	}
	return p, err
}

// Encrypt gives a writer whose content goes encrypted to w. What is written is whole after Close.
func (e Encryption) Encrypt(w io.Writer) (io.WriteCloser, error) {
	var recipients []age.Recipient
	for _, r := range e.Recipients {
		parsed, err := recipient(r)
		if err != nil {
			return nil, err
		}
		recipients = append(recipients, parsed)
	}
	if len(recipients) == 0 {
		p, err := e.passphrase(true)
		if err != nil {
			return nil, err
		}
		r, err := age.NewScryptRecipient(p)
		if err != nil {
			return nil, err
		}
		if e.Work > 0 {
			r.SetWorkFactor(e.Work)
		}
		recipients = []age.Recipient{r}
	}
	return age.Encrypt(w, recipients...)
}

// CheckRecipient says why nothing could be encrypted for a recipient; nil if it can be.
func CheckRecipient(text string) error {
	_, err := recipient(text)
	return err
}

// CheckIdentity says why the private keys in a file could open nothing; nil if they can be used, and if there is
// no such file here: who only looks needs none. It asks for no passphrase.
func CheckIdentity(path string) error {
	_, err := Encryption{IdentityFile: path}.identities()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// recipient is a public key: age's own, or an SSH one.
func recipient(text string) (age.Recipient, error) {
	if strings.HasPrefix(text, "ssh-") {
		r, err := agessh.ParseRecipient(text)
		if err != nil {
			return nil, fmt.Errorf("recipient %q is not an SSH public key of a kind that age encrypts for (ssh-ed25519, ssh-rsa): %w", text, err)
		}
		return r, nil
	}
	parsed, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil || len(parsed) != 1 {
		return nil, fmt.Errorf("recipient %q is not an age recipient (age1…)", text)
	}
	return parsed[0], nil
}

// identities are the private keys in the identity file: age's own, one a line,
// or one SSH key, of which the passphrase is asked only if it turns out to be the right one.
func (e Encryption) identities() ([]age.Identity, error) {
	if e.IdentityFile == "" {
		return nil, nil
	}
	content, err := os.ReadFile(e.IdentityFile)
	if err != nil {
		return nil, fmt.Errorf("identity file: %w", err)
	}
	// What the libraries say is left out: they quote what they could not read, and that may be a secret.
	bad := fmt.Errorf("identity file %s: it does not hold age identities (AGE-SECRET-KEY-1…), one a line, or an SSH private key (ed25519, rsa; one with a passphrase in OpenSSH's own format)", e.IdentityFile)
	if !bytes.Contains(content, []byte("PRIVATE KEY-----")) {
		ids, err := age.ParseIdentities(bytes.NewReader(content))
		if err != nil {
			return nil, bad
		}
		return ids, nil
	}
	id, err := agessh.ParseIdentity(content)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) && locked.PublicKey != nil {
		id, err = agessh.NewEncryptedSSHIdentity(locked.PublicKey, content, func() ([]byte, error) {
			if e.Prompt == nil {
				return nil, refusal{fmt.Errorf("identity file %s wants a passphrase and nobody is there to ask", e.IdentityFile)}
			}
			p, err := e.Prompt("Passphrase for the SSH key "+e.IdentityFile, false)
			if err != nil {
				return nil, refusal{err}
			}
			return []byte(p), nil
		})
	}
	if err != nil {
		return nil, bad
	}
	return []age.Identity{id}, nil
}

// Decrypt gives what r has decrypted, armored or not. That it is whole is known at its end.
func (e Encryption) Decrypt(r io.Reader) (io.Reader, error) {
	in := bufio.NewReader(r)
	if start, _ := in.Peek(len(armor.Header)); string(start) == armor.Header {
		in = bufio.NewReader(armor.NewReader(in))
	}
	ids, err := e.identities()
	if err != nil {
		return nil, err
	}
	ids = append(ids, &asking{e})
	plain, err := age.Decrypt(in, ids...)
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
	return plain, nil
}

// refusal is why an identity gave up; age would wrap it away otherwise.
type refusal struct{ error }

// asking asks for the passphrase only if the file turns out to want one.
type asking struct{ e Encryption }

func (a *asking) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != "scrypt" {
		return nil, age.ErrIncorrectIdentity
	}
	p, err := a.e.passphrase(false)
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

// Text is a short content encrypted, in the armored form, which is text.
func (e Encryption) Text(plain []byte) (string, error) {
	var b bytes.Buffer
	a := armor.NewWriter(&b)
	w, err := e.Encrypt(a)
	if err != nil {
		return "", err
	}
	_, err = w.Write(plain)
	if err := errors.Join(err, w.Close(), a.Close()); err != nil {
		return "", err
	}
	return b.String(), nil
}
