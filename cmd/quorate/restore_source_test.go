package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// packed is what a writer around a buffer makes of content.
func packed(t *testing.T, content []byte, around func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := around(&b)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Whatever etcd's own tools, kubeasz or quorate have saved, in whatever form, is restored; what is none, is damaged, cannot be opened or does
// not fit is refused while the members serve on: same processes, same leader, same term.
func TestRestoreSources(t *testing.T) {
	t.Parallel()
	const passphrase = "open-sesame-4712"
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	trio := newClusterHere(t, "trio", 3, "", "PASS="+passphrase)
	trio.write("key.txt", []byte(identity.String()+"\n"))
	byPassphrase := "backup {\n interval = \"0s\"\n encryption { passphrase = env(\"PASS\") }\n}"
	byKey := fmt.Sprintf("backup {\n interval = \"0s\"\n encryption {\n recipients = [%q]\n identity_file = \"key.txt\"\n }\n}", identity.Recipient())
	trio.run(exitDone, "apply", "-y")
	trio.put("/name", "before")
	db := trio.snapshot()
	trio.run(exitDone, "backup", "--fetch=yes")

	// Another cluster's backup, with what belongs to it.
	other := newClusterHere(t, "other", 1, "")
	other.run(exitDone, "apply", "-y")
	other.put("/name", "before")
	other.run(exitDone, "backup", "--fetch=yes")
	cl := other.client()
	for i := range 17 { // to be more than the least quota
		if _, err := cl.Put(t.Context(), fmt.Sprint(i), strings.Repeat("x", 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	large := other.snapshot()
	other.run(exitDone, "destroy", "-y")
	theirs, err := filepath.Glob(filepath.Join(other.dir, "backups/other/other-*.zst"))
	if err != nil || len(theirs) != 1 {
		t.Fatalf("%v %v", theirs, err)
	}

	zip := func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }
	zst := func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }
	scrypt, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	scrypt.SetWorkFactor(10)
	sealed := packed(t, packed(t, db, zst), func(w io.Writer) (io.WriteCloser, error) { return age.Encrypt(w, scrypt) })
	toKey := packed(t, db, func(w io.Writer) (io.WriteCloser, error) { return age.Encrypt(w, identity.Recipient()) })
	flipped := slices.Clone(db)
	flipped[len(db)/2] ^= 4

	for _, c := range []struct {
		name    string
		file    string // that is written; "": one that is there, as args have it
		content []byte
		spec    string
		env     string
		args    []string
		code    int
		says    string
	}{
		{name: "by etcdctl", file: "mine.db", content: db, says: "it has no metadata"},
		{name: "gzip", file: "mine.db.gz", content: packed(t, db, zip)},
		{name: "zstd", file: "mine.db.zst", content: packed(t, db, zst)},
		{name: "kubeasz's", file: "clusters/trio/backup/snapshot.db", content: db},
		{name: "for a passphrase", file: "sealed.age", content: sealed, spec: byPassphrase},
		{name: "for a recipient", file: "key.age", content: toKey, spec: byKey},
		{name: "a member's database", file: "member/snap/db", content: db[:len(db)-32], args: []string{"--no-hash"}},
		{name: "our backup", args: []string{"latest"}, says: "all is as its metadata says"},
		{name: "another cluster's", args: []string{theirs[0]}, says: `Note: the snapshot is of cluster "other", by its metadata`},

		{name: "truncated", file: "half.db", content: db[:len(db)/2/512*512], code: exitFailed, says: "it has no hash at its end: it was cut"},
		{name: "truncated, packed", file: "half.gz", content: packed(t, db, zip)[:1000], code: exitFailed, says: "it cannot be read to its end"},
		{name: "a part of a backup", file: ".trio-20261130T210000Z-etcd1.db.part", content: db[:len(db)-600], code: exitFailed, says: "cannot verify "},
		{name: "a bit is another one", file: "flipped.db", content: flipped, code: exitFailed, says: "cannot verify flipped.db: "},
		{name: "empty", file: "empty.db", content: []byte{}, code: exitFailed, says: "cannot verify empty.db: "},
		{name: "a member's database, and nobody says so", file: "db", content: db[:len(db)-32], code: exitFailed, says: "it has no hash at its end"},
		{name: "another passphrase", file: "wrong.age", content: sealed, spec: byPassphrase, env: "PASS=another-4712", code: exitFailed, says: "the passphrase does not open it"},
		{name: "nobody's key", file: "nobody.age", content: toKey, code: exitFailed, says: "cannot verify nobody.age: "},
		{name: "larger than the quota", file: "large.db", content: large, spec: "server { quota_backend_bytes = \"16MiB\" }", code: exitHeld, says: "! trio: over-quota"},
	} {
		if c.file != "" {
			trio.write(c.file, c.content)
			c.args = append([]string{c.file}, c.args...)
		}
		trio.spec(c.spec)
		trio.put("/name", "after "+c.name)
		was, pids := trio.raft(), processes(t, trio.dir)
		as := trio.operator
		if c.env != "" {
			as = newOperator(t, trio.dir, c.env)
		}
		said := as.run(c.code, append([]string{"restore", "-y"}, c.args...)...)
		if !strings.Contains(said, c.says) || strings.Contains(said, passphrase) || strings.Contains(said, "another-4712") {
			t.Errorf("%s: it should say %q\n%s", c.name, c.says, said)
		}
		want := "before"
		if c.code != exitDone {
			want = "after " + c.name
			if now := trio.raft(); now != was {
				t.Errorf("%s: refused, and it was\n%s\nand is\n%s", c.name, was, now)
			}
			if now := processes(t, trio.dir); !slices.Equal(now, pids) {
				t.Errorf("%s: refused, and the processes were %v and are %v", c.name, pids, now)
			}
		} else if now := trio.raft(); now == was {
			t.Errorf("%s: it is the old cluster still:\n%s", c.name, now)
		}
		if got := trio.value("/name"); got != want {
			t.Errorf("%s: /name is %q, want %q", c.name, got, want)
		}
	}
	trio.spec("")
	trio.settled()
	left, err := filepath.Glob(filepath.Join(trio.dir, ".quorate/trio/restore-*"))
	if more, _ := filepath.Glob(filepath.Join(trio.dir, "*/.verify-*")); err != nil || len(left)+len(more) > 0 {
		t.Errorf("left are %v, %v", left, more)
	}
	trio.run(exitDone, "destroy", "-y")
	if _, err := os.Stat(filepath.Join(trio.dir, "mine.db")); err != nil {
		t.Error(err)
	}
}
