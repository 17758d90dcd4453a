package stories

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/plan"
	"quorate/test/lab"
)

// The exit codes, as the help lists them.
const (
	done        = 0
	failed      = 1
	usage       = 2
	pending     = 3
	held        = 4
	locked      = 5
	interrupted = 6
)

// stage is a lab with an operator who has a folder with a spec.
type stage struct {
	*testing.T
	*lab.Lab
	op *lab.Operator
	// dir is the folder of the spec.
	dir string
}

// open boots a lab for the story. The lab is taken down when the story ends.
func open(t *testing.T, o lab.Options) *stage {
	t.Helper()
	lab.Need(t)
	if err := build(); err != nil {
		t.Fatal(err)
	}
	s := &stage{T: t, Lab: lab.Start(t, o)}
	s.op = s.operator("ann")
	s.dir = s.folder("spec")
	return s
}

func (s *stage) operator(name string) *lab.Operator {
	s.Helper()
	op, err := s.Lab.Operator(name)
	s.check(err)
	return op
}

// as is the same stage with another operator, who has a copy of the spec's folder.
func (s *stage) as(name string) *stage {
	s.Helper()
	other := *s
	other.op = s.operator(name)
	other.dir = filepath.Join(other.op.Home(), "spec")
	s.check(os.CopyFS(other.dir, os.DirFS(s.dir)))
	// CopyFS does not keep modes, and the CA's key must be the owner's alone.
	s.check(filepath.WalkDir(other.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	}))
	return &other
}

func (s *stage) folder(name string) string {
	s.Helper()
	dir := filepath.Join(s.op.Home(), name)
	s.check(os.MkdirAll(dir, 0o755))
	return dir
}

// spec writes main.hcl: the hosts as members of cluster "lab", with more
// blocks of the cluster before them.
func (s *stage) spec(more string) {
	s.Helper()
	s.write("main.hcl", cluster("lab", more, s.Hosts()))
}

func cluster(name, more string, hosts []*lab.Host) string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster %q {\n%s\n", name, more)
	for _, h := range hosts {
		fmt.Fprintf(&b, "  member %q { address = %q }\n", h.Name(), h.Addr())
	}
	return b.String() + "}\n"
}

func (s *stage) write(name, text string) {
	s.Helper()
	s.check(os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600))
}

// result is what a run of quorate came to.
type result struct {
	args           []string
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("quorate %s: exit code %d\n--- stdout\n%s--- stderr\n%s", strings.Join(r.args, " "), r.code, r.stdout, r.stderr)
}

// prepared is a quorate about to be run in the spec's folder, with the lab's
// network and the operator's home.
func (s *stage) prepared(ctx context.Context, args ...string) (*exec.Cmd, *bytes.Buffer, *bytes.Buffer) {
	cmd := s.op.Command(ctx, filepath.Join(workshop, "quorate"), args...)
	cmd.Dir = s.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	return cmd, &out, &errs
}

// quorate runs it to its end, with environment variables if given as NAME=VALUE before the verb.
func (s *stage) quorate(args ...string) result {
	s.Helper()
	var env []string
	for len(args) > 0 && strings.Contains(args[0], "=") {
		env, args = append(env, args[0]), args[1:]
	}
	ctx, cancel := context.WithTimeout(s.Context(), 2*time.Minute)
	defer cancel()
	cmd, out, errs := s.prepared(ctx, args...)
	cmd.Env = append(cmd.Env, env...)
	begin := time.Now()
	code := s.exitCode(cmd.Run())
	r := result{args, code, out.String(), errs.String()}
	s.Logf("quorate %s: exit code %d after %.2fs", strings.Join(args, " "), code, time.Since(begin).Seconds())
	return r
}

// exitCode is the program's, or -1 where a signal ended it.
func (s *stage) exitCode(err error) int {
	s.Helper()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	s.Fatalf("quorate did not run: %v", err)
	return 0
}

// must runs quorate and ends the story unless the exit code is 0.
func (s *stage) must(args ...string) result {
	s.Helper()
	r := s.quorate(args...)
	if r.code != done {
		s.Fatal(r)
	}
	return r
}

// refused runs quorate, which must end with code and say all of words.
func (s *stage) refused(code int, words []string, args ...string) result {
	s.Helper()
	r := s.quorate(args...)
	if r.code != code {
		s.Errorf("want exit code %d\n%s", code, r)
	}
	for _, w := range words {
		if !strings.Contains(r.stdout+r.stderr, w) {
			s.Errorf("want the words %q\n%s", w, r)
		}
	}
	return r
}

