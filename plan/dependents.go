package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/plan/spec"
)

// Dependent is what a look at a machine gave of what is stopped there before a restore, see [spec.Dependents].
type Dependent struct {
	// Problem says why there is no look; when set nothing else is.
	Problem string

	node.Facts
	Units map[string]node.UnitState // of all its blocks, and the [spec.Kubelet] where there are manifests
	// Files are the manifests, and where they wait while a restore is unfinished, with their folders, by path.
	Files map[string]node.FileState
	Ports map[int]node.PortState
	// Processes are the numbers of those that run, by the names that its blocks give; sorted.
	Processes map[string][]int
	// Exposed are folders on the way to manifests that somebody else may exchange, each once.
	Exposed []node.Exposure
}

// running is what of a block runs on the machine; ok says whether there is anything that could be stopped.
func (d *Dependent) running(of *spec.Dependents, host string) (found kvserver.RestoreDependents, ok bool) {
	found = kvserver.RestoreDependents{Name: of.Name, Host: host}
	for _, u := range of.Units {
		if !d.Units[u].Stopped() {
			found.Units = append(found.Units, u)
		}
	}
	for _, m := range of.Manifests {
		if d.Files[m].Exists {
			found.Manifests = append(found.Manifests, m)
		}
	}
	for _, p := range of.Processes {
		if len(d.Processes[p]) > 0 {
			found.Processes = append(found.Processes, p)
		}
	}
	for _, p := range of.Ports {
		if d.Ports[p].Listening() {
			found.Ports = append(found.Ports, p)
		}
	}
	return found, len(found.Units)+len(found.Manifests) > 0
}

// facts of a machine: what is there and runs, not what moves by itself.
func (d *Dependent) facts(name string, add func(key, format string, args ...any)) {
	p := "dependents on " + name
	if d.Problem != "" {
		add(p, "not seen")
		return
	}
	for _, u := range sortedKeys(d.Units) {
		add(p+" "+u, "runs=%t", !d.Units[u].Stopped())
	}
	for _, f := range sortedKeys(d.Files) {
		add(p+" "+f, "there=%t", d.Files[f].Exists)
	}
}

// dependents is what runs now of all who depend, in the order in which it is stopped. A machine that could not be looked at
// holds everything: what runs there would go on without its data.
func (b *builder) dependents() []kvserver.RestoreDependents {
	var out []kvserver.RestoreDependents
	for _, of := range b.spec.Dependents {
		for _, name := range of.Hosts {
			d := b.obs.Dependents[name]
			if d == nil || d.Problem != "" {
				b.unseen(of, name)
				continue
			}
			found, ok := d.running(of, name)
			if !ok {
				b.strays(of, name, found)
				continue
			}
			b.stoppable(of, name, d)
			out = append(out, found)
		}
	}
	return out
}

// strays holds a restore where processes run that are to be gone, and nothing is there that would end them.
func (b *builder) strays(of *spec.Dependents, name string, found kvserver.RestoreDependents) {
	for _, p := range found.Processes {
		b.hold(Held{Reason: Dependents, Subject: name, Blocks: true,
			Detail: fmt.Sprintf("%s runs there (process %s), and of dependents %q neither a unit nor a manifest runs it", p, numbers(b.obs.Dependents[name].Processes[p]), of.Name),
			WayOut: fmt.Sprintf("stop it; or, if it has nothing to do with this cluster, leave it out of the processes of dependents %q, or the machine out of its hosts", of.Name)})
	}
}

func numbers(all []int) string {
	return strings.Join(texts(all, func(n int) string { return fmt.Sprint(n) }), ", ")
}

