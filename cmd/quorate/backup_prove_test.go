package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quorate/kvserver"
)

// What kvserver says of a proof counts, and not how it ends; where it says nothing, its last words are the cause.
func TestRunProve(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ script, want string }{
		"agreed":       {`echo '{"progress":{"part":"check","done":1,"of":2}}'; echo '{"proved":{"agreed":true,"keys":7}}'`, ""},
		"differs":      {`echo '{"proved":{"agreed":false,"differences":["the hash is 1, and should be 2"]}}'; echo kvserver: it differs >&2; exit 1`, "the hash is 1, and should be 2"},
		"fails":        {`echo warning >&2; echo 'kvserver: cannot prove it: no room' >&2; exit 1`, "cannot prove it: no room"},
		"says nothing": {``, "without saying what came of it"},
		"not JSON":     {`echo surprise; exit 3`, "exit status 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exe := filepath.Join(t.TempDir(), "kvserver")
			if err := os.WriteFile(exe, []byte("#!/bin/sh\n"+c.script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			heard := 0
			p, err := runProve(t.Context(), exe, []string{"prove"}, func(l kvserver.BackupLine) {
				heard++
				if l.Stage != kvserver.StageProve || l.Done != 1 || l.Total != 2 {
					t.Errorf("%+v", l)
				}
			})
			if err == nil {
				err = p.Err("x.db")
			}
			switch {
			case c.want == "" && (err != nil || p.Keys != 7 || heard != 1):
				t.Errorf("%+v %v, heard %d", p, err, heard)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
