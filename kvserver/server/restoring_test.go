package server

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quorate/kvserver"
)

// A member starts while a restore is unfinished only as the restore says, whatever else lies there.
func TestMayServe(t *testing.T) {
	t.Parallel()
	mark := func(stage kvserver.RestoreStage) string {
		return string(kvserver.RestoreMark{
			Format: kvserver.RestoreMarkFormat, Run: "r1", At: time.Date(2026, 11, 30, 1, 2, 3, 0, time.UTC), By: "ana@desk", Stage: stage,
			Snapshot: kvserver.RestoreSource{Name: "s.db", SHA256: strings.Repeat("a", 64), Size: 5}, Token: "t", InitialCluster: "a=https://h:1",
			ClusterID: "a1", Members: map[string]string{"a": "b2"}, Revision: 9, DataDir: "/d",
		}.Encode())
	}
	for _, c := range []struct {
		mark    string
		cluster uint64 // of the data; 0: there is none
		says    string // "": it may start
	}{
		{"", 0xa1, ""},
		{"", 0, ""},
		{mark(kvserver.RestoreStaging), 0xa1, "restore --undo"},
		{mark(kvserver.RestoreStaging), 0xc3, "the data here is of cluster c3, the restored one is a1"},
		{mark(kvserver.RestoreStaging), 0, "the data here is of cluster none"},
		{mark(kvserver.RestoreStarting), 0xa1, ""},
		{mark(kvserver.RestoreStarting), 0xc3, "begun by ana@desk on 2026-11-30 01:02 UTC"},
		{mark(kvserver.RestoreStarting), 0, "is being restored from s.db"},
		{mark(kvserver.RestoreUndoing), 0xc3, "restore --resume"},
		{mark(kvserver.RestoreReturning), 0xc3, ""},
		{mark(kvserver.RestoreReturning), 0xa1, "stage \"returning\""},
		{"{", 0xa1, "cannot be read"},
		{strings.Replace(mark(kvserver.RestoreStarting), `"format": 1`, `"format": 2`, 1), 0xa1, "its format is 2"},
	} {
		dir := t.TempDir()
		f := Files{Mark: filepath.Join(dir, "formed.json")}
		data := filepath.Join(dir, "data")
		if c.cluster != 0 {
			log(t, filepath.Join(data, "member", "wal"), c.cluster, 0xb2)
		}
		if c.mark != "" {
			write(t, filepath.Join(dir, kvserver.RestoreFile), c.mark)
		}
		err := mayServe(f, data, "", c.cluster != 0)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("cluster %x with the mark %.80q: %v", c.cluster, c.mark, err)
		}
	}
}
