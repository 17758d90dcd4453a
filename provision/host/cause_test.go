package host

import (
	"strings"
	"testing"
)

const (
	starting  = "Starting etcd member etcd1 of cluster lab..."
	scheduled = "quorate-lab.service: Scheduled restart job, restart counter is at 3."
)

func TestCause(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		want string
		log  []string
	}{
		"nothing": {"", nil},
		"kvserver's own word": {"cannot read the configuration: unknown field", []string{
			starting, "kvserver: cannot read the configuration: unknown field",
			"quorate-lab.service: Main process exited, code=exited, status=1/FAILURE",
			"quorate-lab.service: Failed with result 'exit-code'.",
			"Failed to start quorate-lab.service - etcd member etcd1 of cluster lab."}},
		"fatal before the trace, with its error": {"failed to start etcd: listen tcp 10.0.0.9:2380: bind: cannot assign requested address", []string{
			starting, `{"level":"info","ts":"2026-01-02T03:04:05Z","msg":"starting"}`,
			`{"level":"fatal","ts":"2026-01-02T03:04:05Z","caller":"etcdmain/etcd.go:204","msg":"failed to start etcd","error":"listen tcp 10.0.0.9:2380: bind: cannot assign requested address","stacktrace":"main.main\n\t/go/src/main.go:31"}`,
			"quorate-lab.service: Failed with result 'exit-code'."}},
		"a line that was cut": {`cannot open "member/wal": walpb: crc mismatch`, []string{
			`{"level":"panic","msg":"cannot open \"member/wal\"","error":"walpb: crc mismatch","stacktrace":"go.etcd.io/etcd/ser`}},
		"what etcd panics about, not its stack": {"tocommit(9) is out of range [lastIndex(3)]. Was the raft log corrupted, truncated, or lost?", []string{
			starting, `{"level":"error","msg":"cannot reach a peer","error":"refused"}`,
			`{"level":"panic","msg":"tocommit(9) is out of range [lastIndex(3)]. Was the raft log corrupted, truncated, or lost?"}`,
			"panic: tocommit(9) is out of range", "", "goroutine 157 [running]:", "go.uber.org/zap.SugaredLogger(0x1)", "\t/go/zap.go:20 +0x7",
			"created by go.etcd.io/raft/v3.(*node).run in goroutine 1"}},
		"a panic of Go's": {"panic: runtime error: index out of range [3] with length 3", []string{
			starting, "panic: runtime error: index out of range [3] with length 3", "", "goroutine 1 [running]:", "main.main()", "\t/src/main.go:7 +0x1d", "exit status 2"}},
		"console format": {"2026-01-02T03:04:05Z\tfatal\tetcdmain/etcd.go:204\tdiscovery failed", []string{
			"2026-01-02T03:04:05Z\tinfo\tx.go:1\thello", "2026-01-02T03:04:05Z\tfatal\tetcdmain/etcd.go:204\tdiscovery failed"}},
		"only an error": {"setting up failed: no space left on device", []string{
			starting, `{"level":"error","msg":"setting up failed","error":"no space left on device"}`, `{"level":"info","msg":"closing"}`}},
		"the manager's reason": {"quorate-lab.service: Failed to set up mount namespacing: /var/lib/etcd: No such file or directory", []string{
			starting, "quorate-lab.service: Failed to set up mount namespacing: /var/lib/etcd: No such file or directory",
			"quorate-lab.service: Failed at step NAMESPACE spawning /opt/kvserver: No such file or directory"}},
		"the last start that says something": {"the second", []string{
			starting, "kvserver: the first", scheduled, starting, "kvserver: the second", scheduled, starting, `{"level":"info","msg":"opening"}`}},
		"not what was before somebody started it": {"bad luck", []string{
			starting, "kvserver: old trouble", "Stopped etcd member etcd1 of cluster lab.", starting, "bad luck",
			"quorate-lab.service: Failed with result 'exit-code'."}},
		"the local supervisor": {"new", []string{
			"kvserver: old", "kvserver supervise: /bin/kvserver ended with status 1; starting it again in 20 ms", "kvserver: new",
			"kvserver supervise: /bin/kvserver ended with status 1; starting it again in 20 ms"}},
		"no program": {"kvserver supervise: cannot start: fork/exec /bin/none: no such file or directory", []string{
			"kvserver supervise: cannot start: fork/exec /bin/none: no such file or directory",
			"kvserver supervise: /bin/none ended with status 127; starting it again in 20 ms"}},
		"nothing that is known": {"Segmentation fault", []string{starting, "hello", "Segmentation fault", "quorate-lab.service: Main process exited"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Cause(strings.Join(c.log, "\n")); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestACauseNeedsAFailure(t *testing.T) {
	t.Parallel()
	log := strings.Repeat("line\n", 30) + "kvserver: once upon a time\n"
	waiting := UnitState{Active: "activating", Sub: "start"}
	ReadLog(&waiting, log)
	if waiting.Cause != "" || strings.Count(waiting.Log, "\n") != logLines-1 {
		t.Errorf("a unit that waits: %+v", waiting)
	}
	for _, u := range []UnitState{{Active: "failed", Sub: "failed"}, {Active: "activating", Sub: "auto-restart"}, {Active: "activating", Sub: "start", Restarts: 1}} {
		if ReadLog(&u, log); u.Cause != "once upon a time" {
			t.Errorf("%s/%s: %q", u.Active, u.Sub, u.Cause)
		}
	}
}
