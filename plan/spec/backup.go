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