// marked is what the mark notes of one block's machines, as far as the spec still has it: nothing else is acted on.
func marked(of *spec.Dependents, mark kvserver.RestoreMark) []kvserver.RestoreDependents {
	var out []kvserver.RestoreDependents
	for _, d := range mark.Dependents {
		if d.Name != of.Name || !slices.Contains(of.Hosts, d.Host) {
			continue
		}
		d.Units, d.Manifests = common(d.Units, of.Units), common(d.Manifests, of.Manifests)
		d.Processes, d.Ports = common(d.Processes, of.Processes), common(d.Ports, of.Ports)
		if len(d.Units)+len(d.Manifests) > 0 {
			out = append(out, d)
		}
	}
	return out
}

// common are the elements that are in both, in the order of the second.
func common[T comparable](a, b []T) []T {
	return slices.DeleteFunc(slices.Clone(b), func(e T) bool { return !slices.Contains(a, e) })
}

// unnamedNote says what was running when the restore began and is not the spec's any more.
func (b *builder) unnamedNote(of restoring) {
	for _, d := range of.mark.Dependents {
		var left []string
		at := slices.IndexFunc(b.spec.Dependents, func(s *spec.Dependents) bool { return s.Name == d.Name && slices.Contains(s.Hosts, d.Host) })
		for _, what := range slices.Concat(d.Units, d.Manifests) {
			if at < 0 || !slices.Contains(slices.Concat(b.spec.Dependents[at].Units, b.spec.Dependents[at].Manifests), what) {
				left = append(left, what)
			}
		}
		if len(left) > 0 {
			b.note("%s ran on %s when the restore began, and dependents %q do not name it any more: it is neither stopped nor started", strings.Join(left, ", "), d.Host, d.Name)
		}
	}
}

// stopDependents adds the steps that stop, once the new data is staged on every host, what runs of those that ran when the
// restore began; block after block, its machines together. It gives the steps' ids.
func (b *builder) stopDependents(of restoring) []string {
	after := b.ids(KindStage)
	for _, s := range b.spec.Dependents {
		a := &StopDependents{dependents: dependents{Name: s.Name, Timeout: s.Timeout}}
		for _, d := range marked(s, of.mark) {
			seen := b.obs.Dependents[d.Host]
			if seen == nil || seen.Problem != "" {
				b.unseen(s, d.Host)
			} else if b.stoppable(s, d.Host, seen) {
				a.On = append(a.On, DependentHost{Host: d.Host, Units: d.Units, Manifests: away(of.mark, d.Manifests), Processes: s.Processes, Ports: s.Ports})
			}
		}
		if len(a.On) == 0 {
			continue
		}
		b.add(draft{subject: s.Name, after: after, Step: Step{Title: "stop dependents " + s.Name + " on " + strings.Join(a.Hosts(), ", "), Action: a}})
		after = []string{StopDependentsID(s.Name)}
	}
	return b.ids(KindStopDependents)
}

// unseen holds everything where a machine of a block could not be looked at.
func (b *builder) unseen(s *spec.Dependents, name string) {
	if b.heldOf(name, HostUnreachable) {
		return // as a member's
	}
	problem := "nobody has looked"
	if d := b.obs.Dependents[name]; d != nil {
		problem = d.Problem
	}
	if b.plan.Verb == Recover { // it may well have died with the members
		b.note("%s could not be looked at (%s): what of dependents %q runs there is neither stopped nor started", name, problem, s.Name)
		return
	}
	b.hold(Held{Reason: HostUnreachable, Subject: name, Blocks: true,
		Detail: fmt.Sprintf("%s; dependents %q are to be stopped there before the members are", problem, s.Name),
		WayOut: fmt.Sprintf("fix the connection and run again; or, if the machine is gone, take it out of the hosts of dependents %q", s.Name)})
}

// heldOf reports whether a reason holds a machine already: it may be in several blocks.
func (b *builder) heldOf(name string, r Reason) bool {
	return slices.ContainsFunc(b.plan.Held, func(h Held) bool { return h.Subject == name && h.Reason == r })
}

