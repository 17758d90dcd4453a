package posix

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"quorate/kvserver/node"
	"quorate/provision/host"
)

// answer is what look.sh or service.sh said, in Go's types.
type answer struct {
	facts    host.Facts
	uid      string // whose name it was given in
	files    map[string]host.FileState
	real     map[string]string // where a link leads, without any on the way
	digests  map[string]string // by path, /proc/PID/exe among them
	contents map[string][]byte
	dirs     map[string]host.DirState
	units    []host.UnitState  // in the order asked for
	exes     map[string]string // stamp by /proc/PID/exe
	links    map[string]string // path by /proc/PID/exe
	environ  map[string]string // configuration digest by /proc/PID/environ
	accounts map[string]bool
	space    map[string]int64
	cause    []string
	logs     map[string][]string // lines by unit
	mounts   map[string]string   // mount point by path, as df has it
	kernel   []mount
	local    []string // addresses
	probes   map[string]host.ProbeState

	// Of the folder whose line comes next.
	entries []string
	aside   []string
	logged  string // the unit whose log's lines come

	listeners bool                 // whether the host could tell
	sockets   map[int][]socket     // by port
	owners    map[string][2]string // pid and name by inode
}

func newAnswer() *answer {
	return &answer{
		files: map[string]host.FileState{}, real: map[string]string{}, digests: map[string]string{}, contents: map[string][]byte{},
		dirs: map[string]host.DirState{}, exes: map[string]string{}, links: map[string]string{}, environ: map[string]string{},
		accounts: map[string]bool{}, space: map[string]int64{}, mounts: map[string]string{}, probes: map[string]host.ProbeState{},
		logs: map[string][]string{}, sockets: map[int][]socket{}, owners: map[string][2]string{},
	}
}

// parseAnswer reads an answer strictly: a line that it does not understand is an error.
func parseAnswer(body []byte) (*answer, error) {
	a := newAnswer()
	var contents []string
	for len(body) > 0 {
		var raw []byte
		raw, body, _ = bytes.Cut(body, []byte("\n"))
		line := string(raw)
		kind, rest, _ := strings.Cut(line, "\t")
		var err error
		switch kind {
		case "units":
			body, err = a.unitLines(body)
		case "env":
			body, err = a.envLines(body)
		case "kernel":
			body, err = a.kernelLines(body)
		case "probe":
			body, err = a.probeLines(rest, body)
		case "content":
			contents = append(contents, rest)
		case "raw":
			return a, a.raw(contents, body)
		default:
			err = a.line(kind, rest)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot understand the answer %.200q: %w", line, err)
		}
	}
	return a, nil
}

// fields are how many each kind of line has.
var fields = map[string]int{
	"facts": 4, "machine": 1, "missing": 1, "systemd": 1, "file": 8, "real": 2, "exe": 2, "link": 1, "sha": 1, "dir": 4, "entry": 1, "aside": 1, "mount": 2, "journal": 1,
	"listeners": 1, "tcp": 3, "owner": 3, "bsd": 1, "account": 2, "space": 2, "clock": 1, "cause": 1, "log": 1,
}

