package hosttest

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	nodes "quorate/kvserver/node"
	"quorate/provision/host"
)

// AnswerLook answers a request of the posix package's look.sh as the script
// does on a host with systemd that is as h says: for an SSH server in front of
// a [Machine]. What h cannot tell, and a request that is not understood, is a
// "fail" line. Times of units are told in whole seconds, and of a unit's log
// what a look keeps of it.
func AnswerLook(ctx context.Context, h host.Reader, request []byte) []byte {
	q, known, err := lookQuery(string(request))
	var look *host.Look
	if err == nil {
		look, err = h.Look(ctx, q)
	}
	var a lookAnswer
	if err != nil {
		a.line("fail", strings.ReplaceAll(err.Error(), "\n", " "))
	} else {
		a.facts(look.Facts)
		contents := a.files(look, known)
		a.units(q.Units, look)
		a.dirs(q.Dirs, look)
		a.kernel(look)
		a.ports(q.Ports, look)
		for _, name := range q.Accounts {
			a.line("account", either(look.Accounts[name], "yes", "no"), name)
		}
		for _, p := range q.Space {
			a.line("space", look.Space[p], p)
			a.line("mount", look.Mounts[p].Point, p)
		}
		a.probes(q.Probes, look)
		now := look.Facts.Clock
		a.line("clock", fmt.Sprintf("%d.%09d", now.Unix(), now.Nanosecond()))
		for _, p := range contents {
			a.line("content", p)
		}
		a.line("raw")
		for _, p := range contents {
			a.Write(look.Files[p].Content)
		}
		a.line()
	}
	a.line("end")
	return a.Bytes()
}

// lookQuery reads a request; known are the stamps and paths whose digest is not asked for.
func lookQuery(request string) (q host.Query, known map[string]bool, err error) {
	lines := strings.Split(strings.TrimSuffix(request, "\n"), "\n")
	if lines[len(lines)-1] != "end" {
		return q, nil, errors.New("the request was cut short")
	}
	known = map[string]bool{}
	content := map[string]bool{}
	for _, l := range lines[:len(lines)-1] {
		kind, v, _ := strings.Cut(l, "\t")
		switch kind {
		case "f":
			q.Files = append(q.Files, host.FileQuery{Path: v})
		case "c":
			content[v] = true
		case "k":
			known[v] = true
		case "d":
			dir, wal, _ := strings.Cut(v, "\t")
			q.Dirs = append(q.Dirs, host.DirQuery{Path: dir, WAL: wal})
		case "u":
			q.Units = append(q.Units, v)
		case "p":
			p, err := strconv.ParseUint(v, 16, 16)
			if err != nil {
				return q, nil, err
			}
			q.Ports = append(q.Ports, int(p))
		case "a":
			q.Accounts = append(q.Accounts, v)
		case "s":
			q.Space = append(q.Space, v)
		case "q":
			p, err := lookProbe(strings.Split(v, "\t"))
			if err != nil {
				return q, nil, err
			}
			q.Probes = append(q.Probes, p)
		case "g":
			if len(q.Probes) == 0 {
				return q, nil, errors.New("an argument of no probe")
			}
			last := &q.Probes[len(q.Probes)-1]
			last.Argv = append(last.Argv, v)
		case "x": // an executable whose digest need not be told
		default:
			return q, nil, fmt.Errorf("unknown request: %s", l)
		}
	}
	for i := range q.Files {
		q.Files[i].Content = content[q.Files[i].Path]
	}
	return q, known, nil
}

// lookProbe reads NAME SECONDS BYTES UNIT PATH.
func lookProbe(f []string) (p host.Probe, err error) {
	if len(f) != 5 {
		return p, fmt.Errorf("a probe of %d fields", len(f))
	}
	seconds, err := strconv.Atoi(f[1])
	if err != nil {
		return p, err
	}
	limit, err := strconv.Atoi(f[2])
	for i := 3; i < 5; i++ {
		f[i] = strings.TrimPrefix(f[i], "-") // it stands for nothing
	}
	return host.Probe{Name: f[0], Timeout: time.Duration(seconds) * time.Second, Limit: limit, Unless: f[3], IfExists: f[4]}, err
}

