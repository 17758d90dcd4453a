package host

import (
	"strings"
	"testing"
)

// FuzzReadLog: the end of a log is its end, and the cause is one line of about its length at most.
func FuzzReadLog(f *testing.F) {
	f.Add("Starting x...\nkvserver: no\nx.service: Main process exited, code=exited, status=1\n", "failed", "", 0)
	f.Add(`{"level":"fatal","msg":"cannot\nstart","error":"a\nb"}`, "activating", "auto-restart", 1)
	f.Add("panic: x\n\tmain.go\n\n\n", "failed", "", 2)
	f.Fuzz(func(t *testing.T, log, active, sub string, restarts int) {
		u := UnitState{Active: active, Sub: sub, Restarts: restarts}
		ReadLog(&u, log)
		if strings.Count(u.Log, "\n") >= logLines || !strings.HasSuffix(strings.TrimRight(log, "\n"), u.Log) {
			t.Errorf("the end of %q is %q", log, u.Log)
		}
		if strings.ContainsAny(u.Cause, "\n\r") || len(u.Cause) > 3*len(log) || u.Cause != "" && active != "failed" && restarts <= 0 && sub != "auto-restart" {
			t.Errorf("the cause in %q is %q", log, u.Cause)
		}
	})
}
