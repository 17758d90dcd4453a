package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"quorate/internal/sealed"
	"quorate/kvserver"
)

var now = time.Date(2026, 11, 30, 21, 0, 0, 0, time.UTC)

func TestSave(t *testing.T) {
	t.Parallel()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	identity := filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(identity, []byte(id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		with func(*kvserver.BackupRequest)
		open sealed.Encryption
		file string
	}{
		"plain":          {func(*kvserver.BackupRequest) {}, sealed.Encryption{}, "lab-20261130T210000Z-etcd1.db.zst"},
		"passphrase":     {func(r *kvserver.BackupRequest) { r.Passphrase = "open sesame" }, sealed.Encryption{Passphrase: "open sesame"}, "lab-20261130T210000Z-etcd1.db.zst.age"},
		"incompressible": {func(*kvserver.BackupRequest) {}, sealed.Encryption{}, "lab-20261130T210000Z-etcd1.db"},
		"for recipients": {func(r *kvserver.BackupRequest) { r.Recipients = []string{id.Recipient().String()} }, sealed.Encryption{IdentityFile: identity}, "lab-20261130T210000Z-etcd1.db.zst.age"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := serveMember(t, 300)
			if c.file == "lab-20261130T210000Z-etcd1.db" {
				m.db, m.hash = databaseOf(t, 300, noise)
			}
			c.with(&m.request)
			m.request.Files = map[string]string{"lab.hcl": "cluster \"lab\" {}\n"}
			var stages []string
			b, err := Save(t.Context(), m.request, Options{Now: now, Tool: "1.2.3", work: 4, Progress: func(l kvserver.BackupLine) { stages = append(stages, string(l.Stage)) }})
			if err != nil {
				t.Fatal(err)
			}
			if b.Name != c.file || b.Compared.Result != kvserver.Agreed || b.Keys != 299 || *b.Hash != m.hash || b.ClusterID != "c1" || b.MemberID != "a1" || b.Tool != "1.2.3" || !b.At.Equal(now) {
				t.Errorf("%+v", b)
			}
			if got := m.files(t); len(got) != 2 || got[0] != c.file || got[1] != c.file+".json" {
				t.Errorf("in the folder are %v", got)
			}
			for _, f := range m.files(t) {
				if info, err := os.Stat(filepath.Join(m.request.Dir, f)); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%s: %v, %v", f, info.Mode(), err)
				}
			}
			path := filepath.Join(m.request.Dir, b.Name)
			if b.Encrypted {
				if text, _ := os.ReadFile(path); bytes.Contains(text, []byte("key-0000")) || bytes.Contains(text, zstdMagic) {
					t.Error("it is readable")
				}
				if text, _ := os.ReadFile(path + ".json"); bytes.Contains(text, []byte("sesame")) {
					t.Error("the metadata has the passphrase in it")
				}
			}
			v, err := Verify(t.Context(), path, VerifyOptions{Encryption: c.open})
			if err != nil {
				t.Fatal(err)
			}
			if v.Metadata == nil || v.Hash != m.hash || v.Size != int64(len(m.db)+32) || v.Form.Compressed != compressedBy(c.file) || v.Form.Encrypted != b.Encrypted {
				t.Errorf("%+v", v)
			}
			all, err := List(m.request.Dir, "lab", 1)
			if err != nil || len(all) != 1 || !all[0].Good() || !all[0].Checked {
				t.Errorf("%+v, %v", all, err)
			}
			if len(m.files(t)) != 2 {
				t.Errorf("verifying left %v", m.files(t))
			}
			if want := "receive read compare write"; strings.Join(compacted(stages), " ") != want {
				t.Errorf("stages %v", stages)
			}
		})
	}
}

func compressedBy(name string) string {
	if strings.Contains(name, ".zst") {
		return "zstd"
	}
	return ""
}

func compacted(s []string) (out []string) {
	for _, e := range s {
		if len(out) == 0 || out[len(out)-1] != e {
			out = append(out, e)
		}
	}
	return out
}

