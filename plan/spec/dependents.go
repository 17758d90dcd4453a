package spec

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// Dependents are services on machines that cannot go on without the cluster: they are stopped before its data is exchanged for
// another's, and started afterwards. Nothing else that is done to a cluster touches them.
type Dependents struct {
	// Name labels the block in output.
	Name string `json:"name"`
	// Hosts are names of host blocks or of members, each once. What one of them does not have is passed over there.
	Hosts []string `json:"hosts"`
	// Units of systemd, with their suffix, in the order in which they are stopped, and started.
	Units []string `json:"units,omitempty"`
	// Manifests are absolute paths of static pods' files, in that order too. They are moved away before any unit is stopped, since the
	// [Kubelet] is who ends the pods, and back once all units run.
	Manifests []string `json:"manifests,omitempty"`
	// Processes are the names of which none may run, and Ports those on which nobody may listen, once all of it is stopped.
	Processes []string `json:"processes,omitempty"`
	Ports     []int    `json:"ports,omitempty"`
	// Timeout bounds how long each unit or pod may take to end, and to come back; at least a second.
	Timeout time.Duration `json:"timeout"`
	// Range is the header of the block.
	Range hcl.Range `json:"-"`
}

// Kubelet is the unit that runs static pods, and ends them once their manifests are gone.
const Kubelet = "kubelet.service"

// ManifestProcess is what the process of a static pod is called, as far as its manifest tells: like the file, without its suffix.
func ManifestProcess(manifest string) string {
	return strings.TrimSuffix(path.Base(manifest), path.Ext(manifest))
}

// DependentMachines are the machines on which something is stopped before a restore, each once, in the order in which the blocks name them.
func (c *Cluster) DependentMachines() []*Member {
	var out []*Member
	seen := map[string]bool{}
	for _, d := range c.Dependents {
		for _, name := range d.Hosts {
			if m := c.Machine(name); m != nil && !seen[name] {
				seen[name] = true
				out = append(out, m)
			}
		}
	}
	return out
}

// presets are what two ways of installing Kubernetes run beside etcd.
var presets = map[string]Dependents{
	// The services that kubeasz stops for a restore, in its order (playbooks/95.restore.yml). The ports are left out: its
	// nodes have a load balancer of their own listen on the API server's.
	"kubeasz": {Units: []string{"kube-apiserver.service", "kube-controller-manager.service", "kube-scheduler.service", Kubelet, "kube-proxy.service"}},
	// The static pods of kubeadm but etcd's, and the ports at which they serve: kubernetes.io/docs/reference/networking/ports-and-protocols.
	"kubeadm": {
		Manifests: []string{"/etc/kubernetes/manifests/kube-apiserver.yaml", "/etc/kubernetes/manifests/kube-controller-manager.yaml", "/etc/kubernetes/manifests/kube-scheduler.yaml"},
		Ports:     []int{6443, 10257, 10259},
	},
}

// processName is what a process may be called; manifestName is a file that the kubelet reads, and whose name says what runs.
var (
	processName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]*$`)
	manifestName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]*\.(yaml|yml|json)$`)
)

// dependents builds one block. An attribute that is given takes the place of the preset's. Which machines there are is for
// [loader.checkDependents] to say.
func (l *loader) dependents(n *node, c *Cluster) *Dependents {
	l.checkLabel(n)
	d := presets[n.text("preset")]
	d.Name, d.Range, d.Hosts, d.Timeout = n.label, n.at, n.texts("hosts"), n.value("timeout").span
	l.blocks[&d] = n
	if v, ok := n.given("hosts"); ok && len(v.texts) == 0 {
		l.fail(v.at, "No hosts", "The list of hosts is empty, so nothing would be stopped anywhere.", "Name the machines, leave hosts out for all of them, or leave the block out.")
	}
	if _, ok := n.given("units"); ok {
		d.Units = l.units(n, "units")
	}
	if v, ok := n.given("manifests"); ok {
		d.Manifests = l.manifests(v)
	}
	if v, ok := n.given("ports"); ok {
		d.Ports = v.ports
	}
	if d.Timeout < time.Second && !n.bad("timeout") {
		l.fail(n.where("timeout"), "Bad timeout", fmt.Sprintf("In %s nothing ends, and nothing starts.", d.Timeout), `For example: timeout = "2m"`)
	}
	for _, u := range d.Units {
		d.Processes = append(d.Processes, strings.TrimSuffix(u, path.Ext(u)))
	}
	for _, m := range d.Manifests {
		if p := ManifestProcess(m); !slices.Contains(d.Processes, p) {
			d.Processes = append(d.Processes, p)
		}
	}
	if v, ok := n.given("processes"); ok {
		d.Processes = l.processes(v)
	}
	if len(d.Units)+len(n.texts("manifests")) == 0 && len(d.Manifests) == 0 && !n.bad("units") && !n.bad("manifests") && !n.bad("preset") {
		l.fail(n.at, "Nothing to stop", fmt.Sprintf("Dependents %q names neither units nor manifests.", d.Name), `Take a preset, "kubeasz" or "kubeadm", or name them: units = ["kube-apiserver"]`)
	}
	return &d
}