func (a *answer) line(kind, rest string) error {
	want := fields[kind]
	f := strings.SplitN(rest, "\t", want) // the last field may hold anything
	if want == 0 || len(f) != want {
		return fmt.Errorf("%d fields", len(f))
	}
	switch kind {
	case "facts":
		a.facts.OS, a.facts.Arch, a.facts.Root, a.facts.Hostname = strings.ToLower(f[0]), goArch(f[1]), f[2] == "0", f[3]
		a.uid = f[2]
	case "machine":
		a.facts.MachineID = f[0]
	case "missing":
		a.facts.Missing = append(a.facts.Missing, f[0])
	case "systemd":
		a.facts.Manager, a.facts.ManagerVersion = "systemd", f[0]
	case "file":
		return a.file(f)
	case "real":
		a.real[f[1]] = f[0]
	case "exe":
		a.exes[f[1]] = f[0]
	case "link":
		from, to, _ := strings.Cut(rest, " -> ")
		a.links[strings.Trim(from, "'")] = strings.Trim(to, "'")
	case "sha":
		digest, path, ok := strings.Cut(rest, "  ")
		if sum, err := hex.DecodeString(digest); !ok || err != nil || len(sum) != sha256.Size {
			return fmt.Errorf("no digest")
		}
		a.digests[path] = digest
	case "dir":
		return a.dir(f)
	case "entry":
		a.entries = append(a.entries, f[0])
	case "aside":
		a.aside = append(a.aside, f[0])
	case "mount":
		a.mounts[f[1]] = f[0]
	case "listeners":
		a.listeners = true
	case "tcp":
		p, err := strconv.ParseUint(f[0], 16, 16)
		if err != nil {
			return err
		}
		address, err := procAddress(f[1])
		a.sockets[int(p)] = append(a.sockets[int(p)], socket{address, f[2]})
		return err
	case "owner":
		a.owners[f[0]] = [2]string{f[1], f[2]}
	case "bsd":
		return a.bsdSocket(rest)
	case "account":
		a.accounts[f[1]] = f[0] == "yes"
	case "space":
		n, err := strconv.ParseInt(f[0], 10, 64)
		a.space[f[1]] = n
		return err
	case "clock":
		t, err := parseClock(f[0])
		a.facts.Clock = t
		return err
	case "cause":
		a.cause = append(a.cause, f[0])
	case "journal":
		a.logged = f[0]
		a.logs[f[0]] = nil
	case "log":
		a.logs[a.logged] = append(a.logs[a.logged], f[0])
	default:
		return fmt.Errorf("unknown word %q", kind)
	}
	return nil
}

// dir reads whether it exists, how many entries it has, whether it holds a
// member, and its path; what its stat said has come before.
func (a *answer) dir(f []string) error {
	n, err := number(f[1])
	if err != nil {
		return err
	}
	if n < len(a.entries) || slices.ContainsFunc(a.entries, func(name string) bool { return name == "" || strings.Contains(name, "/") }) ||
		slices.ContainsFunc(a.aside, func(p string) bool { return path.Dir(p) != path.Join(f[3], host.AsideDir) }) {
		return fmt.Errorf("%d entries, told as %.200q and %.200q", n, a.entries, a.aside)
	}
	s := host.DirState{Exists: f[0] == "yes"}
	if s.Exists {
		here, above := a.files[f[3]+"/."], a.files[f[3]+"/.."]
		if !here.Exists || !above.Exists {
			return &movingError{f[3]}
		}
		slices.Sort(a.entries)
		slices.Sort(a.aside)
		s.Empty, s.Member, s.Count = n == 0, f[2] == "member", n
		s.Entries, s.Aside = a.entries[:min(len(a.entries), node.EntryLimit):min(len(a.entries), node.EntryLimit)], a.aside
		s.Owner, s.Group, s.Mode = here.Owner, here.Group, here.Mode
		device, inode := identity(here.Stamp)
		device2, inode2 := identity(above.Stamp)
		s.MountPoint = device != device2 || inode == inode2 // the root is its own parent
	}
	a.dirs[f[3]], a.entries, a.aside = s, nil, nil
	return nil
}

// identity is the device and the inode of a stamp.
func identity(stamp string) (device, inode string) {
	device, rest, _ := strings.Cut(stamp, ":")
	inode, _, _ = strings.Cut(rest, ":")
	return device, inode
}

