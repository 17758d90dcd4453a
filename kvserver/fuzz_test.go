package kvserver_test

import (
	"encoding/json"
	"strconv"
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
