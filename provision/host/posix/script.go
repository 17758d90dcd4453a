package posix

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

//go:embed scripts/prelude.sh
var prelude string

//go:embed scripts/units.sh
var unitsText string

//go:embed scripts/look.sh
var lookText string

// lookScript and serviceScript share what asks systemd about units.
var (
	lookScript    = unitsText + lookText
	serviceScript = unitsText + serviceText
)

//go:embed scripts/lock.sh
var lockText string

// lockScript can look while it holds the lock, which what it starts for that does not inherit.
var lockScript = unitsText + "look() (\nexec 9>&-\n" + lookText + ")\n" + lockText

//go:embed scripts/guard.sh
var guardScript string

//go:embed scripts/write.sh
var writeScript string

//go:embed scripts/upload.sh
var uploadScript string

//go:embed scripts/download.sh
var downloadScript string

//go:embed scripts/service.sh
var serviceText string

//go:embed scripts/aside.sh
var asideScript string

//go:embed scripts/move.sh
var moveScript string

//go:embed scripts/remove.sh
var removeScript string

// answerLimit bounds what a script may answer: a look carries at most a few
// dozen small files, so more than this is not an answer of ours.
const answerLimit = 16 << 20

// answerTime bounds how long a script may take, and a command that is run: the slowest of them digests
// files of some hundred megabytes on a slow disk, or removes a full database. What waits for something by
// itself (a service) or for the network (an upload) has a time of its own.
const answerTime = 10 * time.Minute

// progressLimit bounds the lines of progress of one script, which are no part of its answer: a service tells
// of itself every five seconds, and whenever its state changes.
const progressLimit = 100_000

// within bounds a call on the host.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("the host gave no whole answer within %s", limit))
}

// stderrLimit is how much of a command's standard error is kept.
const stderrLimit = 64 << 10

// guard is what goes before a script or command that changes the host, and its arguments, while this
// session holds the lock: it is not begun once the lock is another's, and who takes the lock next waits
// for its end. Empty without a lock.
func (h *Host) guard() (script string, args []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held.Path == "" {
		return "", nil
	}
	return guardScript, []string{h.held.Path, inJSON(h.held.Holder.Run)}
}

// guarded is the argv of a command behind the guard.
func (h *Host) guarded(argv []string) []string {
	script, args := h.guard()
	if script == "" {
		return argv
	}
	return slices.Concat(scriptArgv("guard", script+"exec \"$@\"\n", args...), argv)
}

// inJSON is a string as it stands between quotes in JSON.
func inJSON(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string: cannot happen
	}
	return string(text[1 : len(text)-1])
}

// scriptArgv is the argv that runs a script of ours.
func scriptArgv(name, script string, args ...string) []string {
	text, ok := compacted.Load(script)
	if !ok {
		text = compact(prelude) + compact(script)
		compacted.Store(script, text)
	}
	return append([]string{"sh", "-c", text.(string), "quorate-" + name}, args...)
}

// compacted holds, by script, the text that travels.
var compacted sync.Map

// compact drops comment lines and indentation: half of the bytes that travel.
// The scripts have no here-documents and no strings over lines but newline itself.
func compact(script string) string {
	var b strings.Builder
	for line := range strings.Lines(script) {
		t := strings.TrimLeft(line, " ")
		if strings.HasPrefix(t, "#") || t == "\n" {
			continue
		}
		b.WriteString(t)
	}
	return b.String()
}

// script runs a script with a framed request and returns the lines of its
// answer, without the end.
func (h *Host) script(ctx context.Context, name, script string, request []string) ([]byte, error) {
	ctx, cancel := within(ctx, answerTime)
	defer cancel()
	return h.talk(ctx, name, script, strings.NewReader(framed(request)), nil)
}

// talk is script with any input, and a listener for "progress" lines, which are told at once
// and are no part of the answer.
func (h *Host) talk(ctx context.Context, name, script string, stdin io.Reader, progress func(line string)) ([]byte, error) {
	if err := h.open(); err != nil {
		return nil, err
	}
	out := &bounded{limit: answerLimit}
	stderr := &bounded{limit: stderrLimit, drop: true}
	var to io.Writer = out
	if progress != nil {
		lines := &progressLines{to: out, tell: progress}
		defer lines.end() // a transport may still be reading when ctx is over
		to = lines
	}
	var args []string
	if name != "look" {
		var guard string
		guard, args = h.guard()
		script = guard + script
	}
	exit, err := h.t.Exec(ctx, scriptArgv(name, script, args...), stdin, to, stderr)
	if err != nil {
		return nil, late(ctx, err)
	}
	return understood(out.buf.Bytes(), exit, stderr)
}

