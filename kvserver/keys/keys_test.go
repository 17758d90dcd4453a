package keys

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/pki/keypair"
)

func owners() Owners {
	return Owners{
		User: func(name string) (int, int, error) {
			if name == "me" {
				return os.Getuid(), os.Getgid(), nil
			}
			return 0, 0, errors.New("unknown user " + name)
		},
		Group: func(name string) (int, error) {
			if name == "mine" {
				return os.Getgid(), nil
			}
			return 0, errors.New("unknown group " + name)
		},
	}
}

func request(t *testing.T, csr string) *x509.CertificateRequest {
	t.Helper()
	block, rest := pem.Decode([]byte(csr))
	if block == nil || len(rest) != 0 {
		t.Fatalf("not one PEM block: %q", csr)
	}
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.CheckSignature(); err != nil {
		t.Fatal(err)
	}
	return r
}

// The key at path, as any reader would see it.
func read(t *testing.T, path string) (fingerprint, algorithm string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("%s has mode %v", path, info.Mode())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key, err := keypair.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	f, err := keypair.Fingerprint(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return f, keypair.Algorithm(key.Public())
}

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var in []kvserver.KeyRequest
	for _, a := range node.KeyAlgorithms() {
		in = append(in, kvserver.KeyRequest{Path: filepath.Join(dir, a), Algorithm: a, CommonName: "etcd1", Owner: "me"})
	}
	text, _ := json.Marshal(in)
	before := map[string]string{}
	for round := range 2 {
		var out bytes.Buffer
		if err := Run(bytes.NewReader(text), &out, owners()); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "PRIVATE") {
			t.Error("a private key in the output")
		}
		var answers []kvserver.KeyAnswer
		if err := json.Unmarshal(out.Bytes(), &answers); err != nil {
			t.Fatal(err)
		}
		if len(answers) != len(in) {
			t.Fatalf("%d answers", len(answers))
		}
		for i, a := range answers {
			if a.Path != in[i].Path || !a.New || a.Created != (round == 0) {
				t.Errorf("round %d: %s, new %v, created %v", round, a.Path, a.New, a.Created)
			}
			f, algorithm := read(t, a.Path+kvserver.NewSuffix)
			if algorithm != in[i].Algorithm || round == 1 && before[a.Path] != f {
				t.Errorf("%s: %s %s", a.Path, algorithm, f)
			}
			before[a.Path] = f
			r := request(t, a.CSR)
			if got, _ := keypair.Fingerprint(r.PublicKey); got != f || r.Subject.CommonName != "etcd1" {
				t.Errorf("%s: the request is for %s, %s", a.Path, got, r.Subject)
			}
		}
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != len(in) {
		t.Errorf("left behind: %v", entries)
	}
}

func TestLaxModeIsTightened(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key.pem")
	r := kvserver.KeyRequest{Path: path, Algorithm: "ecdsa-p256", CommonName: "x"}
	if _, err := Make(r, owners()); err != nil {
		t.Fatal(err)
	}
	was, _ := read(t, path+kvserver.NewSuffix)
	for _, at := range []string{path + kvserver.NewSuffix, path} { // while it waits, and in its place
		if err := os.Rename(path+kvserver.NewSuffix, at); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(at, 0o644); err != nil {
			t.Fatal(err)
		}
		a, err := Make(r, owners())
		if err != nil || a.Created || a.New != (at != path) {
			t.Fatalf("%+v %v", a, err)
		}
		if is, _ := read(t, at); is != was {
			t.Error("another key")
		}
	}
}

func TestOwner(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("giving a file away wants root")
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	for _, owner := range []string{"4711:4712", "4711:4713"} { // made, and given on
		if _, err := Make(kvserver.KeyRequest{Path: path, Algorithm: "ecdsa-p256", Owner: owner}, owners()); err != nil {
			t.Fatal(err)
		}
		info, _ := os.Stat(path + kvserver.NewSuffix)
		if uid, gid := ownerOf(info); uid != 4711 || gid != map[string]int{"4711:4712": 4712, "4711:4713": 4713}[owner] {
			t.Errorf("%s: owned by %d:%d", owner, uid, gid)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.pem")
	if err := os.WriteFile(garbage, []byte("a secret of somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(garbage, filepath.Join(dir, "link.pem")); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(dir, "k.pem")
	for _, tc := range []struct {
		r    kvserver.KeyRequest
		want string
	}{
		{kvserver.KeyRequest{Path: "k.pem", Algorithm: "ed25519"}, "not absolute"},
		{kvserver.KeyRequest{Path: good, Algorithm: "dsa"}, `unknown algorithm "dsa"`},
		{kvserver.KeyRequest{Path: filepath.Join(dir, "no", "k.pem"), Algorithm: "ed25519"}, "no such file"},
		{kvserver.KeyRequest{Path: garbage, Algorithm: "ed25519"}, "move it away"},
		{kvserver.KeyRequest{Path: filepath.Join(dir, "link.pem"), Algorithm: "ed25519"}, "no regular file"},
		{kvserver.KeyRequest{Path: good, Algorithm: "ed25519", Owner: "nobody-here"}, `owner "nobody-here": unknown user`},
		{kvserver.KeyRequest{Path: good, Algorithm: "ed25519", Owner: "me:nogroup-here"}, `unknown group`},
		{kvserver.KeyRequest{Path: good, Algorithm: "ed25519", Owner: "4711"}, `name the group too`},
	} {
		_, err := Make(tc.r, owners())
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), tc.r.Path) {
			t.Errorf("%+v: %v", tc.r, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error quotes the file: %v", err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("left behind: %v", entries)
	}
	for _, in := range []string{"", "{}", `[{"path":"/x","algorithm":"ed25519","typo":1}]`} {
		if err := Run(strings.NewReader(in), &bytes.Buffer{}, owners()); err == nil {
			t.Errorf("%q: no error", in)
		}
	}
}
