package provision

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision/host"
)

// WithDependents has every observation look at those who depend on the cluster too, whom a restore stops. To be called before
// anything is observed. Their machines get no lock: the members' locks keep others from stopping and starting the same.
func (s *Session) WithDependents() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dependents = true
}

// meetDependents looks at the machines of dependents, all together, if it was asked to.
func (s *Session) meetDependents(ctx context.Context, o *plan.Observed) {
	s.mu.Lock()
	asked := s.dependents
	s.mu.Unlock()
	if !asked {
		return
	}
	machines := s.cluster.DependentMachines()
	seen := make([]*plan.Dependent, len(machines))
	parallel(len(machines), func(i int) {
		seen[i] = s.lookDependent(ctx, machines[i].Name, plan.UnfinishedRestore(o))
	})
	o.Dependents = map[string]*plan.Dependent{}
	for i, m := range machines {
		o.Dependents[m.Name] = seen[i]
	}
}

// lookDependent looks at one machine. mark is that of an unfinished restore, nil for none.
func (s *Session) lookDependent(ctx context.Context, name string, mark *kvserver.RestoreMark) *plan.Dependent {
	h, err := s.Reader(ctx, name)
	if err != nil {
		return &plan.Dependent{Problem: err.Error()}
	}
	all := plan.DependentHost{Host: name}
	var way []string
	for _, d := range s.cluster.Dependents {
		if !slices.Contains(d.Hosts, name) {
			continue
		}
		all.Units, all.Processes, all.Ports = append(all.Units, d.Units...), append(all.Processes, d.Processes...), append(all.Ports, d.Ports...)
		for _, m := range d.Manifests {
			moved := plan.MovedManifest{Path: m}
			if mark != nil {
				moved.Away = mark.Away(m)
			}
			all.Manifests, way = append(all.Manifests, moved), append(way, plan.DependentWay(m)...)
		}
	}
	q := dependentQuery(all, false)
	slices.Sort(way)
	for _, dir := range slices.Compact(way) {
		q.Files = append(q.Files, host.FileQuery{Path: dir})
	}
	look, err := h.Look(ctx, q)
	if err != nil {
		return &plan.Dependent{Problem: err.Error()}
	}
	running, err := processes(look, all.Processes)
	if err != nil {
		return &plan.Dependent{Problem: err.Error()}
	}
	out := &plan.Dependent{Facts: look.Facts, Units: look.Units, Files: map[string]node.FileState{}, Ports: look.Ports, Processes: running}
	for p, f := range look.Files {
		if !slices.Contains(way, p) {
			out.Files[p] = f
		}
	}
	for _, dir := range way {
		if e := look.Files[dir].Exposed; e.Path != "" && !slices.Contains(out.Exposed, e) {
			out.Exposed = append(out.Exposed, e)
		}
	}
	return out
}

// dependentQuery asks for the units, manifests, ports and processes of one machine; content: for what is in the manifests too.
func dependentQuery(d plan.DependentHost, content bool) host.Query {
	q := host.Query{Units: slices.Clone(d.Units), Ports: d.Ports}
	if len(d.Manifests) > 0 && !slices.Contains(q.Units, spec.Kubelet) {
		q.Units = append(q.Units, spec.Kubelet)
	}
	for _, m := range d.Manifests {
		q.Files = append(q.Files, host.FileQuery{Path: m.Path, Content: content})
		if m.Away != "" {
			q.Files = append(q.Files, host.FileQuery{Path: m.Away, Content: content}, host.FileQuery{Path: path.Dir(m.Away)})
		}
	}
	if len(d.Processes) > 0 {
		q.Probes = append(q.Probes, processesProbe(d.Processes))
	}
	return q
}

// probeProcesses is the probe that lists processes.
const probeProcesses = "processes"

// listProcesses prints, for each line of /proc/PID/cmdline that matches, "FILE:NUMBER:ARGUMENT" and a NUL: arguments are such lines,
// and the first one is the path that a process was started by. What /proc/PID/comm has is cut after 15 bytes.
const listProcesses = `exec grep -Hnzs -E -e "$1" /proc/[0-9]*/cmdline`

