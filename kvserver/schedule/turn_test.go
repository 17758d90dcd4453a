package schedule

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/servertest"
	"quorate/kvserver/snapshot"
)

// byID are the cluster's members in the order of their ids.
func byID(h *hosts) []*servertest.Member {
	h.t.Helper()
	ids := map[string]uint64{}
	list, err := h.cluster.Admin().Members(h.t.Context(), h.cluster.Members[0].Name)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, m := range list {
		ids[m.Name] = m.ID
	}
	out := slices.Clone(h.cluster.Members)
	slices.SortFunc(out, func(a, b *servertest.Member) int { return cmp.Compare(ids[a.Name], ids[b.Name]) })
	return out
}

// The healthy voters with the lowest ids take one; where one of them is down, the next does.
func TestWhoTakesOne(t *testing.T) {
	t.Parallel()
	h := start(t, 3)
	m := byID(h)
	takes := func(copies int) string {
		t.Helper()
		out := ""
		for i, x := range m {
			s := h.scheduled(x)
			s.Copies = copies
			said, err := h.turn(s)
			switch {
			case err != nil:
				out += "!"
			case strings.HasPrefix(said, "taken: lab-"):
				out += fmt.Sprint(i + 1)
			case strings.HasPrefix(said, "no backup is taken here: it is left to ") && strings.Count(said, ",") == copies:
				out += "-"
			default:
				t.Errorf("%s says %q", x.Name, said)
			}
		}
		return out
	}
	for copies, want := range map[int]string{1: "1--", 2: "12-", 3: "123", 7: "123"} {
		if got := takes(copies); got != want {
			t.Errorf("%d copies: %s, want %s", copies, got, want)
		}
	}
	third := h.scheduled(m[2])
	if st := h.state(third); st.PassedOver == nil || st.Failure != nil {
		t.Errorf("%+v", st)
	}
	m[0].Kill()
	servertest.Until(t, "the others go on", func(ctx context.Context) error { return h.cluster.Admin().Health(ctx, m[1].Name) })
	if got := takes(2); got != "!23" {
		t.Errorf("one of three down: %s, want !23", got)
	}
	if st := h.state(h.scheduled(m[0])); !st.Failing() || !strings.Contains(st.Failure.Reason, "refused") {
		t.Errorf("the host of the one that is down: %+v", st.Failure)
	}
	// Without a quorum nobody knows whose turn it is, and that is said.
	m[1].Kill()
	if _, err := h.turn(third); err == nil || !strings.Contains(err.Error(), `cannot find out who takes a backup of cluster "lab"`) {
		t.Errorf("without a quorum: %v", err)
	}
}

