package snapshot

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"quorate/internal/sealed"
)

func put(t testing.TB, path string, content []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func zip(t testing.TB, content []byte, form string) []byte {
	t.Helper()
	var b bytes.Buffer
	if form == "gzip" {
		w := gzip.NewWriter(&b)
		_, _ = w.Write(content)
		_ = w.Close()
		return b.Bytes()
	}
	w, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(content)
	_ = w.Close()
	return b.Bytes()
}

// Snapshots as others make them: as etcdctl writes them, or compressed; without metadata.
func TestVerifyForms(t *testing.T) {
	t.Parallel()
	db, h := database(t, 100)
	for name, c := range map[string]struct {
		file   []byte
		form   string
		noHash bool
	}{
		"as etcdctl writes it":            {withHash(db), "", false},
		"gzip":                            {zip(t, withHash(db), "gzip"), "gzip", false},
		"zstd":                            {zip(t, withHash(db), "zstd"), "zstd", false},
		"a copy of the database":          {db, "", true},
		"a copy of the database, zstd":    {zip(t, db, "zstd"), "zstd", true},
		"the switch does no harm to both": {withHash(db), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := put(t, filepath.Join(t.TempDir(), "snapshot.db"), c.file)
			v, err := Verify(t.Context(), path, VerifyOptions{NoHash: c.noHash})
			if err != nil {
				t.Fatal(err)
			}
			if v.Hash != h || v.Keys != 99 || v.Form.Compressed != c.form || v.Metadata != nil || v.Content.Revision != h.Revision {
				t.Errorf("%+v", v)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, c.file) {
				t.Errorf("the file was changed (%v)", err)
			}
			if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
				t.Errorf("it left %v", entries)
			}
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	db, _ := database(t, 100)
	whole := withHash(db)
	torn := bytes.Clone(db)
	for at := 2 * 4096; at < len(torn); at += 2 * 4096 { // which of them are free depends on when they were written
		copy(torn[at:at+4096], bytes.Repeat([]byte{0xa5}, 4096))
		copy(torn[at+4096+2048:min(at+2*4096, len(torn))], bytes.Repeat([]byte{0xa5}, 2048))
	}
	for name, c := range map[string]struct {
		file   []byte
		noHash bool
		want   string
	}{
		"empty":                               {nil, false, "it is empty"},
		"cut by 4096 bytes":                   {whole[:len(whole)-4096], false, "the hash at its end"},
		"cut by 100 bytes":                    {whole[:len(whole)-100], false, "it has no hash at its end"},
		"a bit flipped":                       {flipped(whole, len(whole)/3), false, "the hash at its end"},
		"a copy of the database":              {db, false, "a copy of a member's database"},
		"torn pages in a copy":                {torn, true, "damaged"},
		"torn pages, hashed":                  {withHash(torn), false, "damaged"},
		"half of a copy":                      {db[:len(db)/2/4096*4096], true, ""},
		"no database at all":                  {bytes.Repeat([]byte("x"), 8192), true, "cannot read database"},
		"gzip, cut":                           {zip(t, whole, "gzip")[:1000], false, "cannot be read to its end"},
		"zstd, cut":                           {zip(t, whole, "zstd")[:1000], false, "cannot be read to its end"},
		"zstd, with something behind":         {append(zip(t, whole, "zstd"), "more"...), false, "cannot be read to its end"},
		"zstd, hash of another":               {zip(t, flipped(whole, 9000), "zstd"), false, "the hash at its end"},
		"encrypted, nobody knows for whom":    {[]byte("age-encryption.org/v1\n-> X25519 abc\n"), false, ""},
		"encrypted, and nothing more than so": {[]byte("-----BEGIN AGE ENCRYPTED FILE-----\n"), false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := put(t, filepath.Join(t.TempDir(), "snapshot.db"), c.file)
			if v, err := Verify(t.Context(), path, VerifyOptions{NoHash: c.noHash}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v", v, err)
			}
			if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
				t.Errorf("it left %v", entries)
			}
		})
	}
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 0x10
	return b
}

