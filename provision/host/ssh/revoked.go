package ssh

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/crypto/ssh"
)

// revokedKeys are those of the files of RevokedHostKeys, by their bytes.
type revokedKeys map[string]revokedAt

type revokedAt struct {
	file string
	line int
}

// readRevoked reads lists of public keys, one in each line. Lines of other
// kinds are passed over, as OpenSSH does; a file that cannot be read is an error.
func readRevoked(files []string) (revokedKeys, error) {
	keys := revokedKeys{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read the revoked host keys: %w\n  Put the file there, or set RevokedHostKeys none for this host in ssh_config", err)
		}
		if bytes.HasPrefix(text, []byte("SSHKRL\n")) {
			return nil, fmt.Errorf("cannot read the revoked host keys %q: binary lists (KRL) are not supported\n  List the public keys there as text, one in each line", file)
		}
		n := 0
		for line := range bytes.Lines(text) {
			n++
			key, _, _, _, err := ssh.ParseAuthorizedKey(line)
			if err == nil {
				keys[string(plainKey(key).Marshal())] = revokedAt{file, n}
			}
		}
	}
	return keys, nil
}

// find says where a plain key is revoked; the file is "" if it is not.
func (r revokedKeys) find(key ssh.PublicKey) (file string, line int) {
	at := r[string(key.Marshal())]
	return at.file, at.line
}

// parts are the key itself, or the key and the authority's of a certificate.
func parts(key ssh.PublicKey) []ssh.PublicKey {
	if cert, ok := key.(*ssh.Certificate); ok {
		return []ssh.PublicKey{cert.Key, cert.SignatureKey}
	}
	return []ssh.PublicKey{key}
}

func plainKey(key ssh.PublicKey) ssh.PublicKey { return parts(key)[0] }
