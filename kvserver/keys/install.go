package keys

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"quorate/internal/durable"
	"quorate/kvserver"
	"quorate/pki/keypair"
)

// RunInstall reads one [kvserver.Certificates] as JSON, puts it in place, and
// writes a [kvserver.CertificatesAnswer].
func RunInstall(in io.Reader, out io.Writer, owners Owners) error {
	var c kvserver.Certificates
	d := json.NewDecoder(in)
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return fmt.Errorf("cannot read the certificates: %w", err)
	}
	a, err := Install(c, owners)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(a)
}

// Install puts certificates in place, each together with its key. Afterwards
// each key fits the certificate that it stands beside, with owner and mode as
// asked (a key's is always 0600), durably.
//
// All is looked at first. A certificate has to be for the key that waits at
// KEY.new, or for the one that is there; if one fits neither, nothing is touched. Then all
// certificates are written to CERTIFICATE.new and fsynced, and after that each pair is
// renamed, the key first: what has to be undone is two renames apart. Nothing is
// removed but what takes the place of something by these renames; a key at
// KEY.new that no certificate here is for stays.
//
// Cut anywhere and run again with the same input, it finishes; run twice, the
// second time changes nothing.
func Install(c kvserver.Certificates, owners Owners) (kvserver.CertificatesAnswer, error) {
	a := kvserver.CertificatesAnswer{Changed: []string{}, Keys: map[string]string{}}
	actions, err := prepare(c, owners)
	if err != nil {
		return a, err
	}
	for _, do := range actions {
		if err := do.run(); err != nil {
			return a, fmt.Errorf("cannot put %s in place: %w", do.path, err)
		}
		if do.changes {
			a.Changed = append(a.Changed, do.path)
		}
	}
	for _, p := range c.Pairs {
		text, err := os.ReadFile(p.Key)
		if err != nil {
			return a, fmt.Errorf("cannot read key %s: %w", p.Key, err)
		}
		a.Keys[p.Key] = fmt.Sprintf("%x", sha256.Sum256(text))
	}
	return a, nil
}

// action is one atomic act of an installation.
type action struct {
	path    string
	changes bool // the file at path is another afterwards
	run     func() error
}

// prepare looks at everything and says what is to be done, in order; it changes nothing.
func prepare(c kvserver.Certificates, owners Owners) ([]action, error) {
	var stage, replace []action
	dirs := map[string]bool{}
	file := func(f kvserver.CertificateFile) error {
		s, r, err := replacing(f, owners)
		if err != nil || s == nil {
			return err
		}
		stage, replace = append(stage, *s), append(replace, *r)
		dirs[filepath.Dir(f.Path)] = true
		return nil
	}
	if c.CA != nil {
		_, err := leaf(c.CA.PEM)
		if err == nil {
			err = file(*c.CA)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot install authority %q: %w", c.CA.Path, err)
		}
	}
	for _, p := range c.Pairs {
		fail := func(err error) ([]action, error) {
			return nil, fmt.Errorf("cannot install certificate %q: %w", p.Certificate.Path, err)
		}
		waits, err := fit(p)
		if err != nil {
			return fail(err)
		}
		uid, gid, err := owners.Lookup(p.Certificate.Owner)
		if err != nil {
			return fail(err)
		}
		if waits {
			from := p.Key + kvserver.NewSuffix
			stage = append(stage, action{path: from, run: func() error { return secure(from, uid, gid) }})
			replace = append(replace, action{path: p.Key, changes: true, run: func() error { return os.Rename(from, p.Key) }})
			dirs[filepath.Dir(p.Key)] = true
		} else {
			stage = append(stage, action{path: p.Key, run: func() error { return secure(p.Key, uid, gid) }})
		}
		if err := file(p.Certificate); err != nil {
			return fail(err)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		replace = append(replace, action{path: dir, run: func() error { return durable.SyncDir(dir) }})
	}
	return append(stage, replace...), nil
}

// fit finds the key that a certificate is for: the one that waits, or the one in place.
func fit(p kvserver.CertificatePair) (waits bool, err error) {
	if !filepath.IsAbs(p.Key) {
		return false, fmt.Errorf("the path of its key, %q, is not absolute", p.Key)
	}
	public, err := leaf(p.Certificate.PEM)
	if err != nil {
		return false, err
	}
	want, err := keypair.Fingerprint(public)
	if err != nil {
		return false, err
	}
	var seen []string
	for _, path := range []string{p.Key + kvserver.NewSuffix, p.Key} {
		key, err := existing(path)
		if err != nil {
			return false, fmt.Errorf("key %s: %w", path, err)
		}
		if key == nil {
			continue
		}
		if got, err := keypair.Fingerprint(key.Public()); err == nil && got == want {
			return path != p.Key, nil
		}
		seen = append(seen, path)
	}
	if len(seen) == 0 {
		return false, fmt.Errorf("there is no key at %s or beside it", p.Key)
	}
	return false, fmt.Errorf("it is for another key than the one at %s", seen[0])
}

// leaf is the public key of the first certificate of a PEM text that has nothing but certificates.
func leaf(text string) (crypto.PublicKey, error) {
	var public crypto.PublicKey
	for rest := []byte(text); ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			if len(bytes.TrimSpace(rest)) > 0 {
				return nil, errors.New("there is something in it that is no PEM")
			}
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("there is a %s in it", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if public == nil {
			public = c.PublicKey
		}
	}
	if public == nil {
		return nil, errors.New("there is no certificate in it")
	}
	return public, nil
}

// replacing is what puts a file in place, in two acts; nil if it is there already.
func replacing(f kvserver.CertificateFile, owners Owners) (stage, replace *action, err error) {
	if !filepath.IsAbs(f.Path) {
		return nil, nil, errors.New("its path is not absolute")
	}
	uid, gid, err := owners.Lookup(f.Owner)
	if err != nil {
		return nil, nil, err
	}
	mode := fs.FileMode(f.Mode).Perm()
	if mode == 0 {
		mode = 0o644
	}
	info, err := os.Lstat(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, nil, errors.New("something that is no regular file is in its place")
	default:
		text, err := os.ReadFile(f.Path)
		if err != nil {
			return nil, nil, err
		}
		u, g := ownerOf(info)
		if string(text) == f.PEM && info.Mode().Perm() == mode && (uid < 0 || u == uid && g == gid) {
			return nil, nil, nil
		}
	}
	beside := f.Path + kvserver.NewSuffix
	stage = &action{path: beside, run: func() error {
		return durable.StageAt(beside, durable.File{Mode: mode, UID: uid, GID: gid, Content: []byte(f.PEM)})
	}}
	replace = &action{path: f.Path, changes: true, run: func() error { return os.Rename(beside, f.Path) }}
	return stage, replace, nil
}
