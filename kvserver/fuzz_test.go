package kvserver_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"quorate/kvserver"
)

// FuzzParseMark: a mark has ids and a time, and reads the same again once it is written.
func FuzzParseMark(f *testing.F) {
	f.Add([]byte(`{"format":1,"cluster_id":"2a","member_id":"ec0a1b2c3d4e5f61","at":"2026-08-01T07:00:00Z"}`))
	f.Add([]byte(`{"format":1,"cluster_id":"0","member_id":"1","at":"2026-08-01T07:00:00Z"}`))
	f.Add([]byte(`{"format":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := kvserver.ParseMark(text)
		if err != nil {
			if m != (kvserver.Mark{}) {
				t.Errorf("%+v beside %v", m, err)
			}
			return
		}
		for _, id := range []string{m.ClusterID, m.MemberID} {
			if n, err := strconv.ParseUint(id, 16, 64); err != nil || n == 0 {
				t.Errorf("the id %q", id)
			}
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := kvserver.ParseMark(b); err != nil || again.ClusterID != m.ClusterID || again.MemberID != m.MemberID || !again.At.Equal(m.At) {
			t.Errorf("%+v, %v, was %+v", again, err, m)
		}
	})
}

// FuzzInspection: what was read of a disk's inspection can be written, and reads the same again.
func FuzzInspection(f *testing.F) {
	b, err := json.Marshal(kvserver.Inspection{
		DataDir: "/d", WALDir: "/d/member/wal", Member: true, ClusterID: "2a", MemberID: "1", Log: &kvserver.InspectedLog{Term: 2, LastIndex: 9},
		DB: &kvserver.InspectedDB{Applied: 9, Revision: 3}, Members: []kvserver.InspectedMember{{ID: "1", Name: "a", PeerURLs: []string{"https://a:2380"}}}, Problems: []string{"none"},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"data_dir":"/d","log":{"term":18446744073709551615}}`))
	f.Fuzz(func(t *testing.T, text []byte) { readsTheSame[kvserver.Inspection](t, text) })
}

// FuzzRestoreReport: what was read of a host's report can be written, and reads the same again.
func FuzzRestoreReport(f *testing.F) {
	b, err := json.Marshal(kvserver.RestoreReport{
		Restored: &kvserver.Restored{ClusterID: "2a", Members: map[string]string{"a": "1"}, Revision: 9, Seconds: 0.5, Snapshot: kvserver.SnapshotContent{Alarms: []kvserver.SnapshotAlarm{{Member: "1", Alarm: "NOSPACE"}}, Users: []string{"root"}}},
		Replayed: &kvserver.Replayed{LastIndex: 9, SHA256: "00"}, Proved: &kvserver.Proved{Differences: []string{"none"}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"progress":{"part":"check","done":1,"of":2}}`))
	f.Fuzz(func(t *testing.T, text []byte) { readsTheSame[kvserver.RestoreReport](t, text) })
}

func readsTheSame[T any](t *testing.T, text []byte) {
	t.Helper()
	var one, again T
	if json.Unmarshal(text, &one) != nil {
		return
	}
	once, err := json.Marshal(one)
	if err == nil {
		err = json.Unmarshal(once, &again)
	}
	twice, err2 := json.Marshal(again)
	if err != nil || err2 != nil || string(once) != string(twice) {
		t.Errorf("%s, %s, %v, %v", once, twice, err, err2)
	}
}

// FuzzParseRestoreMark: a mark names a run, folders and ids that can be used as such, and reads the same again.
func FuzzParseRestoreMark(f *testing.F) {
	f.Add([]byte(`{"format":1,"run":"20261130T010203Z-1","at":"2026-11-30T01:02:03Z","by":"ana@desk","stage":"staging","snapshot":{"name":"s.db","sha256":"` + strings.Repeat("a", 64) +
		`","size":5},"token":"t","initial_cluster":"a=https://h:1","cluster_id":"a1","members":{"a":"b2"},"revision":9,"compact_revision":9,"bumped":true,"voters":1,"data_dir":"/d","wal_dir":"/w","was":{"token":"s"}}`))
	f.Add([]byte(`{"format":1,"run":"r","at":"2026-11-30T01:02:03Z","stage":"staging","snapshot":{"sha256":"` + strings.Repeat("a", 64) +
		`","size":5},"token":"t","initial_cluster":"a=https://h:1","cluster_id":"a1","members":{"a":"b2"},"revision":9,"data_dir":"/d","dependents":[{"name":"kubernetes","host":"m1",` +
		`"units":["kubelet.service"],"manifests":["/etc/kubernetes/manifests/kube-apiserver.yaml"],"processes":["kubelet"],"ports":[6443]}]}`))
	f.Add([]byte(`{"format":1,"run":"r","at":"2026-11-30T01:02:03Z","stage":"staging","snapshot":{"name":"the disk of a","disk":{"member":"a","cluster_id":"c1","member_id":"d1","last_term":2,"last_index":9}},` +
		`"token":"t","initial_cluster":"a=https://h:1","cluster_id":"a1","members":{"a":"b2"},"revision":9,"data_dir":"/d"}`))
	f.Add([]byte(`{"format":1,"run":"../x","at":"2026-11-30T01:02:03Z","stage":"starting","data_dir":"d"}`))
	f.Add([]byte(`{"format":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := kvserver.ParseRestoreMark(text)
		if err != nil {
			return
		}
		for _, name := range []string{m.Staging(), m.Aside(), m.Undone()} {
			if strings.ContainsAny(name, "/\x00\n\\") || name == "." || name == ".." {
				t.Errorf("the name %q", name)
			}
		}
		if !strings.HasPrefix(m.DataDir, "/") || m.WALDir != "" && !strings.HasPrefix(m.WALDir, "/") {
			t.Errorf("the folders %q and %q", m.DataDir, m.WALDir)
		}
		if d := m.Snapshot.Disk; d != nil && m.Members[d.Member] == "" {
			t.Errorf("it is from the disk of %q, which takes no part", d.Member)
		}
		for _, d := range m.Dependents {
			for _, p := range d.Manifests {
				if away := m.Away(p); strings.HasPrefix(away, strings.TrimSuffix(p, p[strings.LastIndex(p, "/"):])+"/") || strings.Contains(away, "/../") {
					t.Errorf("%s waits in %s", p, away)
				}
			}
			for _, n := range append(d.Units, d.Processes...) {
				if strings.ContainsAny(n, "/ \n\x00") || strings.HasPrefix(n, "-") {
					t.Errorf("the name %q", n)
				}
			}
		}
		again, err := kvserver.ParseRestoreMark(m.Encode())
		if err != nil || !again.Same(m) || string(again.Encode()) != string(m.Encode()) {
			t.Errorf("%+v reads as %+v (%v)", m, again, err)
		}
	})
}
