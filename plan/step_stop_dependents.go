package plan

import (
	"slices"
	"strings"
	"time"
)

// KindStopDependents stops those who cannot go on without the cluster.
const KindStopDependents Kind = "stop-dependents"

// StopDependents stops what one dependents block names, on all its machines together, before the members are: on each manifests are
// moved away, one after another, and then units are stopped, each seen to be gone before the next. Holds afterwards: the units are
// inactive, the manifests away, and on these machines neither one of Processes runs nor does anybody listen on one of Ports. What is
// enabled stays enabled: a machine that boots meanwhile starts it, and it finds no cluster.
type StopDependents struct{ dependents }

// dependents are one block of the spec at work.
type dependents struct {
	quiet
	Name string          `json:"name"`
	On   []DependentHost `json:"on"`
	// Timeout bounds how long each unit or pod may take.
	Timeout time.Duration `json:"timeout"`
}

// DependentHost is what is stopped, or started, on one machine.
type DependentHost struct {
	Host      string          `json:"host"`
	Units     []string        `json:"units,omitempty"`
	Manifests []MovedManifest `json:"manifests,omitempty"`
	// Processes and Ports are those to be gone, or those to be back.
	Processes []string `json:"processes,omitempty"`
	Ports     []int    `json:"ports,omitempty"`
}

// MovedManifest is a static pod's file, and where it waits.
type MovedManifest struct {
	Path string `json:"path"`
	Away string `json:"away"`
}

// Kind of the step.
func (*StopDependents) Kind() Kind { return KindStopDependents }

// Phase of the step.
func (*StopDependents) Phase() Phase { return PhaseStop }

// StopDependentsID is the ID of the step that stops a block's dependents.
func StopDependentsID(block string) string { return string(KindStopDependents) + " " + block }

// Describe names what is stopped, and where.
func (a *StopDependents) Describe() Description {
	return a.describe(Gone, "stopped", func(m MovedManifest) string { return "waits in " + dirOf(m.Away) })
}

// Hosts of the block, which need not be members'.
func (a *dependents) Hosts() []string {
	return texts(a.On, func(h DependentHost) string { return h.Host })
}

// describe has an item for each unit and manifest, in the order of the work, which says on which machines.
func (a *dependents) describe(sign Sign, unit string, manifest func(MovedManifest) string) Description {
	type thing struct{ path, problem string }
	var all []thing
	on := map[thing][]string{}
	for _, h := range a.On {
		var pods, units []thing
		for _, m := range h.Manifests {
			pods = append(pods, thing{m.Path, manifest(m)})
		}
		for _, u := range h.Units {
			units = append(units, thing{u, unit})
		}
		here := slices.Concat(pods, units)
		if sign == New {
			here = slices.Concat(units, pods)
		}
		for _, t := range here {
			if on[t] == nil {
				all = append(all, t)
			}
			on[t] = append(on[t], h.Host)
		}
	}
	d := Description{Sign: sign}
	for _, t := range all {
		d.Items = append(d.Items, Item{Path: t.path, Sign: sign, Problem: t.problem, Note: "on " + strings.Join(on[t], ", ")})
	}
	return d
}