// file reads mode, uid, gid, user, group, size, stamp and path.
func (a *answer) file(f []string) error {
	mode, err := strconv.ParseUint(f[0], 16, 32)
	if err != nil {
		return err
	}
	size, err := strconv.ParseInt(f[5], 10, 64)
	if err != nil || size < 0 {
		return fmt.Errorf("a size of %q", f[5])
	}
	s := host.FileState{Exists: true, Mode: uint32(mode & 0o7777), Owner: f[3], Group: f[4], Size: size, Stamp: f[6]}
	if s.Owner == "UNKNOWN" {
		s.Owner = f[1]
	}
	if s.Group == "UNKNOWN" {
		s.Group = f[2]
	}
	switch mode & 0o170000 {
	case 0o100000:
		s.Type = "file"
	case 0o040000:
		s.Type, s.Size = "dir", 0
	case 0o120000:
		s.Type = "link"
	default:
		s.Type = "other"
	}
	// The rule is that of prelude.sh's trust.
	switch shared := mode&0o1000 == 0 && (mode&0o002 != 0 || mode&0o020 != 0 && f[2] != "0"); {
	case s.Type != "dir" && s.Type != "link":
	case f[1] != "0" && f[1] != a.uid:
		s.Exposed = host.Exposure{Path: f[7], Owner: s.Owner}
	case s.Type == "dir" && shared:
		s.Exposed = host.Exposure{Path: f[7]}
	}
	a.files[f[7]] = s
	return nil
}

// exposed is how the folder or link at p is: a link by itself, and by all that is on the way to where it leads.
func (a *answer) exposed(p string) host.Exposure {
	s := a.files[p]
	if s.Type != "link" || s.Exposed.Path != "" {
		return s.Exposed
	}
	to, ok := a.real[p]
	if !ok || !path.IsAbs(to) || !a.files[to].Exists && to != "/" {
		return host.Exposure{Path: p, Nowhere: true}
	}
	for q := to; q != "/"; q = path.Dir(q) {
		if e := a.files[q].Exposed; e.Path != "" {
			return e
		}
	}
	return host.Exposure{}
}

// unitLines reads systemctl show's blocks up to "units-end". A block ends at an
// empty line, and its properties come in systemd's order, not in ours.
func (a *answer) unitLines(body []byte) ([]byte, error) {
	block, rest, ok := bytes.Cut(body, []byte("\nunits-end\n"))
	if !ok {
		return nil, fmt.Errorf("the units have no end")
	}
	for text := range strings.SplitSeq(strings.TrimSpace(string(block)), "\n\n") {
		p := map[string]string{}
		for line := range strings.SplitSeq(text, "\n") {
			k, v, _ := strings.Cut(line, "=")
			p[k] = v
		}
		if p["Id"] == "" || p["ActiveState"] == "" {
			return nil, fmt.Errorf("systemctl show said %.200q", text)
		}
		pid, err := number(cmp.Or(p["MainPID"], "0"))
		if err != nil {
			return nil, err
		}
		s := host.UnitState{
			Loaded: p["LoadState"] != "not-found", Active: p["ActiveState"], Sub: p["SubState"],
			Enabled:    strings.HasPrefix(p["UnitFileState"], "enabled"),
			Masked:     p["LoadState"] == "masked" || strings.HasPrefix(p["UnitFileState"], "masked"),
			NeedReload: p["NeedDaemonReload"] == "yes", PID: pid, Result: p["Result"],
			DropIns: strings.Fields(p["DropInPaths"]),
		}
		slices.Sort(s.DropIns)
		since := map[string]string{
			"active": "ActiveEnterTimestamp", "reloading": "ActiveEnterTimestamp", "activating": "InactiveExitTimestamp",
			"deactivating": "ActiveExitTimestamp", "inactive": "InactiveEnterTimestamp", "failed": "InactiveEnterTimestamp",
		}[s.Active]
		if s.Restarts, err = number(cmp.Or(p["NRestarts"], "0")); err != nil {
			return nil, err
		}
		if s.ExitStatus, err = strconv.Atoi(cmp.Or(p["ExecMainStatus"], "0")); err != nil {
			return nil, err
		}
		if s.Since, err = unitTime(p[since]); err != nil {
			return nil, err
		}
		if pid != 0 {
			if s.StartedAt, err = unitTime(p["ExecMainStartTimestamp"]); err != nil {
				return nil, err
			}
		}
		a.units = append(a.units, s)
	}
	return rest, nil
}

