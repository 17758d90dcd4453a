package spec

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// host builds a machine that is no member.
func (l *loader) host(n, clusterConn *node, c *Cluster) *Host {
	n.names = map[string]string{"cluster": c.Name, "member": n.label}
	l.checkLabel(n)
	h := &Host{Name: n.label, Range: n.at, AddressRange: n.where("address")}
	l.blocks[h] = n
	if v, ok := n.given("address"); ok {
		h.Address = l.address(v, fmt.Sprintf("host %q", n.label))
	}
	h.Connection = l.connection(n.one("connection"), clusterConn, &Member{Name: h.Name, Address: h.Address}, c)
	return h
}

var (
	// unitName is what systemctl takes for a service, with or without its suffix.
	unitName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:_.@\\-]*$`)
	// ownerName is an account of a machine, or a number.
	ownerName = regexp.MustCompile(`^([a-z_][a-z0-9_-]{0,30}|[0-9]{1,9})$`)
)

// install builds where a client is put. Which machines there are is for [loader.checkInstalls] to say.
func (l *loader) install(n *node) *Install {
	i := &Install{Hosts: n.texts("hosts"), Dir: cleanPath(n.text("dir")), Range: n.at}
	l.blocks[i] = n
	if v, ok := n.given("hosts"); ok && len(v.texts) == 0 {
		l.fail(v.at, "No hosts", "The list of hosts is empty, so the client would be put nowhere.", "Name the machines, or leave the install block out.")
	}
	if v, ok := n.given("dir"); ok {
		switch {
		case !path.IsAbs(v.text):
			l.fail(v.at, "Bad folder", fmt.Sprintf("%q is no absolute path.", v.text), `For example: dir = "/etc/kubernetes/pki/etcd"`)
		case strings.Count(i.Dir, "/") < 2 || slices.Contains(strings.Split(v.text, "/"), ".."):
			l.fail(v.at, "Bad folder", fmt.Sprintf("%s is no folder for one client's files.", v.text), `Name one of its own, for example: dir = "/etc/kubernetes/pki/etcd"`)
		case strings.ContainsFunc(v.text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }):
			l.fail(v.at, "Bad folder", fmt.Sprintf("%q has a control character or a backslash in it.", v.text), "Name another folder.")
		}
	}
	user, group, both := strings.Cut(n.text("owner"), ":")
	if !both {
		group = user
	}
	if v, ok := n.given("owner"); ok && (!ownerName.MatchString(user) || !ownerName.MatchString(group)) {
		l.fail(v.at, "Bad owner", fmt.Sprintf("%q is neither an account's name nor one with a group's.", v.text), `For example: owner = "kube" or owner = "kube:kube"`)
	}
	i.User, i.Group = user, group
	i.Restart = l.units(n, "restart")
	return i
}

// checkHosts: each host block is a machine of its own, and none is a member.
func (l *loader) checkHosts(c *Cluster) {
	type machine struct{ what, name string }
	byName, byAddress := map[string]machine{}, map[string]machine{}
	for _, m := range c.Members {
		byName[m.Name] = machine{"member", m.Name}
		if m.Address != "" && m.Connection.Type == "ssh" {
			byAddress[m.Address] = byName[m.Name]
		}
	}
	seen := map[string]bool{}
	for _, h := range c.Hosts {
		if had, ok := byName[h.Name]; ok {
			l.fail(l.blocks[h].name, "Duplicate name", fmt.Sprintf("There is a %s %q already; in install blocks members and hosts are named alike.", had.what, had.name), "Rename the host; if it is the same machine, remove the block and name the member.")
			continue
		}
		if seen[h.Name] || h.Address == "" || h.Connection.Type != "ssh" {
			continue // that it is there twice has been said
		}
		seen[h.Name] = true
		if had, ok := byAddress[h.Address]; ok {
			l.fail(h.AddressRange, "Duplicate address", fmt.Sprintf("Host %q has the address of %s %q, %s.", h.Name, had.what, had.name, h.Address), fmt.Sprintf("Remove the block, and name %q in the install blocks.", had.name))
			continue
		}
		byAddress[h.Address] = machine{"host", h.Name}
	}
}

// checkInstalls: the machines are there, and no folder of a machine is given to two clients, of whichever cluster.
func (l *loader) checkInstalls(clusters []*Cluster) {
	type place struct{ machine, dir string }
	owner := map[place]*Client{}
	for _, c := range clusters {
		for _, k := range c.Clients {
			for _, i := range k.Install {
				n := l.blocks[i]
				l.checkInstallFolder(c, i, n)
				for _, m := range l.machinesOf(c, i.Hosts, n) {
					p := place{m.Address, i.Dir}
					if m.Connection.Type == "local" {
						p.machine = c.Path(m.Connection.Root)
						if len(i.Restart) > 0 {
							l.fail(n.where("restart"), "Units on a local host", fmt.Sprintf("%q is local, and has no units to be restarted.", m.Name), "Leave restart out.")
						}
					}
					if had := owner[p]; had != nil && p.machine != "" && p.dir != "" {
						l.fail(n.where("dir"), "Shared folder", fmt.Sprintf("%s on %q is where client %q is installed already, at %s.", i.Dir, m.Name, had.Name, had.Range), "Give each client a folder of its own there.")
					}
					owner[p] = k
				}
			}
		}
	}
}

// machinesOf are the machines that a block's hosts name, each once.
func (l *loader) machinesOf(c *Cluster, hosts []string, n *node) []*Member {
	var names []string
	for _, m := range c.Members {
		names = append(names, m.Name)
	}
	for _, h := range c.Hosts {
		names = append(names, h.Name)
	}
	at := n.value("hosts")
	var out []*Member
	seen := map[string]bool{}
	for e, name := range hosts {
		m := c.Machine(name)
		switch {
		case m == nil && l.incomplete: // it may be one of those that could not be read
		case m == nil:
			l.fail(at.element(e), "Unknown host", fmt.Sprintf("Cluster %q has neither a host nor a member %q.%s", c.Name, name, didYouMean(name, names)), fmt.Sprintf("Name one that there is, or add it: host %q { address = \"192.168.7.111\" }", name))
		case seen[name]:
			l.fail(at.element(e), "Duplicate host", fmt.Sprintf("%q is there already.", name), "Remove one of them.")
		default:
			out = append(out, m)
		}
		seen[name] = true
	}
	return out
}

// checkInstallFolder: what belongs to a member is no place for a client.
func (l *loader) checkInstallFolder(c *Cluster, i *Install, n *node) {
	for _, dir := range []string{c.Server.DataDir, c.Server.WALDir, "/etc/quorate", "/opt/quorate", "/run/quorate"} {
		if dir != "" && i.Dir != "" && within(i.Dir, dir) {
			l.fail(n.where("dir"), "Bad folder", fmt.Sprintf("%s lies in %s, where the members' own files are.", i.Dir, dir), "Name another folder.")
			return
		}
	}
}
