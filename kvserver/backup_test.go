package kvserver

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestBackupNames(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 30, 21, 0, 0, 0, time.UTC)
	for _, cluster := range []string{"lab", "lab-2", "lab-20261130T210000Z", "a"} {
		for _, f := range []Form{{}, {Compressed: "zstd"}, {Encrypted: true}, {Compressed: "zstd", Encrypted: true}} {
			name := BackupName(cluster, at, "etcd-1.example", f)
			for _, other := range []string{"lab", "lab-2", "lab-20261130T210000Z", "a"} {
				if got := BackupOf(other, name); got != (other == cluster) {
					t.Errorf("%s is of %s: %t", name, other, got)
				}
			}
		}
	}
	for _, name := range []string{"", "lab", "snapshot.db", "lab-20261130T210000Z-.db.zst", "lab-2026-etcd1.db.zst", "lab-20261130T210000Z-etcd1.db.zst.json"} {
		if BackupOf("lab", name) {
			t.Errorf("%q is a backup", name)
		}
	}
}

// Which backups stay: each letter is one, the newest first; g is good, b is not, n has no metadata.
func TestRetain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		all  string
		keep int
		drop string // by place, from 0
	}{
		{"", 3, ""},
		{"ggg", 3, ""},
		{"gggg", 3, "3"},
		{"gggggg", 1, "1 2 3 4 5"},
		{"bbbg", 1, ""},        // the newest good one stays, however old
		{"bbbgg", 1, "4"},      // and what is newer than it
		{"gbgbgb", 2, "3 4 5"}, // what is not good does not count
		{"bbbb", 1, ""},
		{"gggg", 0, ""},
		{"gnngn", 1, "3"}, // nobody knows what has no metadata
	} {
		var all []ListedBackup
		for i, kind := range c.all {
			l := ListedBackup{Name: fmt.Sprint(i)}
			if kind != 'n' {
				l.Backup = &Backup{At: time.Unix(int64(1000-i), 0)}
			}
			if kind != 'g' {
				l.Problem = "x"
			}
			all = append([]ListedBackup{l}, all...) // in any order
		}
		var got []string
		for _, l := range Retain(all, c.keep) {
			got = append(got, l.Name)
		}
		if strings.Join(got, " ") != c.drop {
			t.Errorf("%s, keep %d: drops %v, want %s", c.all, c.keep, got, c.drop)
		}
	}
}

func FuzzParseBackup(f *testing.F) {
	f.Add([]byte(`{"format":1,"name":"lab-20261130T210000Z-etcd1.db.zst","size":1}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := ParseBackup(text)
		if err == nil && (b == nil || len(b.SHA256) != 64 || b.Size <= 0) {
			t.Errorf("%q is %+v", text, b)
		}
	})
}
