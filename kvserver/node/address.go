package node

import (
	"net/netip"
	"net/url"
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

// HostPortOf is the host and the port of the first of some URLs; "" and 0 where it has none.
func HostPortOf(urls []string) (host string, port int) {
	if len(urls) == 0 {
		return "", 0
	}
	u, err := url.Parse(urls[0])
	if err != nil {
		return "", 0
	}
	port, _ = strconv.Atoi(u.Port()) // an absent one is 0
	return u.Hostname(), port
}
