package plan_test

import (
	"path"
	"strconv"
	"strings"
	"testing"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/plan"
)

// depends lets one line of a story come true that is about who depends on the cluster; false: it is about something else.
func depends(t *testing.T, w *world, words []string) bool {
	switch words[0] {
	case "ran": // block, machine, and what of it ran when the restore began: units, manifests, :ports, processes
		d := kvserver.RestoreDependents{Name: words[1], Host: words[2]}
		for _, what := range words[3:] {
			switch {
			case path.IsAbs(what):
				d.Manifests = append(d.Manifests, what)
			case what[0] == ':':
				d.Ports = append(d.Ports, port(t, what[1:]))
			case path.Ext(what) == ".service":
				d.Units = append(d.Units, what)
			default:
				d.Processes = append(d.Processes, what)
			}
		}
		w.ran = append(w.ran, d)
	case "machine": // machine, and what is so there
		d := w.dependent(words[1])
		switch words[2] {
		case "runs": // units, each with a process of its name
			for _, u := range words[3:] {
				d.Units[u+".service"] = node.UnitState{Loaded: true, Active: "active"}
				d.process(u)
			}
		case "failed":
			d.Units[words[3]+".service"] = node.UnitState{Loaded: true, Active: "failed"}
		case "has": // manifests, each with a process of its name
			for _, m := range words[3:] {
				d.Files["/etc/kubernetes/manifests/"+m] = node.FileState{Exists: true, Type: "file"}
				d.process(strings.TrimSuffix(m, ".yaml"))
			}
		case "listens":
			for _, p := range words[3:] {
				d.Ports[port(t, p)] = node.PortState{Known: true, Listeners: []node.PortListener{{Address: "::"}}}
			}
		case "processes":
			for _, p := range words[3:] {
				d.process(p)
			}
		case "unreachable":
			*d.Dependent = plan.Dependent{Problem: `cannot reach host "` + words[1] + `": no route to host`}
		case "no-root":
			d.Root = false
		case "no-systemd":
			d.Manager = ""
		case "exposed":
			d.Exposed = []node.Exposure{{Path: words[3], Owner: "kube"}}
		default:
			t.Fatalf("a machine with what? %q", words)
		}
	default:
		return false
	}
	return true
}

func port(t *testing.T, text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// machine is one that a story tells of.
type machine struct{ *plan.Dependent }

// process runs there from now on.
func (m machine) process(name string) { m.Processes[name] = append(m.Processes[name], 4711) }

// dependent is a machine on which nothing runs, until a story says what does.
func (w *world) dependent(name string) machine {
	if w.obs.Dependents == nil {
		w.obs.Dependents = map[string]*plan.Dependent{}
		for _, m := range w.spec.DependentMachines() {
			w.obs.Dependents[m.Name] = &plan.Dependent{Facts: node.Facts{Manager: "systemd", Root: true}, Units: map[string]node.UnitState{},
				Files: map[string]node.FileState{}, Ports: map[int]node.PortState{}, Processes: map[string][]int{}}
		}
	}
	return machine{w.obs.Dependents[name]}
}
