package ssh

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// maxKeys is how many keys are offered: sshd hangs up after 6 failures
// (MaxAuthTries), and a password needs one of them.
const maxKeys = 5

// credentials are what one hop is offered, and what became of it.
type credentials struct {
	c     Config
	hop   hop
	agent net.Conn

	mu       sync.Mutex
	problems []string // why something could not be offered
	offered  []string
	fatal    error // a mistake that another attempt would repeat
	password bool  // a password was sent
}

func newCredentials(c Config, h hop) *credentials { return &credentials{c: c, hop: h} }

func (a *credentials) problem(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.problems = append(a.problems, fmt.Sprintf(format, args...))
}

// methods in the order to try: a password that was given on purpose first.
func (a *credentials) methods(ctx context.Context) []ssh.AuthMethod {
	keys := ssh.PublicKeysCallback(func() ([]ssh.Signer, error) { return a.signers(ctx), nil })
	if a.hop.password == "" {
		return []ssh.AuthMethod{keys}
	}
	return []ssh.AuthMethod{
		ssh.PasswordCallback(func() (string, error) {
			a.sent()
			return a.hop.password, nil
		}),
		ssh.KeyboardInteractive(a.interactive()),
		keys,
	}
}

func (a *credentials) sent() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.password = true
	a.offered = append(a.offered, "the password")
}

// interactive answers one hidden question with the password, once: a second
// one means that the first answer was wrong, or is for something else.
func (a *credentials) interactive() ssh.KeyboardInteractiveChallenge {
	asked := false
	return func(_, _ string, questions []string, echos []bool) ([]string, error) {
		if len(questions) == 0 {
			return nil, nil
		}
		if asked || len(questions) != 1 || echos[0] {
			return nil, errors.New("the host asks more than the password")
		}
		asked = true
		a.sent()
		return []string{a.hop.password}, nil
	}
}

// signers in order: certificates, the agent's copies of the identity files, the
// files, and the agent's other keys unless identities were named with IdentitiesOnly.
func (a *credentials) signers(ctx context.Context) []ssh.Signer {
	held := a.agentSigners()
	var files []ssh.Signer
	for _, file := range a.hop.identities {
		files = append(files, a.fileSigners(ctx, file, held)...)
	}
	order := slices.Concat(a.certified(slices.Concat(files, held)), files)
	switch {
	case a.hop.identitiesOnly:
	case a.hop.ownIdentities:
		order = append(order, held...)
	default:
		order = slices.Insert(order, len(order)-len(files), held...) // as OpenSSH: the agent before the default files
	}
	var out []ssh.Signer
	for _, s := range order {
		if sameKey(out, s.PublicKey()) == nil {
			out = append(out, s)
		}
	}
	if len(out) > maxKeys {
		a.problem("%d more keys were not offered, since hosts hang up after a few; name the right one with identity_file", len(out)-maxKeys)
		out = out[:maxKeys]
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range out {
		a.offered = append(a.offered, s.PublicKey().Type()+" "+ssh.FingerprintSHA256(s.PublicKey()))
	}
	return out
}

func (a *credentials) agentSigners() []ssh.Signer {
	if a.hop.agentSock == "" {
		return nil
	}
	conn, err := net.Dial("unix", a.hop.agentSock)
	if err != nil {
		a.problem("the agent cannot be reached: %v", err)
		return nil
	}
	a.agent = conn
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		a.problem("the agent does not list its keys: %v", err)
	}
	return signers
}

// close ends the talk with the agent.
func (a *credentials) close() {
	if a.agent != nil {
		a.agent.Close()
	}
}

// sameKey finds the signer of a public key.
func sameKey(signers []ssh.Signer, key ssh.PublicKey) ssh.Signer {
	for _, s := range signers {
		if bytes.Equal(s.PublicKey().Marshal(), key.Marshal()) {
			return s
		}
	}
	return nil
}

// certified are the signers with the certificates of CertificateFile.
func (a *credentials) certified(signers []ssh.Signer) []ssh.Signer {
	var out []ssh.Signer
	for _, file := range a.hop.certificates {
		cert := readCertificate(file)
		if cert == nil {
			a.problem("the certificate %q cannot be read", file)
			continue
		}
		if s := sameKey(signers, cert.Key); s != nil {
			if s, err := ssh.NewCertSigner(cert, s); err == nil {
				out = append(out, s)
			}
		}
	}
	return out
}

// fileSigners reads a key file, and its certificate if there is one. A key that
// the agent holds is the agent's, for which its public half is enough: as the
// file, or beside it. Another encrypted key is opened only when the host accepts it.
func (a *credentials) fileSigners(ctx context.Context, file string, held []ssh.Signer) []ssh.Signer {
	signer := a.fileSigner(ctx, file, held)
	if signer == nil {
		return nil
	}
	if s := sameKey(held, signer.PublicKey()); s != nil {
		signer = s // no passphrase needed
	}
	if cert := readCertificate(file + "-cert.pub"); cert != nil && len(a.hop.certificates) == 0 {
		if certified, err := ssh.NewCertSigner(cert, signer); err == nil {
			return []ssh.Signer{certified, signer}
		}
	}
	return []ssh.Signer{signer}
}

