package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"quorate/provision/host/ssh/sshconfig"
)

// hostKeyError is a host key that is not accepted; it is never retried.
type hostKeyError struct {
	text, hint string
	revoked    bool
}

func (e *hostKeyError) Error() string { return e.text }

// hostKeys verifies one hop.
type hostKeys struct {
	hop     hop
	known   *knownHosts // nil: pinned
	pinned  []ssh.PublicKey
	prints  []string // pinned fingerprints
	revoked revokedKeys
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
	var err error
	if k.revoked, err = readRevoked(h.revoked); err != nil || len(h.hostKeys) > 0 {
		return k, err
	}
	if k.known, err = readKnownHosts(h.knownHosts); err != nil {
		return nil, fmt.Errorf("cannot read the known hosts: %w\n  Let the file be read, or remove it", err)
	}
	return k, nil
}

// algorithms to ask the host for. As OpenSSH does, those of the keys that we
// know come first: the host may have several, and the one it prefers need not be
// the one that we know. Certificates are asked for where an authority is known
// for this host, before all else. A list of ssh_config that names them all is kept.
func (k *hostKeys) algorithms() []string {
	first := []string{ssh.KeyAlgoED25519} // what OpenSSH asks a new host for
	var ca bool
	if k.known != nil {
		first = append(k.known.HostKeyAlgorithms(k.hop.knownName()), first...)
		ca = slices.ContainsFunc(k.known.HostKeys(k.hop.knownName()), func(p knownhosts.PublicKey) bool { return p.Cert })
	}
	for _, p := range slices.Backward(k.pinned) {
		if p.Type() == ssh.KeyAlgoRSA {
			first = append([]string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}, first...)
		}
		first = append([]string{p.Type()}, first...)
	}
	var certs, plain []string
	for _, a := range ssh.SupportedAlgorithms().HostKeys {
		if strings.Contains(a, "-cert-") {
			certs = append(certs, a)
		} else {
			plain = append(plain, a)
		}
	}
	list, defaults := k.hop.hostKeyAlgorithms, plain
	if ca {
		first = slices.Concat(certs, first)
	}
	if ca || list != "" {
		defaults = slices.Concat(certs, plain)
	}
	allowed := sshconfig.Algorithms(list, defaults, slices.Concat(certs, plain, ssh.InsecureAlgorithms().HostKeys))
	if list != "" && list[0] != '+' && list[0] != '-' && len(k.pinned) == 0 {
		return allowed
	}
	return inBoth(append(first, allowed...), allowed)
}

