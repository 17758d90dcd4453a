package server

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"

	"quorate/kvserver"
)

// served are the files of a host whose member has just become ready.
func served(t *testing.T, cluster, member uint64) FormedFiles {
	t.Helper()
	dir := t.TempDir()
	f := FormedFiles{Bootstrap: filepath.Join(dir, "bootstrap.yaml"), Mark: filepath.Join(dir, "formed.json"), DataDir: filepath.Join(dir, "data")}
	write(t, f.Bootstrap, "initial-cluster-state: new\n")
	log(t, filepath.Join(f.DataDir, "member", "wal"), cluster, member)
	return f
}

func log(t *testing.T, dir string, cluster, member uint64) {
	t.Helper()
	metadata, err := proto.Marshal(&etcdserverpb.Metadata{ClusterID: &cluster, NodeID: &member})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	w, err := wal.Create(nil, dir, metadata)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() }) // as of a running member: its locks are held
}

func gone(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return err != nil
}

func markAt(t *testing.T, path string) kvserver.Mark {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := kvserver.ParseMark(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if info, _ := os.Stat(path); info.Mode() != 0o644 {
		t.Errorf("the mark has mode %v", info.Mode())
	}
	return m
}

func TestFormed(t *testing.T) {
	t.Parallel()
	f := served(t, 0xa1, 0xb2)
	first := time.Date(2026, 11, 3, 4, 5, 6, 7, time.FixedZone("", 3600))
	for i := range 3 {
		if err := Formed(f, first.Add(time.Duration(i)*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if m := markAt(t, f.Mark); m != (kvserver.Mark{Format: 1, ClusterID: "a1", MemberID: "b2", At: time.Date(2026, 11, 3, 3, 5, 6, 0, time.UTC)}) {
			t.Errorf("%+v", m)
		}
		if !gone(t, f.Bootstrap) {
			t.Error("the bootstrap file is still there")
		}
		if i == 1 { // written once more, by whoever did not know better
			write(t, f.Bootstrap, "initial-cluster-state: new\n")
		}
	}
	// Another member on this host, under other ids: the mark follows.
	os.RemoveAll(f.DataDir)
	f.WALDir = filepath.Join(t.TempDir(), "wal")
	log(t, f.WALDir, 0xa1, 0xc3)
	if err := Formed(f, first); err != nil {
		t.Fatal(err)
	}
	if m := markAt(t, f.Mark); m.ClusterID != "a1" || m.MemberID != "c3" {
		t.Errorf("%+v", m)
	}
	if entries, _ := os.ReadDir(filepath.Dir(f.Mark)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	// A mark that nobody can read any more is made anew.
	write(t, f.Mark, "{")
	os.Chmod(f.Mark, 0o600)
	if err := Formed(f, first); err != nil {
		t.Fatal(err)
	}
	markAt(t, f.Mark)
}

// Nothing is removed where the mark is not there for sure.
func TestFormedFails(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, f *FormedFiles){
		"no WAL":                  func(t *testing.T, f *FormedFiles) { os.RemoveAll(f.DataDir) },
		"a WAL of something else": func(t *testing.T, f *FormedFiles) { write(t, filepath.Join(f.DataDir, "member", "wal", "9.wal"), "x") },
		"a folder for a mark":     func(t *testing.T, f *FormedFiles) { os.Mkdir(f.Mark, 0o700) },
		"nowhere to write":        func(t *testing.T, f *FormedFiles) { f.Mark = filepath.Join(f.Mark, "no", "mark") },
		"no mark asked for":       func(t *testing.T, f *FormedFiles) { f.Mark = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := served(t, 1, 2)
			spoil(t, &f)
			if err := Formed(f, time.Now()); err == nil {
				t.Error("no error")
			}
			if gone(t, f.Bootstrap) {
				t.Error("the bootstrap file was removed without a mark")
			}
		})
	}
	f := served(t, 1, 2)
	os.Remove(f.Bootstrap)
	write(t, filepath.Join(f.Bootstrap, "in the way"), "")
	if err := Formed(f, time.Now()); err == nil || !strings.Contains(err.Error(), f.Bootstrap) {
		t.Errorf("%v", err)
	}
	markAt(t, f.Mark)
}

func TestMarkForbidsANewStart(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC)
	good, err := json.Marshal(kvserver.Mark{Format: 1, ClusterID: "a1", MemberID: "b2", At: at})
	if err != nil {
		t.Fatal(err)
	}
	const isNew, joins = "initial-cluster: m1=https://h:2380\ninitial-cluster-state: new\n", "initial-cluster: m1=https://h:2380\ninitial-cluster-state: existing\n"
	for name, tc := range map[string]struct {
		mark, bootstrap string
		data            string // what of a member is there
		want            string // of the error; empty: it starts
	}{
		"no mark, new":                  {bootstrap: isNew},
		"no mark, existing":             {bootstrap: joins},
		"marked, new":                   {mark: string(good), bootstrap: isNew, want: "this host's member b2 of cluster a1 has served ("},
		"marked, etcd's default is new": {mark: string(good), bootstrap: "initial-cluster: m1=https://h:2380\n", want: "has served"},
		"marked, no bootstrap file":     {mark: string(good), want: "has served"},
		"marked, existing":              {mark: string(good), bootstrap: joins},
		"marked, with data":             {mark: string(good), bootstrap: isNew, data: "log, database"},
		"marked, its log alone":         {mark: string(good), data: "log", want: "b2 of cluster a1 has served ("},
		"marked, its database is empty": {mark: string(good), data: "log, empty database", want: "holds no database"},
		"no mark, its log alone":        {data: "log"},
		"unreadable mark, its log":      {mark: "{}", data: "log", want: "its format is 0"},
		"unreadable mark, new":          {mark: "{}", bootstrap: isNew, want: "its format is 0"},
		"unreadable mark, existing":     {mark: `{"format":1}`, bootstrap: joins, want: "id"},
		"unreadable mark, with data":    {mark: "{}", bootstrap: isNew, data: "log, database"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			data := filepath.Join(dir, "data")
			f := Files{Config: filepath.Join(dir, "etcd.yaml"), Bootstrap: filepath.Join(dir, "bootstrap.yaml"), Mark: filepath.Join(dir, "formed.json")}
			write(t, f.Config, "name: m1\ndata-dir: "+data+"\nwal-dir: "+dir+"/wal\n")
			if tc.bootstrap != "" {
				write(t, f.Bootstrap, tc.bootstrap)
			}
			if tc.mark != "" {
				write(t, f.Mark, tc.mark)
			}
			if strings.Contains(tc.data, "log") {
				write(t, filepath.Join(dir, "wal", "0-0.wal"), "x")
			}
			if db, empty := strings.Contains(tc.data, "database"), strings.Contains(tc.data, "empty"); db && empty {
				write(t, filepath.Join(data, "member/snap/db"), "")
			} else if db {
				write(t, filepath.Join(data, "member/snap/db"), "x")
			}
			_, err := Load(f)
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v, want %q", err, tc.want)
			}
			if tc.mark == string(good) {
				for _, part := range []string{f.Mark, "since 2026-11-03", data, dir + "/wal", "is its file system mounted"} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%v\nsays nothing of %q", err, part)
					}
				}
			}
		})
	}
}