func (a *credentials) fileSigner(ctx context.Context, file string, held []ssh.Signer) ssh.Signer {
	text, err := os.ReadFile(file)
	missing := errors.Is(err, fs.ErrNotExist)
	var signer ssh.Signer
	if err == nil {
		signer, err = ssh.ParsePrivateKey(text)
	}
	var locked *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return signer
	case errors.As(err, &locked):
		return a.lockedSigner(ctx, file, text, locked.PublicKey)
	}
	for _, half := range []string{file, file + ".pub"} {
		public := readPublic(half)
		if public == nil {
			continue
		}
		if s := sameKey(held, public); s != nil {
			return s
		}
		if half == file {
			a.problem("the identity file %q is a public key, and the agent does not hold the key", file)
			return nil
		}
	}
	var path *fs.PathError
	switch {
	case missing && !a.hop.ownIdentities:
	case errors.As(err, &path):
		a.problem("the identity file cannot be read: %v", err)
	default:
		a.problem("the identity file %q cannot be read: %v", file, err)
	}
	return nil
}

func readPublic(file string) ssh.PublicKey {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil
	}
	return key
}

func readCertificate(file string) *ssh.Certificate {
	cert, _ := readPublic(file).(*ssh.Certificate)
	return cert
}

// lockedSigner is a key that is still encrypted. Where even its public half
// cannot be had (an old PEM file without .pub beside it) it is opened now.
func (a *credentials) lockedSigner(ctx context.Context, file string, text []byte, public ssh.PublicKey) ssh.Signer {
	if public == nil {
		public = readPublic(file + ".pub")
	}
	l := &lockedSigner{public: public, open: sync.OnceValues(func() (ssh.AlgorithmSigner, error) { return a.unlock(ctx, file, text) })}
	if public == nil {
		signer, err := l.open()
		if err != nil {
			return nil
		}
		return signer
	}
	return l
}

func (a *credentials) unlock(ctx context.Context, file string, text []byte) (ssh.AlgorithmSigner, error) {
	fail := func(err error) (ssh.AlgorithmSigner, error) {
		err = fmt.Errorf("cannot open the identity file %q: %w", file, err)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.fatal = err
		return nil, err
	}
	var err error
	for _, ask := range []func() (string, error){
		func() (string, error) { return a.c.Passphrase, nil },
		func() (string, error) {
			if a.c.Prompt == nil {
				return "", nil
			}
			return a.c.Prompt(ctx, file)
		},
	} {
		phrase, askErr := ask()
		if askErr != nil {
			return fail(askErr)
		}
		if phrase == "" {
			continue
		}
		var signer ssh.Signer
		if signer, err = opened.key(text, phrase); err == nil {
			if s, ok := signer.(ssh.AlgorithmSigner); ok {
				return s, nil
			}
			return fail(errors.New("its kind of key cannot sign"))
		}
	}
	switch {
	case err == nil:
		return fail(errors.New("it is encrypted\n  Set passphrase in the connection, or add the key to the agent"))
	case errors.Is(err, x509.IncorrectPasswordError):
		return fail(errors.New("the passphrase is wrong"))
	}
	return fail(err)
}

// opened are the keys that a passphrase has opened, or has not: that takes a tenth of a second by design, and
// a fleet's hosts share their key.
var opened openedKeys

type openedKeys struct {
	mu   sync.Mutex
	keys map[[sha256.Size]byte]func() (ssh.Signer, error) // by file and passphrase
}

func (o *openedKeys) key(text []byte, phrase string) (ssh.Signer, error) {
	name := sha256.Sum256(fmt.Appendf(nil, "%q %q", text, phrase))
	o.mu.Lock()
	open := o.keys[name]
	if open == nil {
		open = sync.OnceValues(func() (ssh.Signer, error) { return ssh.ParsePrivateKeyWithPassphrase(text, []byte(phrase)) })
		if o.keys == nil {
			o.keys = map[[sha256.Size]byte]func() (ssh.Signer, error){}
		}
		o.keys[name] = open
	}
	o.mu.Unlock()
	return open()
}

// lockedSigner knows its public key and opens the private one when it must sign.
type lockedSigner struct {
	public ssh.PublicKey
	open   func() (ssh.AlgorithmSigner, error)
}

func (l *lockedSigner) PublicKey() ssh.PublicKey { return l.public }

func (l *lockedSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return l.SignWithAlgorithm(rand, data, "")
}

func (l *lockedSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	s, err := l.open()
	if err != nil {
		return nil, err
	}
	return s.SignWithAlgorithm(rand, data, algorithm)
}

// explain says what was offered in vain.
func (a *credentials) explain() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	tried := "nothing could be offered"
	if len(a.offered) > 0 {
		tried = "offered: " + strings.Join(a.offered, ", ")
	}
	return strings.Join(append([]string{tried}, a.problems...), "; ")
}
