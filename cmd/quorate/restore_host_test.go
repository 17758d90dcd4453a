package main

import (
	"os"
	"path/filepath"
	"testing"
)

// A word means a file on a host as it does to scp: what has a slash before its colon, or is there on this side, does not.
func TestOnHost(t *testing.T) { // not beside others: it changes the folder
	here := filepath.Join(t.TempDir(), "a:b")
	if err := os.WriteFile(here, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]hostFile{
		"etcd1:/etcd_backup/snapshot.db": {"etcd1", "/etcd_backup/snapshot.db"},
		"etcd1:snapshot.db":              {"etcd1", "snapshot.db"},
		"etcd1:":                         {"etcd1", ""},
		"etcd1:/with:colon":              {"etcd1", "/with:colon"},
		"./etcd1:/snapshot.db":           {},
		"clusters/a:/snapshot.db":        {},
		"snapshot.db":                    {},
		":/snapshot.db":                  {},
		"latest":                         {},
		here:                             {},
	} {
		if got, ok := onHost(word); got != want || ok != (want != hostFile{}) {
			t.Errorf("%s: %+v, %t", word, got, ok)
		}
	}
	t.Chdir(filepath.Dir(here))
	if got, ok := onHost("a:b"); ok {
		t.Errorf("what is there on this side: %+v", got)
	}
}
