package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"quorate/test/lab"
)

// bench is what the rows share: the tree, the binaries, a folder for
// everything, which goes at the end.
type bench struct {
	log    io.Writer
	root   string // of the module
	dir    string
	rounds int // asked for; 0 leaves it to the rows
	began  time.Time

	build func() error
}

func newBench(ctx context.Context, rounds int, log io.Writer) (*bench, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("cannot find the module: %w; run it inside the source tree: make bench", err)
	}
	b := &bench{log: log, root: strings.TrimSpace(string(out)), rounds: rounds, began: time.Now()}
	if b.dir, err = os.MkdirTemp("", "quorate-bench-"); err != nil {
		return nil, err
	}
	b.build = sync.OnceValue(func() error { return b.buildAll(ctx) })
	return b, nil
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

func (b *bench) logf(format string, args ...any) {
	fmt.Fprintf(b.log, "%6.1f  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// turns is how many rounds a row makes: what was asked for, else its own number.
func (b *bench) turns(own int) int {
	if b.rounds > 0 {
		return b.rounds
	}
	return own
}

// bin is the path of a binary made by build.
func (b *bench) bin(name string) string { return filepath.Join(b.dir, "bin", name) }

// buildAll builds what is measured, as `make build` does, and what it is measured against.
func (b *bench) buildAll(ctx context.Context) error {
	b.logf("building quorate, kvserver and etcd's own programs")
	for _, p := range []struct{ dir, pkg, name string }{
		{".", "./cmd/quorate", "quorate"},
		{".", "./cmd/kvserver", "kvserver"},
		{".", "go.etcd.io/etcd/etcdctl/v3", "etcdctl"},
		{".", "go.etcd.io/etcd/etcdutl/v3", "etcdutl"},
		{"test/upstream/v3.7", ".", "etcd"},
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", b.bin(p.name), p.pkg)
		cmd.Dir = filepath.Join(b.root, p.dir)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot build %s: %w\n%s", p.name, err, out)
		}
	}
	return nil
}

// install fetches Debian packages whose program is not here.
func (b *bench) install(ctx context.Context, program string, packages ...string) error {
	if _, err := exec.LookPath(program); err == nil {
		return nil
	}
	installed := lab.Install(ctx, packages, &logLines{b})
	if _, err := exec.LookPath(program); err != nil {
		return errors.Join(installed, err)
	}
	return nil
}

// stage is three hosts and an operator with a folder for specs.
type stage struct {
	*bench
	lab *lab.Lab
	op  *lab.Operator
}

// onHosts is a row that is measured on a new lab of three hosts, with more packages on them.
func onHosts(measure func(context.Context, *stage) ([]Result, error), packages ...string) func(context.Context, *bench) ([]Result, error) {
	return onLab(lab.Options{Packages: packages}, measure)
}

// onLab is a row that is measured on a new lab.
func onLab(o lab.Options, measure func(context.Context, *stage) ([]Result, error)) func(context.Context, *bench) ([]Result, error) {
	return func(ctx context.Context, b *bench) ([]Result, error) {
		if err := b.build(); err != nil {
			return nil, err
		}
		o := o
		o.Log = &logLines{b: b}
		if err := lab.Prepare(ctx, o); err != nil {
			return nil, err
		}
		l, err := lab.Up(ctx, o)
		if err != nil {
			return nil, err
		}
		defer func() {
			if err := l.Close(); err != nil {
				b.logf("cannot take down the lab: %v", err)
			}
		}()
		op, err := l.Operator("ann")
		if err != nil {
			return nil, err
		}
		s := &stage{bench: b, lab: l, op: op}
		if err := s.settle(ctx); err != nil {
			return nil, err
		}
		return measure(ctx, s)
	}
}

// reset makes the hosts new and waits until they have done with booting.
func (s *stage) reset(ctx context.Context) error {
	if err := s.lab.Reset(ctx); err != nil {
		return err
	}
	return s.settle(ctx)
}

// settle waits until no host is busy with its own boot.
func (s *stage) settle(ctx context.Context) error {
	for _, h := range s.lab.Hosts() {
		// "degraded" is an end of booting too; a host that takes longer is measured as it is.
		if out, err := h.Shell(ctx, "timeout 20 systemctl is-system-running --wait || true"); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
	}
	return nil
}

// spec makes a new folder with main.hcl: the first three hosts as members of
// cluster "lab", with more blocks of the cluster before them.
func (s *stage) spec(more string) (dir string, err error) {
	dir, err = os.MkdirTemp(s.op.Home(), "spec-")
	if err != nil {
		return "", err
	}
	return dir, s.write(dir, s.lab.Hosts()[:3], more)
}

// write writes main.hcl in a spec's folder: those hosts as members.
func (s *stage) write(dir string, hosts []*lab.Host, more string) error {
	text := fmt.Appendf(nil, "cluster \"lab\" {\n%s\n", more)
	for _, h := range hosts {
		text = fmt.Appendf(text, "  member %q { address = %q }\n", h.Name(), h.Addr())
	}
	return os.WriteFile(filepath.Join(dir, "main.hcl"), append(text, "}\n"...), 0o600)
}

// quorate runs it as the operator in a spec's folder, and returns the seconds it took.
func (s *stage) quorate(ctx context.Context, dir string, args ...string) (float64, error) {
	cmd := s.op.Command(ctx, s.bin("quorate"), args...)
	cmd.Dir = dir
	return timed(cmd)
}

// forget empties the operator's cache: the next run compresses the binary anew.
func (s *stage) forget() error { return os.RemoveAll(filepath.Join(s.op.Home(), ".cache", "quorate")) }

// timed runs a command and returns the seconds it took; a failure carries its output.
func timed(cmd *exec.Cmd) (float64, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began).Seconds()
	if err != nil {
		return took, failed(cmd, err, out.Bytes())
	}
	return took, nil
}

// failed is the error of a command, with the end of what it said.
func failed(cmd *exec.Cmd, err error, out []byte) error {
	const most = 2000
	if len(out) > most {
		out = append([]byte("…"), out[len(out)-most:]...)
	}
	return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
}

// logLines sends the lab's lines to the log.
type logLines struct{ b *bench }

func (w *logLines) Write(p []byte) (int, error) {
	w.b.logf("%s", strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}