// Every byte of a backup counts: its file's, and its metadata's numbers.
func TestVerifyHoldsAgainstMetadata(t *testing.T) {
	t.Parallel()
	m := serveMember(t, 50)
	b, err := Save(t.Context(), m.request, Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(m.request.Dir, b.Name)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	meta, err := os.ReadFile(path + ".json")
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(file); at += 1 + len(file)/97 {
		put(t, path, flipped(file, at))
		if _, err := Verify(t.Context(), path, VerifyOptions{}); err == nil || at > 8 && !strings.Contains(err.Error(), "it was changed or damaged") {
			t.Fatalf("a bit of byte %d of %d flipped: %v", at, len(file), err) // one of the first eight makes it another kind of file
		}
		if all, err := List(m.request.Dir, "lab", 1); err != nil || all[0].Good() {
			t.Fatalf("a bit of byte %d flipped, and it is listed as %+v, %v", at, all, err)
		}
	}
	put(t, path, file)
	for what, c := range map[string]struct{ from, to, want string }{
		"the revision": {`"revision": 52`, `"revision": 53`, "its metadata says"},
		"the keys":     {`"keys": 49`, `"keys": 48`, "its metadata says 48"},
		"the format":   {`"format": 1`, `"format": 2`, "this version knows 1"},
		"no JSON":      {`{`, ``, "cannot read its metadata"},
	} {
		other := bytes.Replace(meta, []byte(c.from), []byte(c.to), 1)
		if bytes.Equal(other, meta) {
			t.Fatalf("%s: not found in %s", what, meta)
		}
		put(t, path+".json", other)
		if _, err := Verify(t.Context(), path, VerifyOptions{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestVerifyOfWhatIsEncrypted(t *testing.T) {
	t.Parallel()
	m := serveMember(t, 50)
	m.request.Passphrase = "right"
	b, err := Save(t.Context(), m.request, Options{Now: now, work: 4})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(m.request.Dir, b.Name)
	for what, c := range map[string]struct {
		e    sealed.Encryption
		want string
	}{
		"the wrong one": {sealed.Encryption{Passphrase: "wrong"}, "the passphrase does not open it"},
		"none":          {sealed.Encryption{}, "wants a passphrase"},
	} {
		if _, err := Verify(t.Context(), path, VerifyOptions{Encryption: c.e}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	t.Parallel()
	db, _ := database(t, 50)
	path := put(t, filepath.Join(t.TempDir(), "db"), db)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, path, VerifyOptions{NoHash: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestListSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	m := serveMember(t, 5)
	dir := m.request.Dir
	for range 4 {
		if _, err := Save(t.Context(), m.request, Options{Now: now}); err != nil {
			t.Fatal(err)
		}
	}
	name := func(second string) string { return "lab-20261130T21000" + second + "Z-etcd1.db.zst" }
	for _, err := range []error{
		os.Remove(filepath.Join(dir, name("0"))),
		os.Remove(filepath.Join(dir, name("1")+".json")),
		os.Truncate(filepath.Join(dir, name("2")), 10),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(dir, "lab-2-20261130T210000Z-etcd1.db.zst"), nil)
	put(t, filepath.Join(dir, "notes.txt"), nil)
	all, err := List(dir, "lab", 9)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range all {
		got = append(got, l.Name+": "+l.Problem)
	}
	want := []string{
		name("3") + ": ",
		name("2") + ": its file has 10 bytes, and should have",
		name("1") + ": it has no metadata",
		name("0") + ": its file is not there",
	}
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) || want[i] == name("3")+": " && got[i] != want[i] {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
	if none, err := List(filepath.Join(dir, "none"), "lab", 0); err != nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
}

// FuzzVerify: whatever a file holds, verifying it ends with an answer or an error, and leaves nothing behind.
func FuzzVerify(f *testing.F) {
	db, _ := database(f, 3)
	f.Add(withHash(db), true)
	f.Add(zip(f, withHash(db), "zstd"), false)
	f.Add(flipped(db, 3*4096), true)
	f.Add(db[:2*4096], true)
	f.Fuzz(func(t *testing.T, content []byte, noHash bool) {
		dir := t.TempDir()
		v, err := Verify(t.Context(), put(t, filepath.Join(dir, "f"), content), VerifyOptions{NoHash: noHash})
		if (v == nil) == (err == nil) {
			t.Errorf("%+v, %v", v, err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 1 {
			t.Errorf("it left %v", entries)
		}
	})
}
