package provision_test

import (
	"context"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// dependentMembers are three members, a machine with static pods, one with units, and a member's host with a unit.
const dependentMembers = `
cluster "lab" {
  member "etcd1" { address = "192.168.7.101" }
  member "etcd2" { address = "192.168.7.102" }
  member "etcd3" { address = "192.168.7.103" }
  server {
    wal_dir = "/ssd/lab"
  }
  host "control1" { address = "192.168.7.111" }
  host "worker1" { address = "192.168.7.121" }
  dependents "control-plane" {
    preset  = "kubeadm"
    hosts   = "control1"
    units   = "kubelet"
    timeout = "1s"
  }
  dependents "nodes" {
    hosts   = ["worker1", "etcd1"]
    units   = ["kube-proxy", "confd"]
    timeout = "1s"
  }
}`

const manifests = "/etc/kubernetes/manifests"

// podPorts are those on which pods listen.
var podPorts = map[string]int{"kube-apiserver": 6443, "kube-scheduler": 10259}

// kube is what depends on the rig's cluster: units with a process each, and kubelets that run a pod for each manifest, as long as they run
// themselves. What a kubelet does is seen at the next look.
type kube struct {
	mu    sync.Mutex
	pods  map[string]map[string]int // by machine and name, its process
	stuck map[string]bool           // pods that do not end
	next  int
}

// depend has the machines of dependents run what they do. What is seen of it has to be looked at by the rig.
func (r *rig) depend() *kube {
	k := &kube{pods: map[string]map[string]int{}, stuck: map[string]bool{}, next: 5000}
	for _, m := range r.cluster.DependentMachines() {
		machine := r.world.Machine(r.at[m.Address])
		machine.Handle("sh", k.list)
		k.pods[machine.Name()] = map[string]int{}
	}
	for machine, units := range map[string][]string{"control1": {"kubelet"}, "worker1": {"kube-proxy", "confd", "sshd"}, "etcd1": {"confd"}} {
		m := r.world.Machine(machine)
		for _, u := range units {
			exe := "/usr/local/bin/" + u
			m.WriteFile(exe, []byte(u), 0o755)
			m.WriteFile("/etc/systemd/system/"+u+".service", []byte("[Service]\nExecStart="+exe+" --verbose\n"), 0o644)
			m.Program(u+".service", func(*hosttest.Process) error { return nil })
			if _, err := m.Host().Service(context.Background(), host.ServiceRequest{Unit: u + ".service", Enable: u != "confd", Verb: "start"}); err != nil {
				panic(err)
			}
		}
	}
	m := r.world.Machine("control1")
	for _, name := range []string{"kube-apiserver", "kube-scheduler", "kube-vip"} {
		if err := m.Place(host.File{Path: path.Join(manifests, name+".yaml"), Mode: 0o600, Owner: "root:root", Content: []byte("kind: Pod # " + name)}); err != nil {
			panic(err)
		}
	}
	k.sync(m)
	r.depends = true
	return k
}

// sync is a kubelet at work.
func (k *kube) sync(m *hosttest.Machine) {
	runs := m.Unit("kubelet.service").Active == "active"
	k.mu.Lock()
	defer k.mu.Unlock()
	if !runs {
		return
	}
	pods, wanted := k.pods[m.Name()], map[string]bool{}
	for _, p := range m.Paths(manifests) {
		if name, ok := strings.CutSuffix(path.Base(p), ".yaml"); ok && path.Dir(p) == manifests && name[0] != '.' {
			wanted[name] = true
		}
	}
	for name := range wanted {
		if pods[name] == 0 {
			k.next++
			if pods[name] = k.next; podPorts[name] != 0 {
				m.Listen(podPorts[name], name)
			}
		}
	}
	for name := range pods {
		if !wanted[name] && !k.stuck[name] {
			delete(pods, name)
			m.Unlisten(podPorts[name])
		}
	}
}

// list is the shell that lists processes: all those with an argument that is asked for, as grep would.
func (k *kube) list(_ context.Context, m *hosttest.Machine, c host.Command) (host.Result, error) {
	k.sync(m)
	pattern := regexp.MustCompile(c.Argv[len(c.Argv)-1])
	var out strings.Builder
	for pid, exe := range m.Started() {
		for i, argument := range []string{exe, "--config", "kube-apiserver"} {
			if pattern.MatchString(argument) {
				fmt.Fprintf(&out, "/proc/%d/cmdline:%d:%s\x00", pid, i+1, argument)
			}
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, pid := range k.pods[m.Name()] {
		if pattern.MatchString(name) {
			fmt.Fprintf(&out, "/proc/%d/cmdline:1:%s\x00", pid, name)
		}
	}
	if out.Len() == 0 {
		return host.Result{}, hosttest.Exit(1, "")
	}
	return host.Result{Stdout: []byte(out.String())}, nil
}

// running is what runs of all that the spec names, by machine.
func (k *kube) running(r *rig) []string {
	var out []string
	for _, d := range r.cluster.Dependents {
		for _, name := range d.Hosts {
			for _, u := range d.Units {
				if m := r.world.Machine(name); !m.Unit(u).Stopped() {
					out = append(out, name+" "+u)
				}
			}
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for machine, pods := range k.pods {
		for _, pod := range slices.Sorted(maps.Keys(pods)) {
			if pod != "kube-vip" {
				out = append(out, machine+" "+pod)
			}
		}
	}
	slices.Sort(out)
	return out
}

// state is all that is there of dependents, units and files and pods: what a restore has to leave as it was.
func (k *kube) state(r *rig) string {
	var out strings.Builder
	for _, name := range []string{"control1", "worker1", "etcd1"} {
		m := r.world.Machine(name)
		k.sync(m)
		for line := range strings.Lines(m.Dump()) {
			if strings.Contains(line, "kube") || strings.Contains(line, "confd") || strings.Contains(line, "sshd") {
				out.WriteString(name + " " + line)
			}
		}
	}
	return out.String() + strings.Join(k.running(r), "\n")
}

// watch tells of whoever depends and runs while members are stopped or their data is exchanged.
func (k *kube) watch(t *testing.T, r *rig) {
	r.world.Intercept(func(c hosttest.Call) error {
		data := (c.Method == "Move" || c.Method == "Aside") && c.Writes
		if data || c.Method == "Service" && c.Detail == "stop quorate-lab.service" {
			if left := k.running(r); len(left) > 0 {
				t.Errorf("%s, while this runs: %v", c, left)
			}
		}
		return nil
	})
}
