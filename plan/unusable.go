package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Way lists the folders in or below which something is written by name on the host, up to "/". Whoever can
// exchange one of them decides where that goes. The data folders themselves are not on it: they are the member's.
func (l Layout) Way() []string {
	var out []string
	for _, p := range []string{l.Manifest, l.KVServer, l.UnitFile, l.Lock, l.Data, l.WAL, l.Run, l.Log, l.backupState()} {
		for d := dirOf(p); d != "" && d != "/"; d = path.Dir(d) {
			out = append(out, d)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Written are the folders on whose file systems something is written on the host.
func (l Layout) Written() []string {
	out := []string{l.Config, l.Bin, path.Dir(l.UnitFile), path.Dir(l.Lock), l.Data}
	for _, dir := range []string{l.WAL, l.ScheduledDir} {
		if dir != "" {
			out = append(out, dir)
		}
	}
	return out
}

// unusable holds what keeps anything at all from being done on a host, the lock included: tools, folders that
// others may exchange, and file systems that cannot be written to, of those that the folders given are on.
func (m *member) unusable(folders []string) []Held {
	var out []Held
	add := func(r Reason, wayOut, format string, args ...any) {
		out = append(out, Held{Reason: r, Subject: m.Name, Detail: fmt.Sprintf(format, args...), WayOut: wayOut})
	}
	if missing := m.host.Missing; len(missing) > 0 {
		add(ToolMissing, "install it there", "the host lacks %s", strings.Join(missing, ", "))
	}
	for _, e := range m.host.Exposed {
		switch {
		case e.Nowhere:
			add(UnsafeFolder, "remove it, or make what it is to lead to", "%s is a link that leads nowhere", e.Path)
		case e.Owner != "":
			add(UnsafeFolder, "give it to root, or take another folder", "%s belongs to somebody else (%s), who could put another in its place", e.Path, e.Owner)
		default:
			add(UnsafeFolder, "chmod go-w "+e.Path, "others may write to %s, and could put something else in the place of what is in it", e.Path)
		}
	}
	on := map[string][]string{}
	for _, dir := range folders {
		if fs := m.host.Mounts[dir]; fs.Known && fs.ReadOnly {
			on[fs.Point] = append(on[fs.Point], dir)
		}
	}
	for _, point := range sortedKeys(on) {
		add(MountUnusable, "mount it for writing (mount -o remount,rw "+point+", and see /etc/fstab)",
			"%s is mounted read-only, and this is to be written there: %s", point, strings.Join(on[point], ", "))
	}
	return out
}
