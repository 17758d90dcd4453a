package node

import "net/netip"

// Listener is a port that a member listens on.
type Listener struct {
	// What it is for: client, peer or metrics.
	What string
	// Hosts are the IP addresses that it binds; 0.0.0.0 is every one.
	Hosts []string
	Port  int
}

// Listeners of a member with that address. An IP address listens on itself
// and, for clients, on 127.0.0.1, so that tools on the host need no name. A
// loopback address listens alone: several members of one machine may have
// 127.0.0.2, 127.0.0.3 … and must not meet on 127.0.0.1. A host name listens on
// 0.0.0.0, since etcd binds to IP addresses only ("expected IP in URL for
// binding") and what the name means is known to the host alone. Metrics are for
// 127.0.0.1. A port of 0 is none.
func Listeners(address string, client, peer, metrics int) []Listener {
	hosts := []string{address}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		hosts = []string{"0.0.0.0"}
	}
	clients := hosts
	if err == nil && !ip.IsUnspecified() && !ip.IsLoopback() {
		clients = []string{address, "127.0.0.1"}
	}
	var out []Listener
	for _, l := range []Listener{{"client", clients, client}, {"peer", hosts, peer}, {"metrics", []string{"127.0.0.1"}, metrics}} {
		if l.Port != 0 {
			out = append(out, l)
		}
	}
	return out
}

// Meets reports whether two listeners cannot both be had on one machine.
func (l Listener) Meets(o Listener) bool {
	if l.Port != o.Port {
		return false
	}
	for _, x := range l.Hosts {
		for _, y := range o.Hosts {
			if x == y || everyOne(x) || everyOne(y) {
				return true
			}
		}
	}
	return false
}

func everyOne(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsUnspecified()
}
