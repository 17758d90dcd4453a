package provision_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quorate/kvserver"
	"quorate/provision"
	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// takes is kvserver snapshot: what it is told of goes into a file, and its metadata beside it.
func takes(m *hosttest.Machine, stdin []byte) (host.Result, error) {
	var r kvserver.BackupRequest
	if err := json.Unmarshal(stdin, &r); err != nil {
		return host.Result{}, hosttest.Exit(1, err.Error())
	}
	at := time.Date(2026, 11, 30, 21, 0, len(m.Paths(r.Dir)), 0, time.UTC)
	content := bytes.Repeat([]byte(r.Member+" at "+r.Address+"\n"), 5000)
	sum := sha256.Sum256(content)
	b := kvserver.Backup{
		Format: kvserver.BackupFormat, Name: kvserver.BackupName(r.Cluster, at, r.Member, kvserver.Form{Compressed: "zstd", Encrypted: r.Passphrase != ""}), Cluster: r.Cluster, Member: r.Member, At: at,
		Size: 4128, SHA256: strings.Repeat("a", 64), PackedSize: int64(len(content)), PackedSHA256: hex.EncodeToString(sum[:]), Files: r.Files, Encrypted: r.Passphrase != "",
	}
	text, err := json.Marshal(b)
	if err != nil {
		return host.Result{}, err
	}
	for name, content := range map[string][]byte{b.Name: content, b.Name + kvserver.MetadataSuffix: text} {
		if err := m.Place(host.File{Path: path.Join(r.Dir, name), Mode: 0o600, Content: content}); err != nil {
			return host.Result{}, hosttest.Exit(1, err.Error())
		}
	}
	var out bytes.Buffer
	lines := json.NewEncoder(&out)
	for _, l := range []kvserver.BackupLine{{Stage: kvserver.StageReceive, Done: 1, Total: 2}, {Stage: kvserver.StageWrite}, {Backup: &b}} {
		_ = lines.Encode(l) // a buffer
	}
	return host.Result{Stdout: out.Bytes()}, nil
}

// listsBackups is kvserver backups.
func listsBackups(m *hosttest.Machine, argv []string) (host.Result, error) {
	dir, all := option(argv, "--dir"), []kvserver.ListedBackup{}
	for _, p := range m.Paths(dir) {
		text, err := m.ReadFile(p + kvserver.MetadataSuffix)
		if err != nil {
			continue
		}
		b, err := kvserver.ParseBackup(text)
		if err != nil {
			return host.Result{}, hosttest.Exit(1, err.Error())
		}
		content, err := m.ReadFile(p)
		if err != nil {
			return host.Result{}, hosttest.Exit(1, err.Error())
		}
		all = append(all, kvserver.ListedBackup{Name: path.Base(p), Size: int64(len(content)), Backup: b})
	}
	text, err := json.Marshal(all)
	return host.Result{Stdout: text}, err
}

func TestBackup(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	must(t, r.apply())
	s := r.session()
	defer s.Close()
	stages := 0
	order := provision.BackupOrder{Files: map[string]string{"main.hcl": "x"}, Passphrase: "open-sesame-4712"}
	b, err := s.Backup(t.Context(), "etcd2", order, func(kvserver.BackupLine) { stages++ })
	if err != nil || b.Member != "etcd2" || stages != 2 || !b.Encrypted {
		t.Fatalf("%+v, %d stages, %v", b, stages, err)
	}
	dir := "/var/backups/quorate/lab"
	if got := r.etcd.peers["etcd2"].machine.Paths(dir); len(got) != 2 {
		t.Errorf("on the host are %v", got)
	}
	for _, h := range s.Backups(t.Context(), 1) {
		want := 0
		if h.Member == "etcd2" {
			want = 1
		}
		if h.Err != nil || len(h.Backups) != want {
			t.Errorf("%+v", h)
		}
	}
	// It comes here, the metadata last; a second time nothing travels.
	here := filepath.Join(t.TempDir(), "backups", "lab")
	fetch := func() error {
		err := s.Fetch(t.Context(), provision.FetchRequest{Member: "etcd2", RemotePath: s.BackupPath("etcd2", b.Name), Path: filepath.Join(here, b.Name), Size: b.PackedSize, SHA256: b.PackedSHA256})
		if err == nil {
			err = s.FetchMetadata(t.Context(), "etcd2", b, here)
		}
		return err
	}
	for range 2 {
		must(t, fetch())
	}
	for _, name := range []string{b.Name, b.Name + kvserver.MetadataSuffix} {
		if _, err := os.Stat(filepath.Join(here, name)); err != nil {
			t.Error(err)
		}
	}
	must(t, s.RemoveBackups(t.Context(), "etcd2", []string{b.Name}))
	if got := r.etcd.peers["etcd2"].machine.Paths(dir); len(got) != 0 {
		t.Errorf("removed, and there are %v", got)
	}
}

