package authority

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"quorate/pki"
	"quorate/pki/keypair"
)

func store(t *testing.T) Store {
	t.Helper()
	return Store{Dir: filepath.Join(t.TempDir(), "pki", "lab"), Name: "lab CA", KeyAlgorithm: "ecdsa-p256", Lifetime: 3650 * days}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
}

func TestCreateAndReopen(t *testing.T) {
	t.Parallel()
	s := store(t)
	st, err := s.Look(now)
	if err != nil || st.Exists || st.Problem != "" {
		t.Fatalf("before: %+v %v", st, err)
	}
	if there, _ := exists(s.Dir); there {
		t.Fatal("looking made the folder")
	}
	a, created, err := s.Open(now)
	if err != nil || !created {
		t.Fatalf("%v %v", created, err)
	}
	same(t, names(t, s.Dir), []string{"ca-key.pem", "ca.pem"})
	for path, want := range map[string]fs.FileMode{s.Dir: 0o700, s.plain(): 0o600} {
		if info, _ := os.Stat(path); info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
	}
	b, created, err := s.Open(now)
	if err != nil || created || b.CA().Fingerprint != a.CA().Fingerprint {
		t.Errorf("reopened: created %v, %v", created, err)
	}
	st, err = s.Look(now)
	if err != nil || !st.Exists || st.Encrypted || st.Certificate.Fingerprint != a.CA().Fingerprint {
		t.Errorf("after: %+v %v", st, err)
	}
	ca := a.CA()
	if !ca.IsCA || ca.Subject != "lab CA" || !ca.NotAfter.Equal(now.Add(3650*days)) || !ca.NotBefore.Equal(now.Add(-5*time.Minute)) {
		t.Errorf("%+v", ca)
	}
	block, _ := pem.Decode(a.Bundle())
	c, _ := x509.ParseCertificate(block.Bytes)
	if !c.MaxPathLenZero || c.KeyUsage&x509.KeyUsageCertSign == 0 || len(c.ExtKeyUsage) != 0 {
		t.Errorf("path length %d/%v, usage %b %v", c.MaxPathLen, c.MaxPathLenZero, c.KeyUsage, c.ExtKeyUsage)
	}
}

// A key without certificate is what an interrupted making leaves: taken up again.
func TestHalfMade(t *testing.T) {
	t.Parallel()
	s := store(t)
	a, _, err := s.Open(now)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.certPath()); err != nil {
		t.Fatal(err)
	}
	b, created, err := s.Open(now)
	if err != nil || !created || b.CA().PublicKey != a.CA().PublicKey {
		t.Errorf("created %v, %v, same key %v", created, err, b != nil && b.CA().PublicKey == a.CA().PublicKey)
	}
	if err := os.Remove(s.certPath()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.plain(), 0o644); err != nil {
		t.Fatal(err)
	}
	if st, err := s.Look(now); err != nil || st.Exists || !strings.Contains(st.Problem, "chmod 600") {
		t.Errorf("a lax key without certificate: %+v %v", st, err)
	}
	if err := os.Chmod(s.plain(), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Open(now); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.plain()); err != nil {
		t.Fatal(err)
	}
	before := names(t, s.Dir)
	st, err := s.Look(now)
	if err != nil || st.Exists || !strings.Contains(st.Problem, "its key "+s.plain()+" is not") {
		t.Errorf("%+v %v", st, err)
	}
	if _, _, err := s.Open(now); err == nil || !strings.Contains(err.Error(), "put the key back") {
		t.Errorf("opened a CA without key: %v", err)
	}
	same(t, names(t, s.Dir), before)
}