// understood is a whole answer without its end. Of one that is not whole, or where the script gave up, it is the error.
func understood(answer []byte, exit int, stderr *bounded) ([]byte, error) {
	body, whole := unframed(answer)
	if !whole {
		return nil, ended(exit, stderr, "its answer was cut short")
	}
	if text := failure(body); text != "" {
		return nil, errors.New(text)
	}
	return body, nil
}

// ended says how a script ended that should not have: in its own words, or else in ours.
func ended(exit int, stderr *bounded, otherwise string) error {
	return fmt.Errorf("the script ended with code %d: %s", exit, cmp.Or(strings.TrimSpace(stderr.buf.String()), otherwise))
}

// late prefers what a limit of ours says to the end of the context that it made.
func late(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
		return cause
	}
	return err
}

// unframed takes the end off an answer that is whole.
func unframed(answer []byte) (body []byte, whole bool) {
	body, whole = bytes.CutSuffix(answer, []byte("end\n"))
	return body, whole && (len(body) == 0 || body[len(body)-1] == '\n')
}

// framed is a request with its end.
func framed(request []string) string {
	return strings.Join(append(slices.Clip(request), "end"), "\n") + "\n"
}

// failure collects the "fail" lines at the end of an answer: a script that
// gives up says nothing after them.
func failure(body []byte) string {
	var said []string
	for body = bytes.TrimSuffix(body, []byte("\n")); ; {
		at := bytes.LastIndexByte(body, '\n')
		line, failed := bytes.CutPrefix(body[at+1:], []byte("fail\t"))
		if !failed {
			slices.Reverse(said)
			return strings.Join(said, "; ")
		}
		said = append(said, string(line))
		body = body[:max(at, 0)]
	}
}

// bounded is a buffer with an end: beyond the limit it fails, or drops.
type bounded struct {
	buf   bytes.Buffer
	limit int
	drop  bool
}

var errTooLong = errors.New("the answer is too long")

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.limit - b.buf.Len(); len(p) > room {
		b.buf.Write(p[:max(0, room)])
		if b.drop {
			return len(p), nil
		}
		return 0, errTooLong
	}
	return b.buf.Write(p)
}

// lineLimit bounds a line of an answer that comes between lines of progress.
const lineLimit = 1 << 20

// progressLines takes the lines that begin with "progress" out of an answer, and
// tells them as they come. A last line without an end is dropped: an answer
// that ends in one was cut.
type progressLines struct {
	to   io.Writer
	tell func(line string)

	mu   sync.Mutex
	part []byte // of a line that has not ended yet
	told int    // lines of progress so far
	over bool   // nobody listens any more
}

// end waits until a tell that is under way is over; there is none after it.
func (l *progressLines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}

func (l *progressLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return 0, io.ErrClosedPipe
	}
	l.part = append(l.part, p...)
	for {
		line, rest, whole := bytes.Cut(l.part, []byte("\n"))
		if !whole {
			if len(l.part) > lineLimit {
				return 0, errTooLong
			}
			return len(p), nil
		}
		if news, ok := bytes.CutPrefix(line, []byte("progress\t")); ok {
			if l.told++; l.told > progressLimit {
				return 0, errTooLong
			}
			l.tell(string(news))
		} else if _, err := l.to.Write(l.part[:len(line)+1]); err != nil {
			return 0, err
		}
		l.part = rest
	}
}

// checkPath refuses what the scripts' framing could not carry or what is
// surely a mistake. Paths are absolute and clean.
func checkPath(p string) error {
	switch {
	case !path.IsAbs(p):
		return fmt.Errorf("the path %q is not absolute", p)
	case path.Clean(p) != p:
		return fmt.Errorf("the path %q is not clean; did you mean %q?", p, path.Clean(p))
	case !utf8.ValidString(p) || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }):
		return fmt.Errorf("the path %q has a control character or a backslash", p)
	}
	return nil
}

var (
	ownerForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?(:[A-Za-z0-9_][A-Za-z0-9_.-]*\$?)?$`)
	unitForm  = regexp.MustCompile(`^[A-Za-z0-9_@:.][A-Za-z0-9_@:.\\-]*$`)
)

func checkOwner(o string) error {
	if o != "" && !ownerForm.MatchString(o) {
		return fmt.Errorf("%q is no owner: want user or user:group", o)
	}
	return nil
}

func checkUnit(u string) error {
	if !unitForm.MatchString(u) {
		return fmt.Errorf("%q is no unit's name", u)
	}
	return nil
}
