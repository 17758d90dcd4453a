package plan

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/plan/spec"
)

// Layout is where everything of one member lies on its host. Every path is
// absolute; on a local host all of them are under the connection's root.
type Layout struct {
	Root      string // "" or the folder that stands for "/"
	Config    string // folder: /etc/quorate/<cluster>
	Manifest  string
	EtcdYAML  string // what the member runs with
	Bootstrap string // read only while the data directory has no member; gone once the member has served
	Mark      string // there once the member has served
	Restore   string // there while a restore is unfinished
	PKI       string // folder
	CA        string
	Bin       string // folder
	KVServer  string
	Etcd      string // upstream release, when the spec asks for one
	Data, WAL string // folders of the spec's; WAL "" when it is inside Data
	// WALFiles is where etcd keeps its WAL when the spec gives it a folder of its own: one below, since
	// etcd makes a <name>.tmp beside its WAL directory and renames it (wal.Create), which can be
	// done neither in a folder of root's nor over a mount point.
	WALFiles string
	UnitFile string
	Unit     string // what the service manager is asked for
	Lock     string
	Backups  string // folder of backups; a destroy leaves it
	// BackupConfig, BackupService and BackupTimer are of the backups that the host takes by itself: a file, and two units. A dot is in no
	// cluster's name, so no member's unit is called like them. "" on a local host.
	BackupConfig, BackupService, BackupTimer string
	// ScheduledDir is Backups where the host takes some by itself; "" where it takes none.
	ScheduledDir string
	Log, Run     string // local hosts: the supervisor's log file and state folder
}

// Key and Cert are the files of one profile.
func (l Layout) Key(p string) string  { return path.Join(l.PKI, p+"-key.pem") }
func (l Layout) Cert(p string) string { return path.Join(l.PKI, p+".pem") }

// LayoutOf places a member's files.
func LayoutOf(c *spec.Cluster, m *spec.Member) Layout {
	root := ""
	if m.Connection.Type == "local" {
		root = m.Connection.Root
		if !path.IsAbs(root) {
			root = path.Join(c.Dir, root)
		}
	}
	etc := path.Join(root+"/", "etc/quorate", c.Name)
	l := Layout{
		Root:      root,
		Config:    etc,
		Manifest:  path.Join(etc, "manifest.json"),
		EtcdYAML:  path.Join(etc, "etcd.yaml"),
		Bootstrap: path.Join(etc, "bootstrap.yaml"),
		Mark:      path.Join(etc, "formed.json"),
		Restore:   path.Join(etc, kvserver.RestoreFile),
		PKI:       path.Join(etc, "pki"),
		CA:        path.Join(etc, "pki/ca.pem"),
		Bin:       path.Join(root+"/", "opt/quorate", c.Name),
		Data:      path.Join(root+"/", c.Server.DataDir),
		Unit:      "quorate-" + c.Name + ".service",
		Lock:      path.Join("/run/quorate", c.Name, "lock"),
		Backups:   path.Join(root+"/", c.Backup.Dir),
	}
	l.KVServer = path.Join(l.Bin, "kvserver")
	l.Etcd = path.Join(l.Bin, "etcd")
	if c.Server.WALDir != "" {
		l.WAL = path.Join(root+"/", c.Server.WALDir)
		l.WALFiles = path.Join(l.WAL, "wal")
	}
	l.UnitFile = l.unitFile(l.Unit)
	if m.Connection.Type != "local" {
		l.BackupConfig = path.Join(etc, "backup.json")
		l.BackupService, l.BackupTimer = "quorate-"+c.Name+".backup.service", "quorate-"+c.Name+".backup.timer"
		if c.Backup.Schedule != nil {
			l.ScheduledDir = l.Backups
		}
	} else {
		l.UnitFile = path.Join(etc, "service.json")
		l.Unit = l.UnitFile
		l.Lock = root + ".lock" // beside the root, so that it outlives a destroy
		l.Run = path.Join(root, "run")
		l.Log = path.Join(root, "var/log/quorate-"+c.Name+".log")
	}
	return l
}

// peerURL is what the other members dial.
func peerURL(m *spec.Member) string { return node.URL("https", m.Address, m.PeerPort) }

// Ancestors are a folder and those above it, the deepest first, as far as they
// can be of quorate's making: below "/", or from a local host's root on.
func (l Layout) Ancestors(dir string) []string {
	var out []string
	for p := dir; p != "/" && p != "." && (l.Root == "" || p == l.Root || strings.HasPrefix(p, l.Root+"/")); p = path.Dir(p) {
		out = append(out, p)
	}
	return out
}

// Folders are those whose existence decides what a first apply makes: every
// ancestor of what lies on the host.
func (l Layout) Folders() []string {
	var out []string
	for _, dir := range []string{l.Config, l.PKI, l.Bin, l.Data, l.WAL, l.Run, path.Dir(l.UnitFile), dirOf(l.Log), l.ScheduledDir} {
		if dir != "" {
			out = append(out, l.Ancestors(dir)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func dirOf(file string) string {
	if file == "" {
		return ""
	}
	return path.Dir(file)
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}

// texts are what text says of each element of list, in its order.
func texts[T any](list []T, text func(T) string) []string {
	var out []string
	for _, e := range list {
		out = append(out, text(e))
	}
	return out
}

// groups says who belongs to what: "etcd1, etcd2: 3f; etcd3: 4a", in the order of the keys.
func groups[K cmp.Ordered](by map[K][]string, key func(K) string, separator string) string {
	return strings.Join(texts(sortedKeys(by), func(k K) string { return strings.Join(by[k], ", ") + ": " + key(k) }), separator)
}

func or(s, other string) string {
	if strings.TrimSpace(s) == "" {
		return other
	}
	return s
}

// short is the head of a digest, enough to tell two apart.
func short(digest string) string {
	if archive, ok := strings.CutPrefix(digest, fromArchive); ok {
		return "out of archive " + short(archive)
	}
	if len(digest) > 12 {
		return digest[:12]
	}
	return or(digest, "none")
}
