package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// hostKeyError is a host key that is not accepted; it is never retried.
type hostKeyError struct {
	text, hint string
}

func (e *hostKeyError) Error() string { return e.text }

// hostKeys verifies one hop.
type hostKeys struct {
	hop      hop
	known    ssh.HostKeyCallback // nil: pinned, or no file yet
	pinned   []ssh.PublicKey
	prints   []string // pinned fingerprints
	certFile bool     // known_hosts names certificate authorities
}

func newHostKeys(h hop) (*hostKeys, error) {
	k := &hostKeys{hop: h}
	for _, pin := range h.hostKeys {
		if strings.HasPrefix(pin, "SHA256:") {
			k.prints = append(k.prints, strings.TrimRight(pin, "="))
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(pin))
		if err != nil {
			return nil, fmt.Errorf("the pinned host key %.40q cannot be read: %w\n  Want \"ssh-ed25519 AAAA…\" or \"SHA256:…\"", pin, err)
		}
		k.pinned = append(k.pinned, key)
	}
	if len(h.hostKeys) > 0 {
		return k, nil
	}
	var files []string
	for _, f := range h.knownHosts {
		text, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		k.certFile = k.certFile || bytes.Contains(text, []byte("@cert-authority"))
		files = append(files, f)
	}
	if len(files) == 0 {
		return k, nil
	}
	var err error
	if k.known, err = knownhosts.New(files...); err != nil {
		return nil, fmt.Errorf("cannot read the known hosts: %w\n  Mend or remove that line", err)
	}
	return k, nil
}

// noKey is a key that no host has: asking for it tells which keys are known.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// knownKeys are those that known_hosts has for the host.
func (k *hostKeys) knownKeys() []knownhosts.KnownKey {
	if k.known == nil {
		return nil
	}
	var unknown *knownhosts.KeyError
	if errors.As(k.known(k.hop.knownName(), &net.TCPAddr{}, noKey{}), &unknown) {
		return unknown.Want
	}
	return nil
}

// families of host key algorithms: a pinned fingerprint does not tell its own,
// so they are tried one after the other.
func families() [][]string {
	return [][]string{
		{ssh.KeyAlgoED25519},
		{ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521},
		{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
	}
}

// algorithms asks the host first for the keys that we know: it may have
// several, and the one it prefers need not be the one that we know.
func (k *hostKeys) algorithms() []string {
	var first []string
	prefer := func(keyType string) {
		switch keyType {
		case ssh.KeyAlgoRSA:
			first = append(first, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			first = append(first, keyType)
		}
	}
	for _, key := range k.pinned {
		prefer(key.Type())
	}
	for _, key := range k.knownKeys() {
		prefer(key.Key.Type())
	}
	var certs, plain []string
	for _, a := range ssh.SupportedAlgorithms().HostKeys {
		if strings.Contains(a, "-cert-") {
			certs = append(certs, a)
		} else {
			plain = append(plain, a)
		}
	}
	if k.certFile {
		first = append(certs, first...)
	}
	first = append(first, ssh.KeyAlgoED25519) // what OpenSSH asks a new host for
	var out []string
	for _, a := range append(first, plain...) {
		if !slices.Contains(out, a) && slices.Contains(ssh.SupportedAlgorithms().HostKeys, a) {
			out = append(out, a)
		}
	}
	return out
}

// check is the HostKeyCallback.
func (k *hostKeys) check(_ string, remote net.Addr, key ssh.PublicKey) error {
	print := ssh.FingerprintSHA256(key)
	if len(k.hop.hostKeys) > 0 {
		for _, p := range k.pinned {
			if bytes.Equal(p.Marshal(), key.Marshal()) {
				return nil
			}
		}
		if slices.Contains(k.prints, print) {
			return nil
		}
		return &hostKeyError{
			text: fmt.Sprintf("the host key of %q is not the pinned one: it shows %s %s", k.hop.alias, key.Type(), print),
			hint: "If the host was set up anew, put its key into host_keys of the connection; if not, somebody may be in between.",
		}
	}
	var err error = &knownhosts.KeyError{}
	if k.known != nil {
		err = k.known(k.hop.knownName(), remote, key)
	}
	var unknown *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &revoked):
		return &hostKeyError{
			text: fmt.Sprintf("the host key %s of %q is revoked (%s:%d)", print, k.hop.alias, revoked.Revoked.Filename, revoked.Revoked.Line),
			hint: "Give the host a new key.",
		}
	case !errors.As(err, &unknown):
		return &hostKeyError{text: fmt.Sprintf("the host key of %q is not accepted: %v", k.hop.alias, err)}
	case len(unknown.Want) > 0:
		return k.changed(unknown.Want, key)
	case k.hop.acceptNew:
		return k.record(key)
	}
	return &hostKeyError{
		text: fmt.Sprintf("the host key of %q is not known: it shows %s %s", k.hop.alias, key.Type(), print),
		hint: fmt.Sprintf("Compare it with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub there) and connect once with ssh, or pin it with host_keys = [%q], or set strict_host_key_checking = \"accept-new\".", print),
	}
}

func (k *hostKeys) changed(want []knownhosts.KnownKey, key ssh.PublicKey) error {
	var known, lines []string
	for _, w := range want {
		known = append(known, w.Key.Type()+" "+ssh.FingerprintSHA256(w.Key))
		lines = append(lines, fmt.Sprintf("%s:%d", w.Filename, w.Line))
	}
	return &hostKeyError{
		text: fmt.Sprintf("the host key of %q changed: it shows %s %s, known is %s (%s)",
			k.hop.alias, key.Type(), ssh.FingerprintSHA256(key), strings.Join(known, ", "), strings.Join(lines, ", ")),
		hint: fmt.Sprintf("If the host was set up anew: ssh-keygen -R %q -f %s, then connect again; if not, somebody may be in between.",
			knownhosts.Normalize(k.hop.knownName()), want[0].Filename),
	}
}

// record appends a new host's key, durably, before the connection goes on.
func (k *hostKeys) record(key ssh.PublicKey) error {
	if len(k.hop.knownHosts) == 0 {
		return &hostKeyError{text: "there is no known_hosts file to record the host key in", hint: "Set known_hosts_file in the connection."}
	}
	file := k.hop.knownHosts[0]
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	line := knownhosts.Line([]string{k.hop.knownName()}, key) + "\n"
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			line = "\n" + line
		}
	}
	if _, err := f.WriteString(line); err != nil {
		return err
	}
	return f.Sync()
}
