package node

import (
	"net/netip"
	"strconv"
)

// URL of an address and port.
func URL(scheme, address string, port int) string { return scheme + "://" + HostPort(address, port) }

// HostPort joins an address and a port, with brackets around an IPv6 address.
func HostPort(address string, port int) string {
	if a, err := netip.ParseAddr(address); err == nil && a.Is6() {
		address = "[" + address + "]"
	}
	return address + ":" + strconv.Itoa(port)
}
