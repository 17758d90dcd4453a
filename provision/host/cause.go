package host

import (
	"encoding/json"
	"regexp"
	"strings"
)

// How a log shows that the process is started once more, by the manager that does it; and, of
// systemd, that it is started because somebody asked for it, if no such line came before.
var (
	againLine = regexp.MustCompile(`^(\S+: Scheduled restart job, restart counter is at \d+\.?|kvserver supervise: .*; starting it again in \d+ ms)$`)
	startLine = regexp.MustCompile(`^Starting .*\.\.\.$`)
)

// Lines that end a process, or say why it was not begun: kvserver's own, Go's, etcd's at level
// fatal or panic (in JSON or on a console), and the manager's.
var fatalLine = regexp.MustCompile(`^kvserver: |^kvserver supervise: cannot |^panic: |^fatal error: |^\{"level":"(fatal|panic|dpanic)"|^\S+\t(?i:fatal|panic|dpanic)\t` +
	`|^\S+\.service: Failed (to|at) |killed by the OOM killer`)

// Lines that may be the reason, if nothing ended the process in as many words.
var errorLine = regexp.MustCompile(`^\{"level":"error"|^\S+\t(?i:error)\t|^(?i:error): `)

// Lines that never are: the manager's frame around a start, and stack traces.
var frameLine = regexp.MustCompile(`^(Starting|Started|Stopping|Stopped|Failed to start) |^\S+\.(service|scope): |^kvserver supervise: |^goroutine \d+ |^\t|^\s*$|^\S+\(.*\)$|^exit status \d+$|^created by `)

// ReadLog fills in what the end of a unit's log says: its last lines, and the
// cause if a start of it has failed since it was last started on request.
func ReadLog(u *UnitState, log string) {
	lines := strings.Split(strings.TrimRight(log, "\n"), "\n")
	u.Log = strings.Join(lines[max(0, len(lines)-logLines):], "\n")
	if u.Active == "failed" || u.Restarts > 0 || u.Sub == "auto-restart" {
		u.Cause = Cause(log)
	}
}

// logLines is how many lines of its log a unit that is not well shows.
const logLines = 20

// Cause finds in the end of a unit's log the line that says why its last start
// failed: the first that ends a process, else the first of level error, of the
// last start that has any (starts made before somebody asked for one do not
// count); else the last line that is nobody's stack trace.
// etcd's lines in JSON become "message: error", in one line. "" if the log says nothing.
func Cause(log string) string {
	starts := [][]string{nil}
	last, again := "", false
	for line := range strings.Lines(log) {
		line = strings.TrimRight(line, "\r\n")
		n := len(starts) - 1
		switch {
		case againLine.MatchString(line):
			starts, again = append(starts, nil), true
			continue
		case startLine.MatchString(line):
			if !again {
				starts, last = [][]string{nil}, ""
			}
			again = false
			continue
		}
		starts[n] = append(starts[n], line)
		if !frameLine.MatchString(line) {
			last = line
		}
	}
	for i := len(starts) - 1; i >= 0; i-- {
		for _, kind := range []*regexp.Regexp{fatalLine, errorLine} {
			for _, line := range starts[i] {
				if kind.MatchString(line) {
					return message(line)
				}
			}
		}
	}
	return message(last)
}

var (
	msgField   = regexp.MustCompile(`"msg":("(?:[^"\\]|\\.)*")`)
	errorField = regexp.MustCompile(`"error":("(?:[^"\\]|\\.)*")`)
)

// oneLine joins lines that came as one, escaped.
var oneLine = strings.NewReplacer("\n", "; ", "\r", "")

// message is what a line says, without its frame, in one line.
func message(line string) string {
	line = oneLine.Replace(strings.TrimPrefix(line, "kvserver: "))
	if !strings.HasPrefix(line, "{") {
		return line
	}
	// The line may be cut, so it is not parsed as a whole.
	field := func(r *regexp.Regexp) string {
		m := r.FindStringSubmatch(line)
		var s string
		if m == nil || json.Unmarshal([]byte(m[1]), &s) != nil {
			return ""
		}
		return oneLine.Replace(s)
	}
	msg, err := field(msgField), field(errorField)
	switch {
	case msg == "":
		return line
	case err == "" || strings.Contains(msg, err):
		return msg
	}
	return msg + ": " + err
}