// lookAnswer is an answer as it grows.
type lookAnswer struct{ bytes.Buffer }

func (a *lookAnswer) line(fields ...any) {
	for i, f := range fields {
		if i > 0 {
			a.WriteByte('\t')
		}
		fmt.Fprint(a, f)
	}
	a.WriteByte('\n')
}

func (a *lookAnswer) facts(f host.Facts) {
	a.line("facts", f.OS, f.Arch, either(f.Root, "0", "1000"), f.Hostname)
	if f.MachineID != "" {
		a.line("machine", f.MachineID)
	}
	for _, tool := range f.Missing {
		a.line("missing", tool)
	}
	if f.Manager == "systemd" {
		a.line("systemd", f.ManagerVersion)
	}
}

// The kinds of files, in the mode that stat tells.
const (
	modeFile = 0o100000
	modeDir  = 0o040000
	modeLink = 0o120000
)

// files returns the paths whose contents are wanted.
func (a *lookAnswer) files(look *host.Look, known map[string]bool) (contents []string) {
	types := map[string]uint32{"file": modeFile, "dir": modeDir, "link": modeLink}
	for _, p := range slices.Sorted(maps.Keys(look.Files)) {
		f := look.Files[p]
		if !f.Exists {
			continue
		}
		a.stat(types[f.Type]|f.Mode, f.Owner, f.Group, f.Size, f.Stamp, p)
		if f.Type == "link" && !f.Exposed.Nowhere {
			a.line("real", "/", p) // the fake follows none
		}
		if f.Type == "file" && !known[f.Stamp+"\t"+p] {
			a.line("sha", f.Digest+"  "+p)
		}
		if f.Content != nil {
			contents = append(contents, p)
		}
	}
	return contents
}

func (a *lookAnswer) stat(mode uint32, owner, group string, size int64, stamp, path string) {
	id := func(name string) int { return either(name == "root", 0, 1000) }
	a.line("file", strconv.FormatUint(uint64(mode), 16), id(owner), id(group), owner, group, size, stamp, path)
}

func (a *lookAnswer) units(names []string, look *host.Look) {
	if len(names) == 0 || look.Facts.Manager != "systemd" {
		return
	}
	a.line("units")
	for _, name := range names {
		u := look.Units[name]
		since := unitTime(u.Since)
		fmt.Fprintf(a, "Id=%s\nLoadState=%s\nActiveState=%s\nSubState=%s\nUnitFileState=%s\nNeedDaemonReload=%s\nMainPID=%d\nNRestarts=%d\nResult=%s\nExecMainStatus=%d\nDropInPaths=%s\nExecMainStartTimestamp=%s\n",
			name, either(u.Masked, "masked", either(u.Loaded, "loaded", "not-found")), u.Active, u.Sub, either(u.Enabled, "enabled", "disabled"), either(u.NeedReload, "yes", "no"),
			u.PID, u.Restarts, u.Result, u.ExitStatus, strings.Join(u.DropIns, " "), unitTime(u.StartedAt))
		fmt.Fprintf(a, "ActiveEnterTimestamp=%s\nActiveExitTimestamp=%[1]s\nInactiveEnterTimestamp=%[1]s\nInactiveExitTimestamp=%[1]s\n\n", since)
	}
	a.line("units-end")
	for _, name := range names {
		u := look.Units[name]
		if u.Log != "" {
			a.line("journal", name)
			for l := range strings.SplitSeq(u.Log, "\n") {
				a.line("log", l)
			}
		}
		if u.PID == 0 {
			continue
		}
		exe := fmt.Sprintf("/proc/%d/exe", u.PID)
		a.line("exe", "exe "+u.ExeDigest, exe)
		if u.ExeDigest != "" {
			a.line("sha", u.ExeDigest+"  "+exe)
		}
		a.line("link", fmt.Sprintf("'%s' -> '%s'", exe, u.Exe))
		fmt.Fprintf(a, "env\n/proc/%d/environ:%s=%s\x00\nenv-end\n", u.PID, nodes.ConfigDigestEnv, u.ConfigDigest)
	}
}