// units are the services that an attribute names, each once, with their suffix.
func (l *loader) units(n *node, name string) []string {
	var out []string
	v := n.value(name)
	seen := map[string]bool{}
	for at, u := range v.texts {
		if path.Ext(u) != ".service" {
			u += ".service"
		}
		switch {
		case !unitName.MatchString(u):
			l.fail(v.element(at), "Bad unit", fmt.Sprintf("%q is no name of a systemd service.", u), fmt.Sprintf("For example: %s = [\"kube-apiserver\"]", name))
		case seen[u]:
			l.fail(v.element(at), "Duplicate unit", fmt.Sprintf("%s is there already.", u), "Remove one of them.")
		}
		seen[u] = true
		out = append(out, u)
	}
	return out
}

// manifests are files beside whose folder there is room for one of ours, since the kubelet reads everything in it.
func (l *loader) manifests(v value) []string {
	var out []string
	seen := map[string]bool{}
	for at, text := range v.texts {
		bad := func(cause string) {
			l.fail(v.element(at), "Bad manifest", fmt.Sprintf("%q %s.", text, cause), `For example: manifests = ["/etc/kubernetes/manifests/kube-apiserver.yaml"]`)
		}
		base := path.Base(text)
		switch {
		case !path.IsAbs(text):
			bad("is no absolute path")
		case path.Clean(text) != text || !pathText.MatchString(text) || strings.Count(text, "/") < 3:
			bad("is no path of a file in a folder for manifests alone")
		case !manifestName.MatchString(base):
			bad("is no manifest of a static pod, a file that ends in .yaml, .yml or .json")
		case ManifestProcess(text) == "etcd":
			l.fail(v.element(at), "Bad manifest", fmt.Sprintf("%s is an etcd of kubeadm's own, and no dependent of this cluster.", text), "Leave it out. Such an etcd is not this cluster's, and stays as it is.")
		case seen[base]:
			l.fail(v.element(at), "Duplicate manifest", fmt.Sprintf("%s is there already.", base), "Remove one of them.")
		default:
			seen[base] = true
			out = append(out, text)
		}
	}
	return out
}

// processes are the names that an attribute gives.
func (l *loader) processes(v value) []string {
	var out []string
	for at, p := range v.texts {
		if !processName.MatchString(p) {
			l.fail(v.element(at), "Bad process", fmt.Sprintf("%q is no name of a process: the last part of the path that it is started by.", p), `For example: processes = ["kube-apiserver"]`)
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// checkDependents: the machines are there, none has a part of it twice, and the kubelet is not stopped, and started, apart from the
// pods that it runs: its block alone says that they end before it does, and come back after it.
func (l *loader) checkDependents(c *Cluster) {
	type part struct{ machine, what string }
	owner := map[part]*Dependents{}
	const pods = "manifests"
	for _, d := range c.Dependents {
		n := l.blocks[d]
		if _, ok := n.given("hosts"); !ok && !n.bad("hosts") {
			d.Hosts = everyMachine(c)
		}
		if len(d.Hosts) == 0 && !n.bad("hosts") && !l.incomplete {
			if _, ok := n.given("hosts"); !ok {
				l.fail(n.at, "No hosts", fmt.Sprintf("Cluster %q has no machine that is reached over SSH, so there is nothing to be stopped.", c.Name), "Leave the block out.")
			}
		}
		for _, m := range l.machinesOf(c, d.Hosts, n) {
			if m.Connection.Type == "local" {
				l.fail(n.where("hosts"), "Units on a local host", fmt.Sprintf("%q is local, and has neither units nor a kubelet to be stopped.", m.Name), "Leave it out.")
			}
			for _, what := range slices.Concat(d.Units, d.Manifests) {
				if had := owner[part{m.Name, what}]; had != nil && had != d {
					l.fail(n.written("units", "manifests", "preset"), "Duplicate dependent", fmt.Sprintf("%s on %q is among dependents %q already, at %s.", what, m.Name, had.Name, had.Range), "Leave it out of one of them.")
				}
				owner[part{m.Name, what}] = d
			}
			if len(d.Manifests) > 0 {
				owner[part{m.Name, pods}] = d
			}
			if k, p := owner[part{m.Name, Kubelet}], owner[part{m.Name, pods}]; k != nil && p != nil && k != p {
				l.fail(n.written("units", "manifests", "preset"), "Pods without their kubelet", fmt.Sprintf("On %q the manifests are in dependents %q, and the kubelet, which runs them, in dependents %q.", m.Name, p.Name, k.Name), "Put both into one block.")
			}
		}
	}
}

// everyMachine names the machines over SSH: those of host blocks, then the members'.
func everyMachine(c *Cluster) []string {
	var out []string
	for _, h := range c.Hosts {
		if h.Connection.Type == "ssh" {
			out = append(out, h.Name)
		}
	}
	for _, m := range c.Members {
		if m.Connection.Type == "ssh" {
			out = append(out, m.Name)
		}
	}
	return out
}
