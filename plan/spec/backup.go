package spec

import (
	"fmt"
	"slices"
)

// backup fills c.Backup.
func (l *loader) backup(n *node, c *Cluster) {
	c.Backup = Backup{Dir: cleanPath(n.text("dir")), Keep: int(n.number("keep"))}
	l.checkHostPath(n, "dir", "backups need a folder of their own", "/var/backups/etcd")
	for _, of := range []string{c.Server.DataDir, c.Server.WALDir} {
		if of != "" && !slices.Contains(wholeFolders, of) && !n.bad("dir") && (within(c.Backup.Dir, of) || within(of, c.Backup.Dir)) {
			l.fail(n.where("dir"), "Bad path", fmt.Sprintf("Backups in %s and the member's data in %s would lie in one another.", c.Backup.Dir, of), "Give backups a folder of their own, best on another disk.")
			break
		}
	}
	if n.has("encryption") {
		c.Backup.Encryption = l.encryption(n.one("encryption"), "backup", false)
	}
}

// schedule fills c.Backup.Schedule, where there is a backup block: without one, hosts take no backups by themselves. The members are known.
func (l *loader) schedule(cluster *node, c *Cluster) {
	n := cluster.one("backup")
	s := &Schedule{
		Interval: n.value("interval").span, Copies: int(n.number("copies")), Prove: n.text("prove"), TextfileDir: cleanPath(n.text("textfile_dir")),
	}
	l.checkHostPath(n, "textfile_dir", "its file would be among others' things", "/var/lib/prometheus/node-exporter")
	if !cluster.has("backup") || s.Interval == 0 || n.bad("interval") {
		return
	}
	c.Backup.Schedule = s
	if s.Interval < ShortestInterval {
		l.fail(n.where("interval"), "Bad interval", fmt.Sprintf("Backups every %s are more than a host should be given to do.", s.Interval), "Take 1m or more; 0s is never.")
	}
	if s.TextfileDir != "" && within(s.TextfileDir, c.Backup.Dir) {
		l.fail(n.where("textfile_dir"), "Bad path", fmt.Sprintf("The node exporter reads what is in %s, and backups in %s are for nobody but root.", s.TextfileDir, c.Backup.Dir), "Give the node exporter a folder of its own.")
	}
	remote := slices.ContainsFunc(c.Members, func(m *Member) bool { return m.Connection.Type != "local" })
	if e := c.Backup.Encryption; remote && e != nil && n.one("encryption").values["passphrase"].given {
		l.fail(n.one("encryption").where("passphrase"), "Passphrase for a timer", "A host that takes backups by itself would have to keep the passphrase, and whoever gets at the one gets at the other.",
			`Encrypt them for recipients, whose private key no host has; or have hosts take none by themselves: interval = "0s".`)
	}
}