// Two runs that make the CA at once: one CA comes of it, nobody's is replaced.
func TestCreatedOnce(t *testing.T) {
	t.Parallel()
	s := store(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []string
	for range 8 {
		wg.Go(func() {
			a, created, err := s.Open(now)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && created {
				won = append(won, a.CA().Fingerprint)
			} else if err != nil && !errors.Is(err, fs.ErrExist) {
				t.Errorf("%v", err)
			}
		})
	}
	wg.Wait()
	a, created, err := s.Open(now)
	if err != nil || created {
		t.Fatalf("%v %v", created, err)
	}
	if len(won) != 1 || won[0] != a.CA().Fingerprint {
		t.Errorf("%d made it, the store has another", len(won))
	}
	same(t, names(t, s.Dir), []string{"ca-key.pem", "ca.pem"})
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, s *Store)
		now   time.Time
		want  string // of the look; "!" before it: of opening only
	}{
		"key readable by the group": {func(t *testing.T, s *Store) { os.Chmod(s.plain(), 0o640) }, now, "chmod 600"},
		"certificate is garbage":    {func(t *testing.T, s *Store) { os.WriteFile(s.certPath(), []byte("x"), 0o644) }, now, "no certificate in PEM form"},
		"certificate is a leaf": {func(t *testing.T, s *Store) {
			a := open(t, "ecdsa-p256")
			c, _ := leaf(t, a, "ecdsa-p256", pki.Request{Profile: pki.Client, CommonName: "x", Lifetime: days})
			os.WriteFile(s.certPath(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o644)
		}, now, "not a CA certificate"},
		"expired":       {func(t *testing.T, s *Store) {}, now.Add(4000 * days), "expired on"},
		"not yet valid": {func(t *testing.T, s *Store) {}, now.Add(-days), "clock right?"},
		"another CA's key": {func(t *testing.T, s *Store) {
			key, _ := keypair.Generate("ecdsa-p256")
			text, _ := keypair.Encode(key)
			os.WriteFile(s.plain(), text, 0o600)
		}, now, "!does not belong"},
		"key is garbage":    {func(t *testing.T, s *Store) { os.WriteFile(s.plain(), []byte("secret stuff"), 0o600) }, now, "!no private key in PEM form"},
		"half of an own CA": {func(t *testing.T, s *Store) { s.Cert = "/nowhere/ca.pem" }, now, "=ca_cert and ca_key go together"},
		"own CA missing":    {func(t *testing.T, s *Store) { s.Cert, s.Key = "/nowhere/ca.pem", "/nowhere/ca-key.pem" }, now, "your own CA certificate /nowhere/ca.pem does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := store(t)
			if _, _, err := s.Open(now); err != nil {
				t.Fatal(err)
			}
			tc.spoil(t, &s)
			st, err := s.Look(tc.now)
			switch want := tc.want; {
			case strings.HasPrefix(want, "="):
				if err == nil || !strings.Contains(err.Error(), want[1:]) {
					t.Errorf("look: %v", err)
				}
			case strings.HasPrefix(want, "!"):
				if err != nil || !st.Exists {
					t.Errorf("look: %+v %v", st, err)
				}
			case err != nil || st.Exists || !strings.Contains(st.Problem, want):
				t.Errorf("look: %+v %v", st, err)
			}
			if _, _, err := s.Open(tc.now); err == nil || !strings.Contains(err.Error(), strings.TrimLeft(tc.want, "!=")) {
				t.Errorf("open: %v", err)
			} else if strings.Contains(err.Error(), "secret") {
				t.Error("the error quotes the key file")
			}
		})
	}
}

func TestOwnCA(t *testing.T) {
	t.Parallel()
	made := store(t)
	a, _, err := made.Open(now)
	if err != nil {
		t.Fatal(err)
	}
	other := open(t, "ecdsa-p256")
	// The operator's bundle: the CA first, another one that is trusted too.
	bundle := filepath.Join(t.TempDir(), "bundle.pem")
	if err := os.WriteFile(bundle, append(a.Bundle(), other.Bundle()...), 0o644); err != nil {
		t.Fatal(err)
	}
	own := Store{Dir: filepath.Join(t.TempDir(), "unused"), Cert: bundle, Key: made.plain()}
	b, created, err := own.Open(now)
	if err != nil || created {
		t.Fatalf("%v %v", created, err)
	}
	if b.CA().Fingerprint != a.CA().Fingerprint || bytes.Count(b.Bundle(), []byte("BEGIN CERTIFICATE")) != 2 {
		t.Errorf("took %s", b.Bundle())
	}
	leaf(t, b, "ecdsa-p256", pki.Request{Profile: pki.Server, CommonName: "etcd1", Lifetime: days})
	if there, _ := exists(own.Dir); there {
		t.Error("made a folder for somebody else's CA")
	}
}

