package spec

import (
	"fmt"
	"net/netip"

	"github.com/hashicorp/hcl/v2"
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
	machine string
	port    int
	hosts   []string // addresses to listen on; "*" is every one
	what    string
	at      hcl.Range
}

// listeners of m, with the addresses that package templates makes it listen
// on: an IP address on itself, for clients also on 127.0.0.1 unless it is a
// loopback address; a host name on every address; metrics on 127.0.0.1.
func (l *loader) listeners(c *Cluster, m *Member) []listener {
	peer := []string{"*"}
	client := peer
	if ip, err := netip.ParseAddr(m.Address); err == nil {
		peer = []string{m.Address}
		client = peer
		if !ip.IsLoopback() {
			client = []string{m.Address, "127.0.0.1"}
		}
	}
	all := []listener{
		{port: m.ClientPort, hosts: client, what: "client_port"},
		{port: m.PeerPort, hosts: peer, what: "peer_port"},
		{port: m.MetricsPort, hosts: []string{"127.0.0.1"}, what: "metrics_port"},
	}
	for i := range all {
		all[i].machine, all[i].at = machine(m), l.places[place{m, all[i].what}]
		if all[i].at == m.Range {
			all[i].what = "by default " + all[i].what
		}
		all[i].what += fmt.Sprintf(" of member %q in cluster %q", m.Name, c.Name)
	}
	return all
}

// meets reports whether a and b cannot both be had. Two ports of one member
// are told apart even where their addresses would allow it.
func (a listener) meets(b listener, sameMember bool) bool {
	for _, x := range a.hosts {
		for _, y := range b.hosts {
			if sameMember || x == y || x == "*" || y == "*" {
				return true
			}
		}
	}
	return false
}

// checkPorts: no two listeners of one machine on one port.
func (l *loader) checkPorts(clusters []*Cluster) {
	type opened struct {
		listener
		member *Member
	}
	type key struct {
		machine string
		port    int
	}
	used := map[key][]opened{}
	for _, c := range clusters {
		seen := map[string]bool{}
		for _, m := range c.Members {
			if m.Address == "" || seen[m.Name] || sharesAddress(c, m) {
				continue // that is the complaint to make, and it has been made
			}
			seen[m.Name] = true
			for _, p := range l.listeners(c, m) {
				if p.port == 0 {
					continue
				}
				k := key{p.machine, p.port}
				for _, had := range used[k] {
					if p.meets(had.listener, had.member == m) {
						l.fail(p.at, "Port clash", fmt.Sprintf("Port %d of %s would be %s, and is %s, at %s.", p.port, p.machine, p.what, had.what, had.at),
							"Write another port for one of them.")
						break
					}
				}
				used[k] = append(used[k], opened{p, m})
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
