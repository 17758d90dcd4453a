// Package node has the words that everybody who speaks of a member's machine
// shares, from the planner down to the server: it imports the standard library
// and nothing of this project.
package node

import (
	"net/netip"
	"time"
)

// Look is what one look at a machine gave: facts, and an entry for everything
// that was asked for. Nothing of it is a guess: what a machine cannot say
// is marked as unknown in the type at hand.
type Look struct {
	Facts    Facts
	Files    map[string]FileState // by path
	Dirs     map[string]DirState  // by path
	Units    map[string]UnitState
	Ports    map[int]PortState
	Accounts map[string]bool
	Space    map[string]int64      // free bytes by path
	Mounts   map[string]MountState // the file systems of the paths in Space
	Probes   map[string]ProbeState // by the probe's name
}

// Facts of a machine.
type Facts struct {
	OS       string // "linux", "darwin", as uname says, lower case
	Arch     string // Go's word: "amd64", "arm64", else what uname says
	Hostname string
	// Slow says what took long to begin on the connection, "" for nothing: a sudo, a login shell.
	Slow string
	// OneSession: its SSH server allows one session at a time on a connection.
	OneSession bool
	MachineID  string // of /etc/machine-id, "" if there is none. Cloned images share one.
	// Manager is "systemd", "supervise" or "" (none that we know).
	Manager string
	// ManagerVersion, for example "252".
	ManagerVersion string
	// Clock is the host's time at the moment the look returned; ClockError how far off that may be (half the round trip).
	Clock      time.Time
	ClockError time.Duration
	// Root says whether commands run with root's rights.
	Root bool
	// Missing are tools that the host lacks and that are needed ("flock", "gzip").
	Missing []string
	// Addresses are those of all interfaces, loopback included, without zone or prefix length, sorted;
	// nil: the machine could not say.
	Addresses []string
}

// FileState is what lies at a path.
type FileState struct {
	Exists bool
	Type   string // "file", "dir", "link", "other"
	Mode   uint32 // permission bits
	Owner  string // names, or numbers where there is no name
	Group  string
	Size   int64
	Digest string // sha256, hex; files only
	// Stamp identifies the file's state without reading it: device, inode, size, mtime and ctime in nanoseconds.
	Stamp   string
	Content []byte // when asked for
	// Exposed says of a folder or a link how what is in it, or what it leads to, could be exchanged.
	Exposed Exposure
}

// Exposure is a folder or link in which, or in whose place, somebody who is neither root nor who looks could
// put something else: it is theirs (a folder for all that is sticky is nobody's), or they may write to it.
type Exposure struct {
	Path    string // "": there is none. Of a link it may be a folder on the way to where that leads.
	Owner   string // whose it is; "": others may write to it
	Nowhere bool   // it is a link that leads nowhere
}

// DirState is what a folder holds.
type DirState struct {
	Exists bool
	// Empty: nothing is in it but a file system's lost+found.
	Empty bool
	// Member is etcd's own rule (wal.Exist): there are *.wal files in the folder that was named as its
	// WAL's, by default member/wal below it. A snap/db that a refused start has left is no member.
	Member bool
	// Entries are up to [EntryLimit] names of what is in it, sorted, lost+found left out; Count is how many there are.
	Entries []string
	Count   int
	// MountPoint: a file system begins here, so that it cannot be renamed.
	MountPoint   bool
	Owner, Group string // names, or numbers where there is no name
	Mode         uint32 // permission bits
	// Aside are the folders that its contents were moved to earlier, as absolute paths, sorted.
	Aside []string
}

// EntryLimit is how many names DirState.Entries has at most: enough to recognise what lies there.
const EntryLimit = 10

// UnitState is what the service manager and /proc say about a unit.
type UnitState struct {
	// Loaded: the manager knows the unit.
	Loaded bool
	// Active is systemd's word: active, activating, deactivating, inactive, failed; never empty when known.
	Active string
	// Sub is systemd's finer word: running, start, auto-restart, stop-sigterm, dead, failed, …
	Sub     string
	Enabled bool
	// Masked: the administrator forbade it (the unit file is a link to /dev/null).
	Masked bool
	// DropIns are the files that change the unit beside its own, sorted.
	DropIns []string
	// NeedReload: the unit file changed since the manager read it.
	NeedReload bool
	PID        int       // main process, 0 if none
	StartedAt  time.Time // of the main process, host's clock
	// Restarts counts how often the manager started it again by itself since it was last started on request.
	Restarts int
	// Since is when it came to be Active as it is, host's clock; zero if it never was anything else.
	Since time.Time
	// Result and ExitStatus are those of the last process that ended: "success", "exit-code", "signal",
	// "timeout", "oom-kill", …, and its exit code, or the signal's number.
	Result     string
	ExitStatus int
	// ExeDigest is the sha256 of the executable the process runs; ConfigDigest is [ConfigDigestEnv]
	// out of its environment. Empty when there is no process.
	ExeDigest, ConfigDigest string
	// Exe is the path it was started from.
	Exe string
	// Log is the end of the unit's log, and Cause the line that says why its last start failed: the first
	// of kvserver's own or of level error and above, else the last. Both only of a unit that is activating or failed.
	Log   string
	Cause string
}

// PortState says who listens on a TCP port.
type PortState struct {
	Known bool // false: this host cannot tell
	// Listeners, sorted by address.
	Listeners []PortListener
}

// PortListener is one socket that listens.
type PortListener struct {
	// Address is an IP address without zone; "0.0.0.0" and "::" are all of a family. "::" may also take IPv4's
	// connections; which, cannot be seen from outside, and Linux' default is that it does.
	Address string
	// PID of a process that has it, if it could be found, else 0; Process its name.
	PID     int
	Process string
}

// Listening reports whether anybody listens on the port, on whatever address.
func (p PortState) Listening() bool { return len(p.Listeners) > 0 }

// InTheWay are those who keep somebody else from listening on address: who has
// that address, or all of its family, or "::"; and everybody, if address is
// itself all of a family, empty, or a name, whose addresses are not known here.
func (p PortState) InTheWay(address string) []PortListener {
	want, err := netip.ParseAddr(address)
	if err != nil || want.IsUnspecified() {
		return p.Listeners
	}
	want = want.Unmap().WithZone("")
	var out []PortListener
	for _, l := range p.Listeners {
		have, err := netip.ParseAddr(l.Address)
		if err != nil || have.Unmap() == want || have.IsUnspecified() && (have.Is6() || want.Is4()) {
			out = append(out, l)
		}
	}
	return out
}

// MountState is the file system that a path is on, or would be.
type MountState struct {
	Known bool   // false: this host cannot tell
	Point string // where it is mounted
	Type  string // "ext4", "tmpfs", …
	// ReadOnly and NoExec are the mount's options.
	ReadOnly, NoExec bool
}

// ProbeState is what a read-only command said during the look.
type ProbeState struct {
	// Ran: it was started. Otherwise a condition of the probe did not hold, and nothing else is set.
	Ran bool
	// Code is its exit code, -1 if it was ended because it took too long.
	Code int
	// Stdout and Stderr, cut at the probe's limit.
	Stdout, Stderr []byte
	// Cut: there was more output than the limit.
	Cut bool
}