func TestPassphrase(t *testing.T) {
	t.Parallel()
	s := store(t)
	asked := 0
	answer := "correct horse"
	s.Encryption = Encryption{Wanted: true, work: 10, Prompt: func(q string, fresh bool) (string, error) {
		asked++
		if fresh != (asked == 1) || !strings.Contains(q, "ca-key.pem.age") {
			t.Errorf("asked %q, fresh %v", q, fresh)
		}
		return answer, nil
	}}
	a, created, err := s.Open(now)
	if err != nil || !created {
		t.Fatal(err)
	}
	same(t, names(t, s.Dir), []string{"ca-key.pem.age", "ca.pem"})
	text, _ := os.ReadFile(s.sealed())
	if !bytes.HasPrefix(text, []byte("-----BEGIN AGE ENCRYPTED FILE-----")) {
		t.Errorf("%.40q", text)
	}
	st, err := s.Look(now)
	if err != nil || !st.Exists || !st.Encrypted || asked != 1 {
		t.Errorf("look: %+v %v, asked %d times", st, err, asked)
	}
	b, _, err := s.Open(now)
	if err != nil || b.CA().Fingerprint != a.CA().Fingerprint || asked != 2 {
		t.Errorf("reopen: %v, asked %d times", err, asked)
	}
	answer = "wrong"
	if _, _, err := s.Open(now); err == nil || !strings.Contains(err.Error(), "the passphrase does not open it") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("wrong passphrase: %v", err)
	}
	s.Encryption.Prompt = nil
	if _, _, err := s.Open(now); err == nil || !strings.Contains(err.Error(), "nobody is there to ask") {
		t.Errorf("nobody there: %v", err)
	}
	s.Encryption = Encryption{Passphrase: "correct horse"}
	if _, _, err := s.Open(now); err != nil {
		t.Errorf("from the spec: %v", err)
	}
}