// unitTime writes a time as systemctl does.
func unitTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("Mon 2006-01-02 15:04:05 MST")
}

func (a *lookAnswer) dirs(all []host.DirQuery, look *host.Look) {
	for _, d := range all {
		s := look.Dirs[d.Path]
		if s.Exists { // a file system begins where the folder's device is not its parent's
			a.stat(modeDir|s.Mode, s.Owner, s.Group, 0, either(s.MountPoint, "2", "1")+":2:0:0:0", d.Path+"/.")
			a.stat(modeDir|0o755, "root", "root", 0, "1:1:0:0:0", d.Path+"/..")
		}
		for _, n := range s.Entries {
			a.line("entry", n)
		}
		for _, p := range s.Aside {
			a.line("aside", p)
		}
		a.line("dir", either(s.Exists, "yes", "no"), s.Count, either(s.Member, "member", "-"), d.Path)
	}
}

// kernel writes what is found of addresses and mounts in /proc.
func (a *lookAnswer) kernel(look *host.Look) {
	a.line("kernel")
	for _, address := range look.Facts.Addresses {
		if ip := netip.MustParseAddr(address); ip.Is4() {
			a.line("/proc/net/fib_trie:  |-- " + address)
			a.line("/proc/net/fib_trie:     /32 host LOCAL")
		} else {
			a.line(fmt.Sprintf("/proc/net/if_inet6:%x 01 80 10 80 lo", ip.AsSlice()))
		}
	}
	seen := map[string]bool{}
	for _, p := range slices.Sorted(maps.Keys(look.Mounts)) {
		m := look.Mounts[p]
		if !seen[m.Point] {
			seen[m.Point] = true
			a.line(fmt.Sprintf("/proc/self/mountinfo:1 1 8:1 / %s %s,%s - %s disk rw", strings.ReplaceAll(m.Point, " ", `\040`),
				either(m.ReadOnly, "ro", "rw"), either(m.NoExec, "noexec", "relatime"), m.Type))
		}
	}
	a.line("\nkernel-end")
}

func (a *lookAnswer) ports(all []int, look *host.Look) {
	a.line("listeners")
	inode := 0
	for _, p := range all {
		for _, s := range look.Ports[p].Listeners {
			inode++
			a.line("tcp", fmt.Sprintf("%04X", p), procAddress(s.Address), inode)
			if s.PID != 0 {
				a.line("owner", inode, s.PID, s.Process)
			}
		}
	}
}

// procAddress writes an address as /proc/net/tcp does: 32-bit words in the CPU's order.
func procAddress(s string) string {
	b := netip.MustParseAddr(s).AsSlice()
	for i := 0; i < len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	return fmt.Sprintf("%X", b)
}

func (a *lookAnswer) probes(all []host.Probe, look *host.Look) {
	for _, p := range all {
		s := look.Probes[p.Name]
		if !s.Ran {
			continue
		}
		code := s.Code
		if code == -1 {
			code = 128 + 9 // by timeout's signal
		}
		a.line("probe", p.Name)
		a.line(base64.StdEncoding.EncodeToString(s.Stdout) + fmt.Sprintf("#%d#", code))
		a.line("-")
		a.line(base64.StdEncoding.EncodeToString(s.Stderr))
		a.line("probe-end")
	}
}

func either[T any](b bool, yes, no T) T {
	if b {
		return yes
	}
	return no
}