// kinds are the algorithms to ask for in turn. A pinned fingerprint does not
// tell its kind of key, so they are tried one after the other.
func (k *hostKeys) kinds() [][]string {
	allowed := k.algorithms()
	kinds := [][]string{allowed}
	if len(k.prints) == 0 {
		return kinds
	}
	for _, kind := range [][]string{
		{ssh.KeyAlgoED25519},
		{ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521},
		{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
	} {
		if kind = inBoth(kind, allowed); len(kind) > 0 {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// inBoth are the elements of a that are in b, once each.
func inBoth(a, b []string) []string {
	var out []string
	for _, s := range a {
		if slices.Contains(b, s) && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// check is the HostKeyCallback. A certificate that is not accepted is taken for
// the plain key in it, as OpenSSH does; not so if it or its authority is revoked.
func (k *hostKeys) check(_ string, remote net.Addr, key ssh.PublicKey) error {
	if err := k.checkRevoked(remote, key); err != nil {
		return err
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return k.checkPlain(remote, key)
	}
	if k.known == nil {
		return k.checkPlain(remote, cert.Key)
	}
	problem := k.lookup(remote, cert)
	if problem == nil {
		return nil
	}
	err := k.checkPlain(remote, cert.Key)
	var refused *hostKeyError
	if errors.As(err, &refused) {
		refused.text += fmt.Sprintf("; its certificate is not accepted: %v", problem)
	}
	return err
}

// lookup asks known_hosts. Like OpenSSH it also takes a host at another port for known by its name alone.
func (k *hostKeys) lookup(remote net.Addr, key ssh.PublicKey) error {
	ask := k.known.HostKeyCallback()
	err := ask(k.hop.knownName(), remote, key)
	if knownhosts.IsHostUnknown(err) && ask(net.JoinHostPort(k.hop.keyName, "22"), remote, key) == nil {
		return nil
	}
	return err
}

// checkRevoked refuses a key, or a certificate by an authority, that RevokedHostKeys or known_hosts revokes.
func (k *hostKeys) checkRevoked(remote net.Addr, key ssh.PublicKey) error {
	for _, key := range parts(key) {
		file, line := k.revoked.find(key)
		var marked *xknownhosts.RevokedError
		if k.known != nil && errors.As(k.lookup(remote, key), &marked) {
			file, line = k.known.named(marked.Revoked.Filename), marked.Revoked.Line
		}
		if file != "" {
			return &hostKeyError{
				text: fmt.Sprintf("the host key %s of %q is revoked (%s:%d)", ssh.FingerprintSHA256(key), k.hop.alias, file, line),
				hint: "Give the host a new key.", revoked: true,
			}
		}
	}
	return nil
}

func (k *hostKeys) checkPlain(remote net.Addr, key ssh.PublicKey) error {
	print := ssh.FingerprintSHA256(key)
	if k.known == nil {
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
	err := k.lookup(remote, key)
	var unknown *xknownhosts.KeyError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &unknown):
		return &hostKeyError{text: fmt.Sprintf("the host key of %q is not accepted: %v", k.hop.alias, err)}
	}
	if want := k.plain(unknown.Want); len(want) > 0 {
		return k.changed(want, key)
	}
	if k.hop.acceptNew {
		return k.record(key)
	}
	passed := ""
	if n := len(k.known.unreadable); n > 0 {
		passed = fmt.Sprintf(" (%d lines cannot be read, the first is %s)", n, k.known.unreadable[0])
	}
	return &hostKeyError{
		text: fmt.Sprintf("the host key of %q is not known%s: it shows %s %s", k.hop.alias, passed, key.Type(), print),
		hint: fmt.Sprintf("Compare it with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub there) and connect once with ssh, or pin it with host_keys = [%q], or set strict_host_key_checking = \"accept-new\".", print),
	}
}

// plain are the known keys that are the host's own, and not an authority's.
func (k *hostKeys) plain(known []xknownhosts.KnownKey) []xknownhosts.KnownKey {
	all := k.known.HostKeys(k.hop.knownName())
	return slices.DeleteFunc(slices.Clone(known), func(w xknownhosts.KnownKey) bool {
		return !slices.ContainsFunc(all, func(p knownhosts.PublicKey) bool {
			return !p.Cert && bytes.Equal(p.Marshal(), w.Key.Marshal())
		})
	})
}

func (k *hostKeys) changed(want []xknownhosts.KnownKey, key ssh.PublicKey) error {
	var known, lines []string
	for _, w := range want {
		known = append(known, w.Key.Type()+" "+ssh.FingerprintSHA256(w.Key))
		lines = append(lines, fmt.Sprintf("%s:%d", k.known.named(w.Filename), w.Line))
	}
	return &hostKeyError{
		text: fmt.Sprintf("the host key of %q changed: it shows %s %s, known is %s (%s)",
			k.hop.alias, key.Type(), ssh.FingerprintSHA256(key), strings.Join(known, ", "), strings.Join(lines, ", ")),
		hint: fmt.Sprintf("If the host was set up anew: ssh-keygen -R %q -f %s, then connect again; if not, somebody may be in between.",
			knownhosts.Normalize(k.hop.knownName()), k.known.named(want[0].Filename)),
	}
}

// record appends a new host's key, durably, before the connection goes on.
func (k *hostKeys) record(key ssh.PublicKey) error {
	file := k.hop.recordIn
	if file == "" {
		return &hostKeyError{text: "there is no known_hosts file to record the host key in", hint: "Set known_hosts_file in the connection."}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	var line bytes.Buffer
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			line.WriteByte('\n')
		}
	}
	nowhere := &net.TCPAddr{IP: net.IPv4zero} // the address is not recorded beside the name
	if err := knownhosts.WriteKnownHost(&line, k.hop.knownName(), nowhere, key); err != nil {
		return err
	}
	if _, err := f.Write(line.Bytes()); err != nil || !info.Mode().IsRegular() {
		return err
	}
	return f.Sync()
}
