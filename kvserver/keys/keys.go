// Package keys makes private keys on the host they belong to and the requests
// for their certificates, and puts both in place together. A key never leaves
// the host, is never printed, and is never in an error.
package keys

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"quorate/internal/durable"
	"quorate/kvserver"
	"quorate/pki/keypair"
)

// Run reads a list of [kvserver.KeyRequest] as JSON, and writes the list of
// answers in the same order once all of them are done.
func Run(in io.Reader, out io.Writer, owners Owners) error {
	var requests []kvserver.KeyRequest
	d := json.NewDecoder(in)
	d.DisallowUnknownFields()
	if err := d.Decode(&requests); err != nil {
		return fmt.Errorf("cannot read the requests for keys: %w", err)
	}
	answers := make([]kvserver.KeyAnswer, len(requests))
	for i, r := range requests {
		a, err := Make(r, owners)
		if err != nil {
			return err
		}
		answers[i] = a
	}
	return json.NewEncoder(out).Encode(answers)
}

// Make makes the key if there is none, beside its place as [kvserver.KeyRequest]
// says, and a signing request for it. It has mode 0600 and is owned as asked; a file
// that was laxer is tightened. The folder must be there.
//
// A key of another algorithm than asked for is not used any more, and stays where it
// is until the new one has its certificate. One that cannot be read as a key is an
// error, since it may be somebody's.
func Make(r kvserver.KeyRequest, owners Owners) (kvserver.KeyAnswer, error) {
	fail := func(err error) (kvserver.KeyAnswer, error) {
		return kvserver.KeyAnswer{}, fmt.Errorf("cannot make key %q: %w", r.Path, err)
	}
	if !filepath.IsAbs(r.Path) {
		return fail(errors.New("its path is not absolute"))
	}
	uid, gid, err := owners.Lookup(r.Owner)
	if err != nil {
		return fail(err)
	}
	key, err := existing(r.Path)
	if err != nil {
		return fail(err)
	}
	path := r.Path + kvserver.NewSuffix
	waiting, err := existing(path)
	if err != nil {
		return fail(err)
	}
	fits := func(k crypto.Signer) bool { return k != nil && keypair.Algorithm(k.Public()) == r.Algorithm }
	a := kvserver.KeyAnswer{Path: r.Path, New: waiting != nil || !fits(key)}
	switch {
	case !a.New:
		path = r.Path
	case fits(waiting):
		key = waiting
	default:
		key = nil
		if waiting != nil { // it never had a certificate
			if err := os.Remove(path); err != nil {
				return fail(err)
			}
		}
	}
	if key == nil {
		if key, err = create(path, r.Algorithm, uid, gid); err != nil {
			return fail(err)
		}
		a.Created = true
	} else if err := secure(path, uid, gid); err != nil {
		return fail(err)
	}
	request, err := keypair.Request(key, r.CommonName)
	if err != nil {
		return fail(err)
	}
	a.CSR = string(request)
	return a, nil
}

// existing reads the key at path, or gives nil if nothing is there.
func existing(path string) (crypto.Signer, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("something that is no regular file is in its place")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := keypair.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("what is there is no key: %w; move it away if nobody needs it", err)
	}
	return key, nil
}

// create makes the key and puts it in place, whole or not at all, and never over another file.
func create(path, algorithm string, uid, gid int) (crypto.Signer, error) {
	key, err := keypair.Generate(algorithm)
	if err != nil {
		return nil, err
	}
	text, err := keypair.Encode(key)
	if err != nil {
		return nil, err
	}
	return key, durable.Create(durable.File{Path: path, Mode: 0o600, UID: uid, GID: gid, Content: text})
}

// secure gives an existing key its owner and mode; through the descriptor, so
// that what was checked is what is changed.
func secure(path string, uid, gid int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Perm() != 0o600 {
		if err := f.Chmod(0o600); err != nil {
			return err
		}
	}
	if u, g := ownerOf(info); uid >= 0 && (u != uid || g != gid) {
		return f.Chown(uid, gid)
	}
	return nil
}