// stoppable reports whether something of it runs; what keeps it from being stopped is held.
func (b *builder) stoppable(s *spec.Dependents, name string, seen *Dependent) bool {
	now, runs := seen.running(s, name)
	if !runs && len(now.Processes) == 0 {
		return false
	}
	held := func(r Reason, detail, out string) {
		if !b.heldOf(name, r) {
			b.hold(Held{Reason: r, Subject: name, Blocks: true, Detail: detail, WayOut: out})
		}
	}
	switch {
	case seen.Manager != "systemd":
		held(Platform, "the machine does not run systemd, and its units are to be stopped", fmt.Sprintf("take it out of the hosts of dependents %q", s.Name))
	case !seen.Root:
		held(Privilege, "commands there do not run as root", "log in as root, or let the user use sudo (connection: user, sudo, sudo_password)")
	}
	if len(now.Manifests) == 0 {
		return true
	}
	if u := seen.Units[spec.Kubelet]; u.Active != "active" {
		held(Dependents, fmt.Sprintf("%s is %s, and nobody else ends the pods of %s", spec.Kubelet, u.String(), strings.Join(now.Manifests, ", ")),
			"start it (systemctl start kubelet); or stop the pods yourself, and move their manifests away until the restore is over")
	}
	for _, h := range (&member{Member: &spec.Member{Name: name}, host: &Host{Exposed: seen.Exposed}}).unusable(nil) {
		held(h.Reason, h.Detail, h.WayOut)
	}
	return true
}

// away places manifests.
func away(mark kvserver.RestoreMark, manifests []string) []MovedManifest {
	var out []MovedManifest
	for _, m := range manifests {
		out = append(out, MovedManifest{Path: m, Away: mark.Away(m)})
	}
	return out
}

// startDependents adds the steps that start again what ran when the restore began and was stopped, or is by this plan: once
// the members serve and that is noted down.
func (b *builder) startDependents(of restoring) {
	b.unnamedNote(of)
	after := slices.Concat(b.ids(KindRevive), b.ids(KindRecord), b.ids(KindRemember))
	for _, s := range b.spec.Dependents {
		a := &StartDependents{dependents: dependents{Name: s.Name, Timeout: s.Timeout}, Settle: consumerSettle}
		stops := slices.Contains(b.ids(KindStopDependents), StopDependentsID(s.Name))
		for _, d := range marked(s, of.mark) {
			seen := b.obs.Dependents[d.Host]
			if seen != nil && seen.Problem == "" && !stops && seen.allUp(d, of.mark) {
				continue
			}
			a.On = append(a.On, DependentHost{Host: d.Host, Units: d.Units, Manifests: away(of.mark, d.Manifests), Processes: d.Processes, Ports: d.Ports})
		}
		if len(a.On) == 0 {
			continue
		}
		b.add(draft{subject: s.Name, after: after, Step: Step{Title: "start dependents " + s.Name + " again on " + strings.Join(a.Hosts(), ", "), Action: a}})
		after = []string{string(KindStartDependents) + " " + s.Name}
	}
}

// allUp reports whether all that ran when a restore began does, and nothing of it waits anywhere.
func (d *Dependent) allUp(was kvserver.RestoreDependents, mark kvserver.RestoreMark) bool {
	for _, u := range was.Units {
		if d.Units[u].Active != "active" {
			return false
		}
	}
	for _, m := range was.Manifests {
		if !d.Files[m].Exists || d.Files[path.Dir(mark.Away(m))].Exists {
			return false
		}
	}
	return !slices.ContainsFunc(was.Ports, func(p int) bool { return !d.Ports[p].Listening() }) &&
		!slices.ContainsFunc(was.Processes, func(p string) bool { return len(d.Processes[p]) == 0 })
}

// DependentWay lists the folders that must not be exchanged for manifests to be moved, up to "/".
func DependentWay(manifest string) []string {
	var out []string
	for d := path.Dir(manifest); d != "/" && d != "."; d = path.Dir(d) {
		out = append(out, d)
	}
	return out
}