// What a host may answer, and what becomes of it.
func TestBackupAnswers(t *testing.T) {
	t.Parallel()
	says := func(lines ...string) hosttest.Handler {
		return func(context.Context, *hosttest.Machine, host.Command) (host.Result, error) {
			return host.Result{Stdout: []byte(strings.Join(lines, "\n") + "\n")}, nil
		}
	}
	fails := func(code int, text string) hosttest.Handler {
		return func(context.Context, *hosttest.Machine, host.Command) (host.Result, error) {
			return host.Result{}, hosttest.Exit(code, text)
		}
	}
	whole := func(name, member string) string {
		return fmt.Sprintf(`{"backup":{"format":1,"name":%q,"member":%q,"at":"2026-11-30T21:00:00Z","sha256":%q,"packed_sha256":%[3]q,"size":1,"packed_size":1}}`, name, member, strings.Repeat("a", 64))
	}
	for name, c := range map[string]struct {
		answer hosttest.Handler
		want   string
	}{
		"an older kvserver":   {fails(1, `kvserver: unknown command "snapshot" for "kvserver"`), "quorate apply puts the new one there"},
		"none":                {fails(127, "not found"), "there is no kvserver on host"},
		"it fails":            {fails(1, "kvserver: cannot take a backup of member \"etcd1\": no room"), "no room"},
		"nonsense":            {says("hello"), `kvserver says "hello"`},
		"nothing":             {says(`{"stage":"read"}`), "without saying what it has taken"},
		"another's":           {says(whole("lab-2-20261130T210000Z-etcd1.db.zst", "etcd1")), "kvserver has taken lab-2-"},
		"another member's":    {says(whole("lab-20261130T210000Z-etcd1.db.zst", "etcd3")), `of member "etcd3"`},
		"a path":              {says(whole("../lab-20261130T210000Z-etcd1.db.zst", "etcd1")), "cannot be read"},
		"a path behind":       {says(whole("lab-20261130T210000Z-../../etcd1.db.zst", "etcd1")), "cannot be read"},
		"less than metadata":  {says(`{"backup":{"format":1}}`), "cannot be read"},
		"of another format":   {says(`{"backup":{"format":7}}`), "this version knows 1"},
		"good, then nonsense": {says(whole("lab-20261130T210000Z-etcd1.db.zst", "etcd1"), "more"), `kvserver says "more"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, threeMembers)
			must(t, r.apply())
			r.etcd.peers["etcd1"].machine.Handle("kvserver", c.answer)
			s := r.session()
			defer s.Close()
			if b, err := s.Backup(t.Context(), "etcd1", provision.BackupOrder{Passphrase: "open-sesame-4712"}, func(kvserver.BackupLine) {}); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "sesame") {
				t.Errorf("%+v, %v", b, err)
			}
		})
	}
}

// A host whose list names what are no backups of this cluster is not believed: names become paths.
func TestBackupsOfAHostileHost(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../../etc/passwd", "lab-2-20261130T210000Z-etcd1.db.zst", "lab-20261130T210000Z-../x.db.zst", ""} {
		r := newRig(t, threeMembers)
		must(t, r.apply())
		r.etcd.peers["etcd1"].machine.Handle("kvserver", func(context.Context, *hosttest.Machine, host.Command) (host.Result, error) {
			text, err := json.Marshal([]kvserver.ListedBackup{{Name: name}})
			return host.Result{Stdout: text}, err
		})
		s := r.session()
		if h := s.Backups(t.Context(), 0)[0]; h.Err == nil || len(h.Backups) > 0 {
			t.Errorf("%q: %+v", name, h)
		}
		s.Close()
	}
}