// What the living member says of its hash, and what becomes of it.
func TestComparedWithTheMember(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		says  func(*pb.HashKVResponse)
		state func(*pb.StatusResponse)
		want  kvserver.ComparedResult
		why   string
		fails string
	}{
		"it agrees":               {want: kvserver.Agreed},
		"it has compacted since":  {says: func(r *pb.HashKVResponse) { r.CompactRevision = 7; r.Hash++ }, want: kvserver.NotCompared, why: "compacted its keys since"},
		"it holds something else": {says: func(r *pb.HashKVResponse) { r.Hash++ }, fails: "what the member sent is not what it holds: up to revision"},
		"a large one leads": {state: func(r *pb.StatusResponse) { r.Leader = r.Header.MemberId; r.DbSizeInUse = 2 << 30 },
			want: kvserver.NotCompared, why: "the member leads, and would apply no writes while it hashes 2.0 GiB"},
		"a small one leads": {state: func(r *pb.StatusResponse) { r.Leader = r.Header.MemberId }, want: kvserver.Agreed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := serveMember(t, 20)
			m.says, m.state = c.says, c.state
			b, err := Save(t.Context(), m.request, Options{Now: now})
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || len(m.files(t)) != 0 {
					t.Errorf("%v; left %v", err, m.files(t))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if b.Compared.Result != c.want || !strings.Contains(b.Compared.Why, c.why) {
				t.Errorf("%+v", b.Compared)
			}
		})
	}
}

// Cut after every piece, spoiled anywhere: nothing is published, and nothing stays.
func TestSaveCutAnywhere(t *testing.T) {
	t.Parallel()
	m := serveMember(t, 40)
	pieces := (len(m.db) + 32 + piece - 1) / piece
	for cut := range pieces {
		m.mu.Lock()
		m.cut = cut
		m.mu.Unlock()
		if b, err := Save(t.Context(), m.request, Options{Now: now}); err == nil || len(m.files(t)) != 0 {
			t.Fatalf("cut before piece %d of %d: %+v, %v; left %v", cut, pieces, b, err, m.files(t))
		}
	}
	m.mu.Lock()
	m.cut = -1
	m.mu.Unlock()
	for what, spoil := range map[string]func([]byte) []byte{
		"cut by a sector":     func(b []byte) []byte { return b[:len(b)-512] },
		"cut by 4096":         func(b []byte) []byte { return b[:len(b)-4096] },
		"without its hash":    func(b []byte) []byte { return b[:len(b)-32] },
		"a bit of it flipped": func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
		"a bit of its hash":   func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"empty":               func([]byte) []byte { return nil },
		"only a hash":         func(b []byte) []byte { return b[len(b)-32:] },
		"no database, hashed": func([]byte) []byte { return withHash(make([]byte, 8192)) },
		"another one, hashed": func(b []byte) []byte { return withHash(bytes.Repeat([]byte("x"), 65536)) },
	} {
		m.mu.Lock()
		m.spoil = spoil
		m.mu.Unlock()
		if b, err := Save(t.Context(), m.request, Options{Now: now}); err == nil || len(m.files(t)) != 0 {
			t.Errorf("%s: %+v, %v; left %v", what, b, err, m.files(t))
		}
	}
	m.mu.Lock()
	m.spoil = nil
	m.mu.Unlock()
	if _, err := Save(t.Context(), m.request, Options{Now: now}); err != nil {
		t.Error(err)
	}
}

// The operator gives up while the member stands still.
func TestSaveEndsWithItsContext(t *testing.T) {
	t.Parallel()
	m := serveMember(t, 40)
	m.cut, m.hangs = 2, make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-m.hangs; cancel() }()
	if _, err := Save(ctx, m.request, Options{Now: now}); !errors.Is(err, context.Canceled) || len(m.files(t)) != 0 {
		t.Errorf("%v; left %v", err, m.files(t))
	}
}

