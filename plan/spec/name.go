package spec

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// label is a DNS label (RFC 1123) in lower case: it becomes part of paths,
// unit names and host names.
var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

func (l *loader) checkLabel(n *node) {
	if label.MatchString(n.label) {
		return
	}
	wayOut := "Choose another name."
	if better := toLabel(n.label); better != "" {
		wayOut = fmt.Sprintf("For example: %s %q", n.block.name, better)
	}
	what := n.block.name
	if strings.HasSuffix(what, "s") {
		what += " block"
	}
	l.fail(n.name, "Bad name", fmt.Sprintf("%q is no name for a %s: names have 1 to 63 lower-case letters, digits and dashes, with a letter or digit at both ends.", n.label, what), wayOut)
}

// toLabel is the label nearest to s, or "".
func toLabel(s string) string {
	s = noLabel.ReplaceAllString(strings.ToLower(s), "-")
	return strings.Trim(s[:min(len(s), 63)], "-")
}

var noLabel = regexp.MustCompile(`[^a-z0-9]`)

// address checks what clients and members dial, and returns it in canonical
// form: IP addresses as netip writes them, names in lower case.
func (l *loader) address(v value, whose string) string {
	s := v.text
	bad := func(cause, wayOut string) string {
		l.fail(v.at, "Bad address", fmt.Sprintf("%q cannot be the address of %s: %s.", s, whose, cause), wayOut)
		return ""
	}
	const example = `For example: address = "192.168.7.101" or address = "etcd1.example.com"`
	if ip, err := netip.ParseAddr(s); err == nil {
		ip = ip.Unmap()
		switch {
		case ip.Is4() && ip.IsLinkLocalUnicast():
			return bad("169.254.0.0/16 is link-local: a host gives it to itself while it has no other, and it means something only on one link", "Use an address that all members share and that stays, or a host name.")
		case ip.IsLinkLocalUnicast() && ip.Zone() == "":
			return bad("fe80::/10 is link-local: without a zone etcd cannot listen on it, and with one it means something only on one machine", "Use an address that all members share, or a host name.")
		case ip.Zone() != "":
			return bad("an address with a zone means something only on one machine", "Use an address that all members share, or a host name.")
		case ip.IsUnspecified():
			return bad("it stands for every address of a machine, so nobody can dial it", example)
		case ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			return bad("it is an address of many machines", example)
		}
		return ip.String()
	}
	if rest, ok := strings.CutPrefix(s, "["); ok {
		host, port, _ := strings.Cut(rest, "]")
		if _, err := netip.ParseAddr(host); err == nil {
			if port = strings.TrimPrefix(port, ":"); port != "" {
				return bad("it has a port", fmt.Sprintf("Write address = %q and client_port = %s.", host, port))
			}
			return bad("it is in brackets", fmt.Sprintf("Write address = %q.", host))
		}
	}
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		host := strings.TrimRight(rest, "/")
		if h, _, ok := strings.Cut(host, ":"); ok {
			host = h
		}
		return bad(fmt.Sprintf("it is a URL (%s)", scheme), fmt.Sprintf("Write address = %q; ports have attributes of their own.", host))
	}
	if host, port, ok := strings.Cut(s, ":"); ok && !strings.Contains(port, ":") {
		if port == "22" {
			return bad("it has a port, and 22 is SSH's", fmt.Sprintf("Write address = %q; another port for SSH is port in the connection block.", host))
		}
		return bad("it has a port", fmt.Sprintf("Write address = %q and client_port = %s.", host, port))
	}
	if _, err := netip.ParsePrefix(s); err == nil {
		return bad("it is a network", fmt.Sprintf("Write address = %q.", s[:strings.Index(s, "/")]))
	}
	if user, host, ok := strings.Cut(s, "@"); ok {
		return bad("it has a login name", fmt.Sprintf("Write address = %q, and user = %q in the connection block.", host, user))
	}
	if digitsAndDots.MatchString(s) {
		return bad("an IPv4 address has four numbers from 0 to 255", example)
	}
	if !hostName(s) {
		return bad("it is neither an IP address nor a host name", example)
	}
	return strings.ToLower(s)
}

var (
	hostLabel     = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?$`)
	digitsAndDots = regexp.MustCompile(`^[0-9.]+$`)
	digits        = regexp.MustCompile(`^[0-9]+$`)
)

// hostName reports whether s is a host name (RFC 1123). A last label of digits
// only is a mistyped IPv4 address (RFC 1123, 2.1).
func hostName(s string) bool {
	labels := strings.Split(s, ".")
	for _, p := range labels {
		if !hostLabel.MatchString(p) {
			return false
		}
	}
	return len(s) <= 253 && !digits.MatchString(labels[len(labels)-1])
}

func (l *loader) checkSANs(n *node) {
	v, ok := n.given("extra_sans")
	if !ok {
		return
	}
	for i, s := range v.texts {
		if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" || hostName(strings.TrimPrefix(s, "*.")) {
			continue
		}
		wayOut := `Write an IP address, a host name or a wildcard such as "*.example.com".`
		if _, rest, ok := strings.Cut(s, "://"); ok {
			wayOut = fmt.Sprintf("Write only the name: %q.", strings.Split(rest, ":")[0])
		}
		l.fail(v.element(i), "Bad extra SAN", fmt.Sprintf("%q cannot be in a server certificate: it is neither an IP address nor a DNS name.", s), wayOut)
	}
}