func processesProbe(names []string) host.Probe {
	var quoted []string
	for _, n := range names {
		quoted = append(quoted, regexp.QuoteMeta(n))
	}
	slices.Sort(quoted)
	pattern := "^(.*/)?(" + strings.Join(slices.Compact(quoted), "|") + ")$"
	return host.Probe{Name: probeProcesses, Argv: []string{"sh", "-c", listProcesses, "sh", pattern}, Limit: 1 << 20}
}

// processes are the numbers of those that run by these names, sorted. That grep ends with 1 says that there are none, and with
// 2 that one has ended while it was read.
func processes(l *host.Look, names []string) (map[string][]int, error) {
	if len(names) == 0 {
		return nil, nil
	}
	p := l.Probes[probeProcesses]
	if !p.Ran || p.Code < 0 || p.Code > 2 || p.Cut {
		return nil, fmt.Errorf("its processes cannot be listed: exit code %d, %s", p.Code, bytes.TrimSpace(p.Stderr))
	}
	out := map[string][]int{}
	for name, pids := range started(p.Stdout) {
		if slices.Contains(names, name) {
			out[name] = pids
		}
	}
	return out, nil
}

// started are the numbers of processes by the last part of the path that they were started by, out of what [listProcesses] printed;
// what is no such line is passed over.
func started(lines []byte) map[string][]int {
	out := map[string][]int{}
	for line := range bytes.SplitSeq(lines, []byte{0}) {
		file, rest, _ := strings.Cut(string(line), ":")
		number, argument, ok := strings.Cut(rest, ":")
		pid, err := strconv.Atoi(path.Base(path.Dir(file)))
		if !ok || number != "1" || err != nil || pid < 1 || argument == "" {
			continue
		}
		name := argument[strings.LastIndex(argument, "/")+1:]
		if !slices.Contains(out[name], pid) {
			out[name] = append(out[name], pid)
		}
	}
	for _, pids := range out {
		slices.Sort(pids)
	}
	return out
}

// eachDependent does something on every machine of a block together, and waits for all: what fails on one ends nothing on another.
// It says whether something was changed anywhere, and what went wrong, by machine in their order.
func (r *run) eachDependent(ctx context.Context, on []plan.DependentHost, do func(context.Context, host.Host, plan.DependentHost) (bool, error)) (bool, []error) {
	changed, errs := make([]bool, len(on)), make([]error, len(on))
	parallel(len(on), func(i int) {
		h, err := r.session.Host(ctx, on[i].Host)
		if err == nil {
			changed[i], err = do(ctx, h, on[i])
		}
		errs[i] = err
	})
	return slices.Contains(changed, true), errs
}

// comes looks at a machine again and again until what is asked for is so, at most for as long as limit. The error is the last
// that so gave.
func (r *run) comes(ctx context.Context, s plan.Step, h host.Host, d plan.DependentHost, limit time.Duration, so func(*host.Look, map[string][]int) error) error {
	q := dependentQuery(d, false)
	began := r.session.world.Clock()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("for %s", limit))
	defer cancel()
	var last, lost error
	said := ""
	err := r.until(ctx, d.Host, func() error {
		look, err := h.Look(ctx, q)
		var running map[string][]int
		if err == nil {
			running, err = processes(look, d.Processes)
		}
		if _, gone := errors.AsType[*host.UnreachableError](err); gone {
			lost = err // a connection is not made twice
			return nil
		}
		switch {
		case err == nil:
			last = so(look, running)
		case ctx.Err() == nil || last == nil:
			last = err
		}
		if waited := r.session.world.Clock().Sub(began); last != nil && last.Error() != said && waited >= patience {
			said = last.Error()
			r.tell(Event{Type: Waiting, Step: s.ID, Title: s.Title, Member: d.Host, Detail: "waited for: " + said, Seconds: waited.Seconds()})
		}
		return last
	})
	return cmp.Or(lost, err)
}