func identity(t *testing.T) (recipient, file string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "id.txt")
	if err := os.WriteFile(file, []byte("# mine\n"+id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return id.Recipient().String(), file
}

// A plain key is encrypted once the spec asks for it, and the plain file goes
// only when the encrypted one can be opened here.
func TestSealing(t *testing.T) {
	t.Parallel()
	s := store(t)
	a, _, err := s.Open(now)
	if err != nil {
		t.Fatal(err)
	}
	mine, file := identity(t)
	theirs, _ := identity(t)

	s.Encryption = Encryption{Wanted: true, Recipients: []string{theirs}, IdentityFile: file}
	if st, err := s.Look(now); err != nil || !st.Unsealed || !st.Exists {
		t.Errorf("looked %+v, %v", st, err)
	}
	if _, _, err := s.Open(now); err != nil { // opening only reads
		t.Errorf("opened: %v", err)
	}
	same(t, names(t, s.Dir), []string{"ca-key.pem", "ca.pem"})
	if _, err := s.Encrypt(); err == nil || !strings.Contains(err.Error(), "the plain key stays") || !strings.Contains(err.Error(), "no identity in "+file+" opens it") {
		t.Errorf("sealed itself out: %v", err)
	}
	same(t, names(t, s.Dir), []string{"ca-key.pem", "ca.pem"})

	s.Encryption.Recipients = []string{"age1nonsense"}
	if _, err := s.Encrypt(); err == nil || !strings.Contains(err.Error(), `recipient "age1nonsense" is not an age recipient`) {
		t.Errorf("nonsense: %v", err)
	}

	s.Encryption.Recipients = []string{theirs, mine}
	for i := range 2 {
		if changed, err := s.Encrypt(); err != nil || changed != (i == 0) {
			t.Fatalf("%v %v", changed, err)
		}
		b, created, err := s.Open(now)
		if err != nil || created || b.CA().Fingerprint != a.CA().Fingerprint {
			t.Fatalf("%v %v", created, err)
		}
		same(t, names(t, s.Dir), []string{"ca-key.pem.age", "ca.pem"})
	}
	s.Encryption.IdentityFile = ""
	if _, _, err := s.Open(now); err == nil || !strings.Contains(err.Error(), "identity_file") {
		t.Errorf("without identity: %v", err)
	}
	bad := filepath.Join(t.TempDir(), "bad")
	os.WriteFile(bad, []byte("AGE-SECRET-KEY-1OOPS\n"), 0o600)
	s.Encryption.IdentityFile = bad
	if _, _, err := s.Open(now); err == nil || strings.Contains(err.Error(), "OOPS") {
		t.Errorf("bad identity file: %v", err)
	}
}

// A new CA's key that nobody here could open again is not kept, and neither is the CA.
func TestCreateOpensWhatItEncrypts(t *testing.T) {
	t.Parallel()
	_, file := identity(t)
	theirs, _ := identity(t)
	s := store(t)
	s.Encryption = Encryption{Wanted: true, Recipients: []string{theirs}, IdentityFile: file}
	if _, _, err := s.Open(now); err == nil || !strings.Contains(err.Error(), "no identity in "+file+" opens it") {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(s.Dir); len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// Cut between writing the encrypted key and removing the plain one.
func TestSealingInterrupted(t *testing.T) {
	t.Parallel()
	s := store(t)
	a, _, err := s.Open(now)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := os.ReadFile(s.plain())
	if err != nil {
		t.Fatal(err)
	}
	mine, file := identity(t)
	sealed := s
	sealed.Encryption = Encryption{Wanted: true, Recipients: []string{mine}, IdentityFile: file}
	if _, err := sealed.Encrypt(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.plain(), plain, 0o600); err != nil {
		t.Fatal(err)
	}
	if changed, err := sealed.Encrypt(); err != nil || !changed {
		t.Errorf("taken up again: %v %v", changed, err)
	}
	if b, _, err := sealed.Open(now); err != nil || b.CA().Fingerprint != a.CA().Fingerprint {
		t.Errorf("%v", err)
	}
	same(t, names(t, s.Dir), []string{"ca-key.pem.age", "ca.pem"})

	key, _ := keypair.Generate("ecdsa-p256")
	other, _ := keypair.Encode(key)
	if err := os.WriteFile(s.plain(), other, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sealed.Encrypt(); err == nil || !strings.Contains(err.Error(), "hold different keys") {
		t.Errorf("another key beside it: %v", err)
	}
	same(t, names(t, s.Dir), []string{"ca-key.pem", "ca-key.pem.age", "ca.pem"})
	// Decrypted by hand, and no encryption asked for any more: the plain one counts.
	if err := os.WriteFile(s.plain(), plain, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Open(now); err != nil {
		t.Errorf("%v", err)
	}
}

func TestClientFiles(t *testing.T) {
	t.Parallel()
	a := open(t, "ecdsa-p256")
	dir := filepath.Join(t.TempDir(), "clients")
	f := ClientFiles(dir, "kube-apiserver")
	r := pki.Request{Profile: pki.Client, CommonName: "kube-apiserver", Organization: []string{"system:masters"}, Lifetime: days}
	look := func() ClientState {
		t.Helper()
		st, err := LookClient(dir, "kube-apiserver", a.Bundle())
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	if st := look(); st.Exists || st.Problem != "" {
		t.Errorf("before: %+v", st)
	}
	made, err := a.IssueClient(t.Context(), dir, "kube-apiserver", "ecdsa-p256", r, now)
	if err != nil {
		t.Fatal(err)
	}
	if st := look(); !st.Exists || st.Problem != "" || st.Certificate.Fingerprint != made.Fingerprint {
		t.Errorf("after: %+v", st)
	}
	same(t, names(t, dir), []string{"ca.pem", "kube-apiserver-key.pem", "kube-apiserver.pem"})
	if info, _ := os.Stat(f.Key); info.Mode().Perm() != 0o600 {
		t.Errorf("key has mode %o", info.Mode().Perm())
	}
	// A renewal keeps the key, another algorithm does not.
	again, err := a.IssueClient(t.Context(), dir, "kube-apiserver", "ecdsa-p256", r, now)
	if err != nil || again.PublicKey != made.PublicKey || again.Serial == made.Serial {
		t.Errorf("renewed: %v", err)
	}
	if other, err := a.IssueClient(t.Context(), dir, "kube-apiserver", "ed25519", r, now); err != nil || other.KeyAlgorithm != "ed25519" {
		t.Errorf("other algorithm: %+v %v", other, err)
	}
	for want, spoil := range map[string]func(){
		"is missing": func() { os.Remove(f.Key) },
		"chmod 600":  func() { os.Chmod(f.Key, 0o644) },
		"does not belong to the certificate": func() {
			key, _ := keypair.Generate("ed25519")
			b, _ := keypair.Encode(key)
			os.WriteFile(f.Key, b, 0o600)
		},
		"is not the cluster's CA":    func() { os.Remove(f.CA) },
		"no certificate in PEM form": func() { os.WriteFile(f.Cert, nil, 0o644) },
	} {
		spoil()
		if st := look(); !strings.Contains(st.Problem, want) {
			t.Errorf("%s: %+v", want, st)
		}
		if _, err := a.IssueClient(t.Context(), dir, "kube-apiserver", "ed25519", r, now); err != nil {
			t.Fatal(err)
		}
		if st := look(); st.Problem != "" {
			t.Errorf("%s: not mended: %s", want, st.Problem)
		}
	}
}