// One host, turn by turn: what is due, what is proved, what is removed, and what is written down.
func TestTurns(t *testing.T) {
	t.Parallel()
	h := start(t, 1)
	s := h.scheduled(h.cluster.Members[0])
	s.Prove, s.TextfileDir = kvserver.ProveWeekly, t.TempDir()
	if err := os.WriteFile(s.Manifest, []byte(`{"spec_digest":"5pec"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	foreign := []string{"lab-2-20200101T000000Z-m1.db.zst", "notes.txt", "lab-20200101T000000Z-m1.db.zst"}
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range foreign {
		if err := os.WriteFile(filepath.Join(s.Dir, name), []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	turn := func(after time.Duration, want ...string) {
		t.Helper()
		h.now = h.now.Add(after - time.Hour)
		said, err := h.turn(s)
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		for line := range strings.Lines(said) {
			words = append(words, strings.Fields(strings.NewReplacer(":", "", ",", "").Replace(line))[0])
		}
		if !slices.Equal(words, want) {
			t.Errorf("it says\n%swant lines that begin with %v", said, want)
		}
	}
	turn(time.Hour, "taken", "proved")
	turn(10*time.Minute, "nothing") // a boot
	turn(time.Hour, "taken")
	turn(time.Hour, "taken")
	turn(time.Hour, "taken", "removed")
	turn(week, "taken", "proved", "removed")
	all, err := snapshot.List(s.Dir, "lab", 9)
	if err != nil || len(all) != 4 { // with somebody's file of such a name
		t.Fatalf("%d backups, %v", len(all), err)
	}
	for _, b := range all[:3] {
		if !b.Checked || b.Problem != "" || b.Backup.SpecDigest != "5pec" {
			t.Errorf("%+v", b)
		}
	}
	if full, err := snapshot.Metadata(filepath.Join(s.Dir, all[0].Name)); err != nil || !strings.Contains(full.Files["pki/lab/ca.pem"], "CERTIFICATE") {
		t.Errorf("%v %v", full, err)
	}
	if p := all[0].Backup.Proof; p == nil || !p.Agreed || p.RestoreSeconds <= 0 || p.ServeSeconds <= 0 {
		t.Errorf("%+v", p)
	}
	for _, name := range foreign {
		if _, err := os.Stat(filepath.Join(s.Dir, name)); err != nil {
			t.Error(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(s.TextfileDir, "quorate_backup_lab.prom"))
	if err != nil {
		t.Fatal(err)
	}
	labels := `{cluster="lab",member="m1"}`
	for name, want := range map[string]int64{"success_timestamp_seconds": h.now.Unix(), "size_bytes": all[0].Size, "revision": all[0].Backup.Content.Revision, "proof_timestamp_seconds": h.now.Unix()} {
		if line := fmt.Sprintf("\nquorate_backup_last_%s%s %d\n", name, labels, want); !strings.Contains(string(text), line) {
			t.Errorf("there is no line %q in\n%s", line, text)
		}
	}
	if strings.Contains(string(text), "failure") {
		t.Errorf("nothing has failed:\n%s", text)
	}
	// Damage to the newest one costs none of those that are good.
	damaged := filepath.Join(s.Dir, all[0].Name)
	b, err := os.ReadFile(damaged)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(damaged, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Keep = 1
	turn(time.Hour, "taken", "removed")
	if sum, err := Summary(s.Dir, "lab"); err != nil || sum.Newest == nil || sum.Newest.Name != sum.State.Success.Name || sum.State.Failing() {
		t.Errorf("%+v %v", sum, err)
	}
	// A folder of numbers that is not there is said, and costs no backup.
	s.TextfileDir = filepath.Join(s.TextfileDir, "gone")
	said, err := h.turn(s)
	if err == nil || !strings.Contains(err.Error(), "numbers for the node exporter") || !strings.HasPrefix(said, "taken: ") || !h.state(s).Failing() {
		t.Errorf("%q %v", said, err)
	}
}

// A disk without room: nothing is there half, and the reason is kept.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	h := start(t, 1)
	s := h.scheduled(h.cluster.Members[0])
	s.TextfileDir = t.TempDir()
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", s.Dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(s.Dir, 0) })
	said, err := h.turn(s)
	if err == nil || !strings.Contains(err.Error(), "has room for") || said != "" {
		t.Errorf("%q %v", said, err)
	}
	if st := h.state(s); !st.Failing() || !strings.Contains(st.Failure.Reason, "has room for") {
		t.Errorf("%+v", st)
	}
	if all, err := snapshot.List(s.Dir, "lab", 1); err != nil || len(all) != 0 {
		t.Errorf("%+v %v", all, err)
	}
	if text, err := os.ReadFile(filepath.Join(s.TextfileDir, "quorate_backup_lab.prom")); err != nil || !strings.Contains(string(text), fmt.Sprintf("failure_timestamp_seconds{cluster=\"lab\",member=\"m1\"} %d\n", h.now.Unix())) {
		t.Errorf("%v\n%s", err, text)
	}
}

// Killed anywhere, what was published is whole, and the next turn removes the rest.
func TestKilled(t *testing.T) {
	t.Parallel()
	h := start(t, 1)
	s := h.scheduled(h.cluster.Members[0])
	s.Prove, s.IntervalSeconds, s.Keep = kvserver.ProveAlways, 1, 50
	text, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "backup.json")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, mark := range []string{".lock", ".lab-*.part", "lab-*.db*", "lab-*.json", ".state-lab.json", ".prove", ".prove/data"} {
		before, _ := filepath.Glob(filepath.Join(s.Dir, mark))
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), turnEnv+"="+config)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for over := false; !over; {
			select {
			case err := <-ended:
				over = true
				if err != nil && cmd.ProcessState.Exited() {
					t.Fatalf("a turn after a kill: %v", err)
				}
				if err != nil {
					killed++
				}
			default:
				if now, _ := filepath.Glob(filepath.Join(s.Dir, mark)); len(now) > len(before) || len(before) > 0 && mark[0] == '.' {
					_ = cmd.Process.Kill()
				}
			}
		}
		all, err := snapshot.List(s.Dir, "lab", 99)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range all {
			if b.Backup != nil && !b.Checked {
				t.Errorf("killed at %s: %+v", mark, b)
			}
		}
	}
	if killed < 4 {
		t.Errorf("only %d were killed", killed)
	}
	small, _ := filepath.Glob(filepath.Join(s.Dir, ".*.json.*")) // of small files, which somebody might still be writing a minute long
	for _, path := range small {
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	h.now = time.Now().Add(time.Hour)
	if _, err := h.turn(s); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(s.Dir, ".*"))
	if err != nil || len(left) != 2 {
		t.Errorf("what is left is %v, %v", left, err)
	}
}
