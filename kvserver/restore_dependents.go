package kvserver

import (
	"fmt"
	"path"
	"regexp"
)

// RestoreDependents is what ran on one machine, when a restore began, of one dependents block of the spec: it is stopped before
// the members, and that alone is started after them. Nobody acts on a mark's word alone: what the spec does not name is left alone.
type RestoreDependents struct {
	// Name of the block, and of the machine in the spec.
	Name string `json:"name"`
	Host string `json:"host"`
	// Units that ran, and Manifests that were there: absolute paths; both in the spec's order.
	Units     []string `json:"units,omitempty"`
	Manifests []string `json:"manifests,omitempty"`
	// Processes that ran, by name, and Ports on which somebody listened: they are back once all of it has started.
	Processes []string `json:"processes,omitempty"`
	Ports     []int    `json:"ports,omitempty"`
}

// dependentForm is what a unit or a process may be called: one word that is no option and no path.
var dependentForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:_.@+\\-]*$`)

func (d RestoreDependents) check() error {
	if d.Name == "" || d.Host == "" || len(d.Units)+len(d.Manifests) == 0 {
		return fmt.Errorf("dependents %q on %q are nothing that could be started", d.Name, d.Host)
	}
	for _, names := range [][]string{d.Units, d.Processes} {
		for _, n := range names {
			if !dependentForm.MatchString(n) {
				return fmt.Errorf("%q is neither a unit nor a process", n)
			}
		}
	}
	for _, p := range d.Manifests {
		if !path.IsAbs(p) || path.Clean(p) != p || path.Dir(path.Dir(p)) == "/" {
			return fmt.Errorf("%q is no manifest's path", p)
		}
	}
	for _, p := range d.Ports {
		if p < 1 || p > 65535 {
			return fmt.Errorf("%d is no port", p)
		}
	}
	return nil
}

// Away is where a manifest waits while its restore is unfinished: in a folder beside its own, which the kubelet does not read.
func (m RestoreMark) Away(manifest string) string {
	return path.Join(path.Dir(path.Dir(manifest)), ".quorate-restore-"+m.Run, path.Base(manifest))
}
