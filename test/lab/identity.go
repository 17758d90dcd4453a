package lab

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// writeIdentity puts into the host's disk what makes it this host and no
// other: names, addresses, machine id, host keys, who may log in.
func (h *Host) writeIdentity(ctx context.Context) error {
	pub, err := os.ReadFile(h.lab.keyFile() + ".pub")
	if err != nil {
		return err
	}
	var id [16]byte
	rand.Read(id[:])
	files := map[string]string{
		"etc/hostname":   h.name + "\n",
		"etc/machine-id": hex.EncodeToString(id[:]) + "\n",
		"etc/hosts":      h.lab.hostsFile(h),
	}
	for _, n := range h.networks {
		files["etc/systemd/network/10-"+hostLink(n)+".network"] = fmt.Sprintf(
			"[Match]\nName=%s\n\n[Network]\nAddress=%s/24\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nIgnoreCarrierLoss=yes\n",
			hostLink(n), address(n, h.index))
	}
	for path, text := range files {
		if err := os.WriteFile(filepath.Join(h.root(), path), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := h.writeHostKeys(); err != nil {
		return err
	}
	for _, user := range []string{"root", UserSudo, UserSudoPW, UserNoSudo} {
		if err := h.authorize(user, pub); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, "chroot", h.root(), "chpasswd")
	cmd.Stdin = strings.NewReader(UserSudoPW + ":" + h.lab.Password() + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("chpasswd: %w\n%s", err, out)
	}
	return nil
}

func (l *Lab) hostsFile(self *Host) string {
	text := "127.0.0.1 localhost\n127.0.1.1 " + self.name + "\n::1 localhost ip6-localhost ip6-loopback\n"
	for _, h := range l.all() {
		if h != self {
			text += h.addr + " " + h.name + "\n"
		}
	}
	return text
}

// authorize lets the lab's key in as user.
func (h *Host) authorize(user string, pub []byte) error {
	home := filepath.Join(h.root(), "home", user)
	if user == "root" {
		home = filepath.Join(h.root(), "root")
	}
	dir := filepath.Join(home, ".ssh")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file := filepath.Join(dir, "authorized_keys")
	if err := os.WriteFile(file, pub, 0o600); err != nil {
		return err
	}
	return sameOwner(home, dir, file)
}

func (h *Host) writeHostKeys() error {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	dir := filepath.Join(h.root(), "etc/ssh")
	if err := writeKeyPair(filepath.Join(dir, "ssh_host_ed25519_key"), ed, "root@"+h.name); err != nil {
		return err
	}
	return writeKeyPair(filepath.Join(dir, "ssh_host_ecdsa_key"), ec, "root@"+h.name)
}

// HostKeys are the host's public keys in authorized_keys form, as they are on its disk.
func (h *Host) HostKeys() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(h.root(), "etc/ssh/ssh_host_*_key.pub"))
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("cannot read the keys of host %q: %w", h.name, err)
		}
		fields := strings.Fields(string(b))
		if len(fields) < 2 {
			return nil, fmt.Errorf("cannot read the keys of host %q: %q is no public key", h.name, f)
		}
		keys = append(keys, fields[0]+" "+fields[1])
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("cannot read the keys of host %q: it has none", h.name)
	}
	return keys, nil
}

// NewHostKeys gives the host new keys, as if it were another machine, and
// restarts its sshd. The operators' known_hosts are left as they are.
func (h *Host) NewHostKeys(ctx context.Context) error {
	if err := h.writeHostKeys(); err != nil {
		return fmt.Errorf("cannot change the keys of host %q: %w", h.name, err)
	}
	_, err := h.Exec(ctx, "systemctl", "restart", "ssh.service")
	return err
}

func (l *Lab) keyFile() string { return filepath.Join(l.dir, "key") }

// makeKeys makes the key that opens every host of the lab.
func (l *Lab) makeKeys() error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	return writeKeyPair(l.keyFile(), key, "lab "+l.ID())
}

func (l *Lab) signer() (ssh.Signer, error) {
	b, err := os.ReadFile(l.keyFile())
	if err != nil {
		return nil, fmt.Errorf("cannot read the key of lab %q: %w", l.ID(), err)
	}
	return ssh.ParsePrivateKey(b)
}

// writeKeyPair writes key in OpenSSH's format to path, mode 0600, and its public half to path.pub.
func writeKeyPair(path string, key crypto.Signer, comment string) error {
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return err
	}
	pub, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return err
	}
	line := strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(pub)), "\n") + " " + comment + "\n"
	return os.WriteFile(path+".pub", []byte(line), 0o644)
}

// sameOwner gives paths the owner of the folder like.
func sameOwner(like string, paths ...string) error {
	info, err := os.Stat(like)
	if err != nil {
		return err
	}
	uid, gid := ownerOf(info)
	for _, p := range paths {
		if err := os.Chown(p, uid, gid); err != nil {
			return err
		}
	}
	return nil
}
