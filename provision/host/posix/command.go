package posix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"quorate/provision/host"
)

// Run implements host.Host.
func (h *Host) Run(ctx context.Context, c host.Command) (r host.Result, err error) {
	if len(c.Argv) == 0 {
		return r, fmt.Errorf("cannot run an empty command on host %q", h.o.Name)
	}
	defer saying(&err, "cannot run %s on host %q", c.Argv[0], h.o.Name)
	if err := h.changing(); err != nil {
		return r, err
	}
	var stdin io.Reader
	if len(c.Stdin) > 0 {
		stdin = bytes.NewReader(c.Stdin)
	}
	stdout, stderr := &bounded{limit: answerLimit}, &bounded{limit: stderrLimit, drop: true}
	var to io.Writer = stdout
	if c.Line == nil {
		limited, cancel := within(ctx, answerTime)
		defer cancel()
		ctx = limited
	} else {
		limited, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		quiet := time.AfterFunc(host.Quiet, func() { cancel(fmt.Errorf("it said nothing for %s", host.Quiet)) })
		defer quiet.Stop()
		lines := &heardLines{to: stdout, tell: func(line string) { quiet.Reset(host.Quiet); c.Line(line) }}
		defer lines.end()
		ctx, to = limited, lines
	}
	exit, err := h.t.Exec(ctx, h.guarded(c.Argv), stdin, to, stderr)
	r = host.Result{Stdout: stdout.buf.Bytes(), Stderr: stderr.buf.Bytes()}
	if err != nil {
		return r, late(ctx, err)
	}
	if exit != 0 {
		return r, &host.ExitError{Host: h.o.Name, Argv: slices.Clone(c.Argv), Code: exit, Stderr: string(r.Stderr)}
	}
	return r, nil
}

// heardLines tells of each whole line of what it passes on.
type heardLines struct {
	to   io.Writer
	tell func(line string)

	mu   sync.Mutex
	part []byte
	over bool // nobody listens any more
}

// end waits until a tell that is under way is over; there is none after it.
func (l *heardLines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}

func (l *heardLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return 0, io.ErrClosedPipe
	}
	n, err := l.to.Write(p)
	l.part = append(l.part, p[:n]...)
	for {
		line, rest, whole := bytes.Cut(l.part, []byte("\n"))
		if !whole {
			return n, err
		}
		l.tell(string(line))
		l.part = rest
	}
}

// Aside implements host.Host.
func (h *Host) Aside(ctx context.Context, r host.AsideRequest) (a host.Aside, err error) {
	defer saying(&err, "cannot move aside what is in %q on host %q", r.Dir, h.o.Name)
	if err := errors.Join(h.changing(), checkPath(r.Dir), r.Check()); err != nil {
		return a, err
	}
	if slices.Contains(systemTrees, r.Dir) {
		return a, fmt.Errorf("the folder %s is the system's own", r.Dir)
	}
	request := []string{r.Dir, r.Name}
	if r.Only != nil {
		request = append(request, "only")
		for _, n := range r.Only {
			request = append(request, "n\t"+n)
		}
	}
	body, err := h.script(ctx, "aside", asideScript, request)
	if err != nil {
		return a, err
	}
	for line := range strings.Lines(string(body)) {
		switch word, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); {
		case word == "moved" && value != "" && !strings.Contains(value, "/"):
			a.Moved = append(a.Moved, value)
		case word == "aside" && value == path.Join(r.Dir, host.AsideDir, r.Name):
			a.Path = value
		default:
			return a, fmt.Errorf("cannot understand the answer %q", line)
		}
	}
	slices.Sort(a.Moved)
	return a, nil
}

// Remove implements host.Host. The system's own folders are refused as trees,
// so that no slip of a path takes /etc or /var with it; a mount point is emptied and stays.
func (h *Host) Remove(ctx context.Context, r host.RemoveRequest) (removed []string, err error) {
	defer saying(&err, "cannot remove on host %q", h.o.Name)
	if err := h.changing(); err != nil {
		return nil, err
	}
	var request []string
	for _, e := range r.Entries {
		if err := errors.Join(checkPath(e.Dir), e.Check()); err != nil {
			return nil, err
		}
		for _, n := range e.Names {
			p := path.Join(e.Dir, n)
			if slices.Contains(systemTrees, p) {
				return nil, fmt.Errorf("the tree %s is the system's own", p)
			}
			request = append(request, "t\t"+p)
		}
	}
	for _, p := range r.Files {
		if err := checkPath(p); err != nil {
			return nil, err
		}
		request = append(request, "f\t"+p)
	}
	if len(request) == 0 {
		return nil, nil
	}
	body, err := h.script(ctx, "remove", removeScript, request)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(body)) {
		p, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "removed\t")
		if !ok || !slices.Contains(request, "t\t"+p) && !slices.Contains(request, "f\t"+p) {
			return removed, fmt.Errorf("cannot understand the answer %q", line)
		}
		removed = append(removed, p)
	}
	return removed, nil
}

// systemTrees are never removed as trees, whatever a spec's data_dir says.
var systemTrees = []string{
	"/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc", "/root", "/run",
	"/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/etc/systemd", "/etc/systemd/system", "/etc/ssh",
	"/usr/bin", "/usr/lib", "/usr/local", "/usr/local/bin", "/usr/sbin", "/usr/share", "/run/systemd",
	"/var/cache", "/var/lib", "/var/log", "/var/run", "/var/spool", "/var/tmp",
}
