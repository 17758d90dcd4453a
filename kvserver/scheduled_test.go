package kvserver

import (
	"strings"
	"testing"
	"time"
)

func scheduled() ScheduledBackup {
	return ScheduledBackup{
		Format: ScheduledFormat, Copies: 2, Keep: 14, IntervalSeconds: 43200, Prove: ProveWeekly, Manifest: "/etc/quorate/lab/manifest.json",
		BackupRequest: BackupRequest{Dir: "/b", Cluster: "lab", Member: "etcd1", Address: "192.0.2.1:2379", CA: "/ca.pem", Cert: "/c.pem", Key: "/k.pem"},
	}
}

func TestParseScheduled(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*ScheduledBackup){
		"":                            func(*ScheduledBackup) {},
		"its format is 2":             func(s *ScheduledBackup) { s.Format = 2 },
		"it has a passphrase":         func(s *ScheduledBackup) { s.Passphrase = "secret" },
		`"b" is no absolute path`:     func(s *ScheduledBackup) { s.Dir = "b" },
		`"out" is no absolute path`:   func(s *ScheduledBackup) { s.TextfileDir = "out" },
		"no cluster, member":          func(s *ScheduledBackup) { s.Address = "" },
		"0 copies, 14 kept":           func(s *ScheduledBackup) { s.Copies = 0 },
		"and -1 seconds cannot":       func(s *ScheduledBackup) { s.IntervalSeconds = -1 },
		"neither weekly nor always":   func(s *ScheduledBackup) { s.Prove = "" },
		"9223372036854775807 seconds": func(s *ScheduledBackup) { s.IntervalSeconds = 1<<63 - 1 },
	} {
		s := scheduled()
		change(&s)
		text, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseScheduled(text)
		switch {
		case want == "" && (err != nil || got.Interval() != 12*time.Hour):
			t.Errorf("%+v %v", got, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")):
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// What came last is what counts.
func TestFailing(t *testing.T) {
	t.Parallel()
	at := func(minute int) time.Time { return time.Date(2026, 11, 30, 21, minute, 0, 0, time.UTC) }
	for _, c := range []struct {
		success, failure, passed int // minutes, 0: never
		want                     bool
	}{{0, 0, 0, false}, {1, 0, 0, false}, {0, 1, 0, true}, {2, 1, 0, false}, {1, 2, 0, true}, {1, 1, 0, true}, {1, 2, 3, false}, {0, 3, 2, true}} {
		s := BackupState{}
		if c.success > 0 {
			s.Success = &BackupSuccess{At: at(c.success)}
		}
		if c.failure > 0 {
			s.Failure = &BackupFailure{At: at(c.failure)}
		}
		if c.passed > 0 {
			s.PassedOver = &BackupFailure{At: at(c.passed)}
		}
		if s.Failing() != c.want {
			t.Errorf("%+v: %v", c, s.Failing())
		}
	}
}

func FuzzParseScheduled(f *testing.F) {
	s := scheduled()
	text, err := s.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseScheduled(text)
		if err == nil && (s.Interval() <= 0 || s.Copies < 1 || s.Keep < 1 || s.Passphrase != "") {
			t.Errorf("%+v", s)
		}
	})
}

func FuzzParseBackupState(f *testing.F) {
	f.Add([]byte(`{"format":1,"member":"etcd1","success":{"at":"2026-11-30T21:00:00Z","name":"x","size":1,"revision":2},"failure":{"at":"2026-11-30T22:00:00Z","reason":"full"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseBackupState(text)
		if err == nil && s.Failing() && s.Failure == nil {
			t.Errorf("%+v", s)
		}
	})
}