// A process that is killed while it takes a backup leaves files that the next one removes, and what
// others keep in the folder stays.
func TestSaveAfterAKill(t *testing.T) {
	t.Parallel()
	m := serveMember(t, 40)
	m.cut, m.hangs = 3, make(chan struct{})
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), savesEnv+"="+encodeRequest(t, m.request))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-m.hangs
	for len(m.files(t)) < 1 { // it writes behind what it receives
		time.Sleep(time.Millisecond)
	}
	if _, err := Save(t.Context(), m.request, Options{Now: now}); err == nil || !strings.Contains(err.Error(), "another backup is being taken") {
		t.Errorf("two at a time: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if left := m.files(t); len(left) != 1 || !strings.HasSuffix(left[0], ".part") {
		t.Fatalf("killed, it left %v", left)
	}
	// Of one that was compressed there may be another.
	put(t, filepath.Join(m.request.Dir, strings.TrimSuffix(m.files(t)[0], partSuffix)+packedSuffix+partSuffix), nil)
	foreign := filepath.Join(m.request.Dir, ".lab-2-20261130T210000Z-etcd1.db.zst.part")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	m.cut, m.hangs = -1, nil
	m.mu.Unlock()
	b, err := Save(t.Context(), m.request, Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(m.files(t)), fmt.Sprint([]string{filepath.Base(foreign), b.Name, b.Name + ".json"}); got != want {
		t.Errorf("there is %s, want %s", got, want)
	}
}

// Two in the same second get different names.
func TestNamesAreNew(t *testing.T) {
	t.Parallel()
	m := serveMember(t, 5)
	for i := range 3 {
		b, err := Save(t.Context(), m.request, Options{Now: now})
		if err != nil || !b.At.Equal(now.Add(time.Duration(i)*time.Second)) {
			t.Errorf("%+v, %v", b, err)
		}
	}
	all, err := List(m.request.Dir, "lab", 0)
	if err != nil || len(all) != 3 || !all[0].Backup.At.After(all[2].Backup.At) {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestSaveRefuses(t *testing.T) {
	t.Parallel()
	m := serveMember(t, 5)
	for what, c := range map[string]struct {
		change func(*kvserver.BackupRequest)
		want   string
	}{
		"no folder":           {func(r *kvserver.BackupRequest) { r.Dir = "" }, "names no folder"},
		"a folder not a path": {func(r *kvserver.BackupRequest) { r.Dir = "backups" }, "names no folder"},
		"a file as folder":    {func(r *kvserver.BackupRequest) { r.Dir = r.CA }, "not a directory"},
		"no certificate":      {func(r *kvserver.BackupRequest) { r.Cert = r.Dir + "/none.pem" }, "client certificate of this host"},
		"nobody there":        {func(r *kvserver.BackupRequest) { r.Address = "127.0.0.1:1" }, "refused"},
		"no recipient":        {func(r *kvserver.BackupRequest) { r.Recipients = []string{"age1none"} }, "age1none"},
	} {
		r := m.request
		c.change(&r)
		if _, err := Save(t.Context(), r, Options{Now: now}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The hash at the end is found whatever the pieces are.
func TestTail(t *testing.T) {
	t.Parallel()
	whole := withHash(bytes.Repeat([]byte("0123456789abcdef"), 64))
	for _, size := range []int{1, 7, 31, 32, 33, 100, 1024, 5000} {
		w := newTail()
		for rest := whole; len(rest) > 0; {
			n := min(size, len(rest))
			_, _ = w.Write(rest[:n])
			rest = rest[n:]
		}
		if _, err := w.verify(); err != nil || w.size != int64(len(whole)) {
			t.Errorf("in pieces of %d: %v", size, err)
		}
	}
	w := newTail()
	_, _ = io.Copy(w, bytes.NewReader(whole[:1024]))
	if _, err := w.verify(); !errors.Is(err, ErrNoHash) {
		t.Errorf("%v", err)
	}
}
