package spec

import (
	"fmt"
	"path"
	"strings"

	hosts "quorate/kvserver/node" // a node is one of the spec's text here

	"github.com/dustin/go-humanize/english"
	"github.com/hashicorp/hcl/v2"
)

// cluster builds one cluster out of its block. Complaints do not stop it:
// what is wrong gets its default or stays empty.
func (l *loader) cluster(n *node) *Cluster {
	n.names = map[string]string{"cluster": n.label}
	l.checkLabel(n)
	c := &Cluster{Name: n.label, Dir: l.o.Dir, Range: n.at, Members: []*Member{}, Clients: []*Client{}}
	c.Protect = n.flag("protect")
	l.blocks[c] = n
	l.tls(n.one("tls"), c)
	l.server(n.one("server"), c)
	l.backup(n.one("backup"), c)
	conn := n.one("connection")
	l.checkConnection(conn, conn.text("type"))
	c.Connection = l.outside(conn, c)
	for i, m := range n.nodes["member"] {
		c.Members = append(c.Members, l.member(m, conn, c, i))
	}
	l.schedule(n, c)
	for _, h := range n.nodes["host"] {
		c.Hosts = append(c.Hosts, l.host(h, conn, c))
	}
	for _, k := range n.nodes["client"] {
		c.Clients = append(c.Clients, l.client(k, c))
	}
	for _, d := range n.nodes["dependents"] {
		c.Dependents = append(c.Dependents, l.dependents(d, c))
	}
	l.checkMembers(n, c)
	return c
}

func (l *loader) member(n, clusterConn *node, c *Cluster, index int) *Member {
	n.names = map[string]string{"cluster": c.Name, "member": n.label}
	l.checkLabel(n)
	m := &Member{
		Name:         n.label,
		ClientPort:   int(n.number("client_port")),
		PeerPort:     int(n.number("peer_port")),
		MetricsPort:  int(n.number("metrics_port")),
		ExtraSANs:    n.texts("extra_sans"),
		Protect:      n.flag("protect"),
		Range:        n.at,
		AddressRange: n.where("address"),
	}
	l.blocks[m] = n
	if v, ok := n.given("address"); ok {
		m.Address = l.address(v, fmt.Sprintf("member %q", n.label))
	}
	l.checkSANs(n)
	m.Connection = l.connection(n.one("connection"), clusterConn, m, c)
	if m.Connection.Type == "local" {
		// Members of one machine cannot share ports.
		if _, ok := n.given("client_port"); !ok {
			m.ClientPort += 10 * index
		}
		if _, ok := n.given("peer_port"); !ok {
			m.PeerPort += 10 * index
		}
		if top := max(m.ClientPort, m.PeerPort); top > 65535 {
			l.fail(n.at, "Port out of range", fmt.Sprintf("Member %q would get port %d by default.", m.Name, top), "Give it client_port and peer_port.")
		}
	} else {
		l.checkReachable(n, m)
	}
	return m
}

func (l *loader) client(n *node, c *Cluster) *Client {
	l.checkLabel(n)
	k := &Client{
		Name:         n.label,
		CommonName:   n.label,
		Organization: n.texts("organization"),
		Dir:          path.Join(c.TLS.Dir, "clients"),
		Range:        n.at,
	}
	if n.label == "ca" {
		l.fail(n.name, "Bad name", `Client "ca" would have its certificate in ca.pem, which is where the CA's goes.`, "Choose another name; common_name can still be \"ca\".")
	}
	if v, ok := n.given("common_name"); ok {
		k.CommonName = v.text
		// X.520 bounds commonName to 64 characters, and verifiers enforce it.
		if len(v.text) > 64 || strings.TrimSpace(v.text) != v.text {
			l.fail(v.at, "Bad common name", fmt.Sprintf("%q is no common name: those have at most 64 characters, and no space at either end.", v.text), "Shorten it.")
		}
	}
	if k.CommonName == hosts.PeerName {
		l.fail(n.where("common_name"), "Bad common name", fmt.Sprintf("%q is what the members know each other by: whoever shows it on their peer port is one of them.", hosts.PeerName), "Choose another one.")
	}
	if v, ok := n.given("organization"); ok {
		for i, o := range v.texts {
			if len(o) > 64 {
				l.fail(v.element(i), "Bad organization", fmt.Sprintf("%q is longer than the 64 characters that a certificate may hold.", o), "Shorten it.")
			}
		}
	}
	if v, ok := n.given("dir"); ok {
		k.Dir = l.localPath(v)
	}
	for _, i := range n.nodes["install"] {
		k.Install = append(k.Install, l.install(i))
	}
	l.blocks[k] = n
	return k
}

// localPath is a path on this side: cleaned, "~" expanded, still relative if it was.
func (l *loader) localPath(v value) string { return cleanPath(l.home(v.text)) }

// cleanPath is path.Clean, which would turn "./x" into "x" and keep "" away.
func cleanPath(p string) string {
	if p == "" {
		return ""
	}
	return path.Clean(p)
}

// Path is p, a path of the spec on the operator's side, as it can be opened:
// a relative one starts from c.Dir.
func (c *Cluster) Path(p string) string {
	if p == "" || path.IsAbs(p) || p == "~" || strings.HasPrefix(p, "~/") {
		return p
	}
	return path.Join(c.Dir, p)
}

// checkMembers looks at the members together.
func (l *loader) checkMembers(n *node, c *Cluster) {
	distinct := l.duplicates("member", n.nodes["member"])
	l.duplicates("client", n.nodes["client"])
	l.duplicates("host", n.nodes["host"])
	l.duplicates("dependents", n.nodes["dependents"])
	if l.incomplete || n.broken || !distinct {
		return // not all members are known
	}
	switch count := len(c.Members); {
	case count == 0:
		l.fail(n.at, "No members", fmt.Sprintf("Cluster %q has no member.", c.Name), "Add one to three: member \"etcd1\" { address = \"192.168.7.101\" }")
	case count%2 == 0:
		l.warn(n.at, "Even number of voters", fmt.Sprintf("Cluster %q has %s; it tolerates %s, no more than %d would, and one more machine can fail.", c.Name, voters(count), failures(count), count-1),
			fmt.Sprintf("Use %d, or %d to tolerate %s.", count-1, count+1, failures(count+1)))
	case count > 7:
		// etcd's FAQ: "a cluster of more than seven nodes" is not advised, since every write goes to a majority.
		l.warn(n.at, "Many voters", fmt.Sprintf("Cluster %q has %s; every write waits for %d of them.", c.Name, voters(count), count/2+1), "Five tolerate 2 failures and seven 3; more only slow it down.")
	}
}

func voters(n int) string { return english.Plural(n, "voter", "voters") }

func failures(voters int) string {
	if voters < 3 {
		return "no failure"
	}
	return english.Plural((voters-1)/2, "failure", "failures")
}

// duplicates complains about equal labels, and reports whether there are none.
func (l *loader) duplicates(what string, nodes []*node) bool {
	first := map[string]hcl.Range{}
	for _, n := range nodes {
		if had, ok := first[n.label]; ok {
			l.fail(n.name, "Duplicate "+what, fmt.Sprintf("There is a %s %q already, at %s.", what, n.label, had), "Rename one of them, or remove it.")
			continue
		}
		first[n.label] = n.at
	}
	return len(first) == len(nodes)
}
