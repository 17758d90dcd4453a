package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// checkClusters looks at all clusters together: names, and what they would
// fight over on hosts and on this side.
func (l *loader) checkClusters(clusters []*Cluster) {
	first := map[string]*Cluster{}
	var distinct []*Cluster
	for _, c := range clusters {
		if had := first[c.Name]; had != nil {
			l.fail(c.Range, "Duplicate cluster", fmt.Sprintf("There is a cluster %q already, at %s.", c.Name, had.Range), "Rename one of them, or remove it.")
			continue // everything of it would clash
		}
		first[c.Name] = c
		distinct = append(distinct, c)
	}
	for _, c := range distinct {
		l.checkAddresses(c)
		l.checkHosts(c)
		l.checkDependents(c)
	}
	l.checkInstalls(distinct)
	l.checkPorts(distinct)
	l.checkDataDirs(distinct)
	l.checkRoots(distinct)
	l.checkPKI(distinct)
}

// checkAddresses: over SSH each member has a machine of its own.
func (l *loader) checkAddresses(c *Cluster) {
	byAddress, byHost := map[string]*Member{}, map[string]*Member{}
	for _, m := range c.Members {
		if m.Address == "" || m.Connection.Type != "ssh" {
			continue
		}
		if had := byAddress[m.Address]; had != nil && had.Name != m.Name {
			l.fail(m.AddressRange, "Duplicate address", fmt.Sprintf("Member %q has the address of member %q, %s; a machine that fails would take both away.", m.Name, had.Name, m.Address), "Give each member a machine of its own.")
			continue
		}
		byAddress[m.Address] = m
		host := fmt.Sprintf("%s:%d", strings.ToLower(m.Connection.Host), m.Connection.Port)
		if had := byHost[host]; had != nil && had.Name != m.Name {
			l.fail(m.Range, "Duplicate host", fmt.Sprintf("Members %q and %q have different addresses and are reached through the same host, %s.", had.Name, m.Name, m.Connection.Host), "Give each member's connection its own host.")
			continue
		}
		byHost[host] = m
	}
}

// checkDataDirs: no two clusters' folders on one machine in one another. Local
// hosts have a root each.
func (l *loader) checkDataDirs(clusters []*Cluster) {
	type folder struct {
		path, what string
		cluster    *Cluster
	}
	byMachine := map[string][]folder{}
	told := map[string]bool{}
	for _, c := range clusters {
		for _, m := range c.Members {
			if m.Connection.Type != "ssh" || m.Address == "" {
				continue
			}
			for _, f := range []folder{{c.Server.DataDir, "data_dir", c}, {c.Server.WALDir, "wal_dir", c}} {
				if f.path == "" {
					continue
				}
				for _, had := range byMachine[m.Address] {
					key := had.cluster.Name + " " + had.what + " " + c.Name + " " + f.what
					if had.cluster != c && !told[key] && (within(f.path, had.path) || within(had.path, f.path)) {
						told[key] = true
						l.fail(l.blocks[c].one("server").where(f.what), "Shared folder", fmt.Sprintf("On %s, %s of cluster %q (%s) and %s of cluster %q (%s) lie in one another.", m.Address, f.what, c.Name, f.path, had.what, had.cluster.Name, had.path),
							"Give each cluster folders of its own; the default is one.")
					}
				}
				byMachine[m.Address] = append(byMachine[m.Address], f)
			}
		}
	}
}

// checkRoots: no two local hosts in one another.
func (l *loader) checkRoots(clusters []*Cluster) {
	type root struct {
		path   string
		member *Member
	}
	var roots []root
	for _, c := range clusters {
		machines := slices.Clone(c.Members)
		for _, h := range c.Hosts {
			machines = append(machines, c.Machine(h.Name))
		}
		for _, m := range machines {
			if m.Connection.Type != "local" {
				continue
			}
			p := c.Path(m.Connection.Root)
			for _, had := range roots {
				if (within(p, had.path) || within(had.path, p)) && had.member.Name+had.path != m.Name+p {
					l.fail(m.Range, "Shared root", fmt.Sprintf("The root of %q, %s, and that of %q, %s, lie in one another.", m.Name, p, had.member.Name, had.path), "Give each connection a root of its own, or leave root out.")
					break
				}
			}
			roots = append(roots, root{p, m})
		}
	}
}

// checkPKI: no two clusters write their CA, or a CA's certificate, into one folder.
func (l *loader) checkPKI(clusters []*Cluster) {
	owner := map[string]*Cluster{}
	claim := func(c *Cluster, dir, what string, at hcl.Range) {
		dir = path.Clean(c.Path(dir))
		if had := owner[dir]; had != nil && had != c {
			l.fail(at, "Shared folder", fmt.Sprintf("%s of cluster %q is %s, where cluster %q keeps its ca.pem.", what, c.Name, dir, had.Name), "Give each cluster a folder of its own. (A CA for all of them is named by ca_cert and ca_key.)")
			return
		}
		owner[dir] = c
	}
	for _, c := range clusters {
		claim(c, c.TLS.Dir, "dir in tls", l.blocks[c].one("tls").where("dir"))
	}
	for _, c := range clusters {
		for _, k := range c.Clients {
			claim(c, k.Dir, fmt.Sprintf("dir of client %q", k.Name), l.blocks[k].where("dir"))
		}
	}
}