// plan asks for the plan, with exit code want.
func (s *stage) plan(want int, args ...string) *plan.Plan {
	s.Helper()
	r := s.quorate(append([]string{"plan", "--json", "--detailed-exitcode"}, args...)...)
	p, err := plan.Decode([]byte(r.stdout))
	if err != nil {
		s.Fatalf("%v\n%s", err, r)
	}
	if r.code != want {
		s.Fatalf("quorate plan: exit code %d, want %d; steps %q, held %+v\n%s", r.code, want, steps(p), p.Held, r.stderr)
	}
	return p
}

// steps are the ids of a plan's steps, without those that only note down what was done.
func steps(p *plan.Plan) []string {
	ids := []string{}
	for _, step := range p.Steps {
		if step.Kind != plan.KindRecord {
			ids = append(ids, step.ID)
		}
	}
	return ids
}

// reasons are the names of what a plan holds, with their subjects.
func reasons(p *plan.Plan) []string {
	list := []string{}
	for _, h := range p.Held {
		list = append(list, string(h.Reason)+" "+h.Subject)
	}
	slices.Sort(list)
	return list
}

// settled checks that the cluster is healthy and that there is nothing to do.
func (s *stage) settled(args ...string) {
	s.Helper()
	p := s.plan(done, args...)
	if len(p.Steps) > 0 || len(p.Held) > 0 {
		s.Fatalf("want nothing to do, got steps %q, held %q", steps(p), reasons(p))
	}
	if p.Before.Healthy != p.Before.Total || p.Before.Total == 0 {
		s.Fatalf("want every voter up, got %d of %d", p.Before.Healthy, p.Before.Total)
	}
	if r := s.quorate(append([]string{"status", "--json"}, args...)...); r.code != done || !json.Valid([]byte(r.stdout)) {
		s.Fatal(r)
	}
}

// healthy waits until every member is: one that was cut off takes a moment to
// be found again by the others.
func (s *stage) healthy() {
	s.Helper()
	var r result
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if r = s.quorate("status", "--json"); r.code == done {
			return
		}
	}
	s.Fatalf("not every member became healthy\n%s", r)
}

// pids are the members' main processes by host; a host whose unit does not run has 0.
func (s *stage) pids(unit string) map[string]string {
	s.Helper()
	got := map[string]string{}
	for _, h := range s.Hosts() {
		got[h.Name()] = s.on(h, "systemctl", "show", "--property=MainPID", "--value", unit)
	}
	return got
}

// restarted names the hosts whose process is another one than before.
func restarted(before, after map[string]string) []string {
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if before[name] != after[name] {
			names = append(names, name)
		}
	}
	return names
}

// on runs a command on a host, as root; a failure ends the story.
func (s *stage) on(h *lab.Host, argv ...string) string {
	s.Helper()
	out, err := h.Exec(s.Context(), argv...)
	s.check(err)
	return strings.TrimSpace(out)
}

// shell runs a shell script on a host, as root.
func (s *stage) shell(h *lab.Host, script string) string {
	s.Helper()
	return s.on(h, "sh", "-euc", script)
}

func (s *stage) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// print is a fingerprint of everything on a host that a tool could change: names,
// modes and owners, sizes and times of files, units. Logs, sudo's own
// notes, what systemd keeps for itself and what a member that runs writes are left out.
func (s *stage) print(h *lab.Host) string {
	s.Helper()
	return s.shell(h, `
		find /etc /opt /srv /usr /root /home /var/lib /tmp \
			\( -path /var/lib/systemd -o -path /var/lib/sudo -o -path /root/.cache -o -path '/tmp/systemd-private-*' -o -path '/var/lib/quorate/*/member' \) -prune -o \
			-type d -printf '%p %y %m %u\n' -o -printf '%p %y %m %u %s %T@\n' | sort
		systemctl list-unit-files --no-legend --no-pager | sort`)
}

// untouched checks that the hosts are as their prints say.
func (s *stage) untouched(before map[*lab.Host]string) {
	s.Helper()
	for h, was := range before {
		if now := s.print(h); now != was {
			s.Errorf("host %s was touched:\n%s", h.Name(), difference(was, now))
		}
	}
}

// prints takes the prints of hosts that have power.
func (s *stage) prints(hosts ...*lab.Host) map[*lab.Host]string {
	s.Helper()
	all := map[*lab.Host]string{}
	for _, h := range hosts {
		all[h] = s.print(h)
	}
	return all
}

// difference lists the lines that only one of two texts has.
func difference(was, now string) string {
	a, b := strings.Split(was, "\n"), strings.Split(now, "\n")
	var out strings.Builder
	for _, l := range a {
		if !slices.Contains(b, l) {
			out.WriteString("- " + l + "\n")
		}
	}
	for _, l := range b {
		if !slices.Contains(a, l) {
			out.WriteString("+ " + l + "\n")
		}
	}
	return out.String()
}
