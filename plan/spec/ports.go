package spec

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"

	hosts "quorate/kvserver/node" // a node is one of the spec's text here
)

// machine names the machine that m runs on, as far as the spec tells.
func machine(m *Member) string {
	if m.Connection.Type == "local" {
		return "this machine"
	}
	return m.Address
}

// listener is one port that a member would open.
type listener struct {
	hosts.Listener
	member  *Member
	machine string
	what    string
	at      hcl.Range
}

// listeners of m, with what the spec calls their ports and where it does.
func (l *loader) listeners(c *Cluster, m *Member) []listener {
	var all []listener
	for _, n := range hosts.Listeners(m.Address, m.ClientPort, m.PeerPort, m.MetricsPort) {
		one := listener{Listener: n, member: m, machine: machine(m), what: n.What + "_port"}
		if one.at = l.blocks[m].where(one.what); one.at == m.Range {
			one.what = "by default " + one.what
		}
		one.what += fmt.Sprintf(" of member %q in cluster %q", m.Name, c.Name)
		all = append(all, one)
	}
	return all
}

// checkPorts: no two listeners of one machine on one port.
func (l *loader) checkPorts(clusters []*Cluster) {
	type key struct {
		machine string
		port    int
	}
	used := map[key][]listener{}
	for _, c := range clusters {
		seen := map[string]bool{}
		for _, m := range c.Members {
			if m.Address == "" || seen[m.Name] || sharesAddress(c, m) {
				continue // that is the complaint to make, and it has been made
			}
			seen[m.Name] = true
			for _, p := range l.listeners(c, m) {
				k := key{p.machine, p.Port}
				for _, had := range used[k] {
					// Two ports of one member are told apart even where their addresses would allow it.
					if had.member == m || p.Meets(had.Listener) {
						l.fail(p.at, "Port clash", fmt.Sprintf("Port %d of %s would be %s, and is %s, at %s.", p.Port, p.machine, p.what, had.what, had.at),
							"Write another port for one of them.")
						break
					}
				}
				used[k] = append(used[k], p)
			}
		}
	}
}

// sharesAddress reports whether an earlier member of c has m's machine.
func sharesAddress(c *Cluster, m *Member) bool {
	for _, o := range c.Members {
		if o == m {
			return false
		}
		if o.Address == m.Address && m.Connection.Type == "ssh" && o.Connection.Type == "ssh" {
			return true
		}
	}
	return false
}