// unitTime reads a time as systemctl prints it in UTC; none is the zero time.
func unitTime(s string) (time.Time, error) {
	if s == "" || s == "n/a" {
		return time.Time{}, nil
	}
	return time.Parse("Mon 2006-01-02 15:04:05 MST", s)
}

// envLines reads grep -Hz's records, which end in NUL, up to "env-end".
func (a *answer) envLines(body []byte) ([]byte, error) {
	block, rest, ok := bytes.Cut(body, []byte("\nenv-end\n"))
	if !ok {
		return nil, fmt.Errorf("the environment has no end")
	}
	for record := range strings.SplitSeq(strings.ReplaceAll(string(block), "\n", "\x00"), "\x00") {
		if file, digest, ok := strings.Cut(record, ":"+node.ConfigDigestEnv+"="); ok {
			a.environ[file] = digest
		}
	}
	return rest, nil
}

// raw cuts the contents apart by the sizes that stat told.
func (a *answer) raw(paths []string, body []byte) error {
	for _, p := range paths {
		size := a.files[p].Size
		if int64(len(body)) < size {
			return &movingError{p}
		}
		a.contents[p], body = body[:size:size], body[size:]
	}
	if string(body) != "\n" {
		return &movingError{"a file"}
	}
	return nil
}

// socket is one that listens.
type socket struct{ address, inode string }

// procAddress reads an address of /proc/net/tcp and tcp6: 32-bit words in
// hex, as the CPU has them in memory. The CPUs we serve are little-endian.
func procAddress(s string) (string, error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		return "", err
	}
	for i := 0; i+4 <= len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	ip, ok := netip.AddrFromSlice(b)
	if !ok {
		return "", fmt.Errorf("%q is no address", s)
	}
	return ip.Unmap().String(), nil
}

// bsdSocket reads a line of macOS's netstat -an: proto, queues, local address.port, …
func (a *answer) bsdSocket(line string) error {
	f := strings.Fields(line)
	if len(f) < 6 {
		return fmt.Errorf("%d fields", len(f))
	}
	dot := strings.LastIndex(f[3], ".")
	p, err := strconv.Atoi(f[3][dot+1:])
	if err != nil {
		return nil
	}
	address, _, _ := strings.Cut(f[3][:max(dot, 0)], "%") // without the zone
	switch {
	case address == "*" && f[0] == "tcp4":
		address = "0.0.0.0"
	case address == "*":
		address = "::"
	}
	a.sockets[p] = append(a.sockets[p], socket{address: address})
	return nil
}

func (a *answer) port(p int) host.PortState {
	s := host.PortState{Known: a.listeners}
	for _, k := range a.sockets[p] {
		l := host.PortListener{Address: k.address}
		if o, ok := a.owners[k.inode]; ok {
			l.PID, _ = number(o[0])
			l.Process = path.Base(o[1])
		}
		s.Listeners = append(s.Listeners, l)
	}
	slices.SortStableFunc(s.Listeners, func(x, y host.PortListener) int { return strings.Compare(x.Address, y.Address) })
	return s
}

// number reads a whole number that is not negative.
func number(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, err
	}
	return int(n), nil
}

// parseClock reads date's "seconds.nanoseconds"; a date without %N leaves the letter.
func parseClock(s string) (time.Time, error) {
	sec, frac, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(sec, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	nanos, err := strconv.ParseInt(frac, 10, 64)
	if err != nil || len(frac) != 9 {
		nanos = 0
	}
	t := time.Unix(n, nanos).UTC()
	if t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%q is no time", s)
	}
	return t, nil
}

// goArch says uname -m in Go's words where Go has one that we serve.
func goArch(machine string) string {
	switch machine {
	case "x86_64", "amd64":
		return "amd64"
	case "aarch64", "arm64":
		return "arm64"
	}
	return machine
}
