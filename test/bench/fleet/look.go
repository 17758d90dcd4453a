package fleet

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"quorate/kvserver/node"
	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// answer writes what look.sh would on this machine: see the posix package,
// whose parser refuses every line that it does not know.
func answer(w io.Writer, m *hosttest.Machine, request string) error {
	q, known, err := query(request)
	if err != nil {
		return err
	}
	h := m.Host()
	defer h.Close()
	look, err := h.Look(context.Background(), q)
	if err != nil {
		return err
	}
	var b, raw bytes.Buffer
	line := func(fields ...any) {
		for i, f := range fields {
			if i > 0 {
				b.WriteByte('\t')
			}
			fmt.Fprint(&b, f)
		}
		b.WriteByte('\n')
	}
	line("facts", "Linux", "x86_64", 0, look.Facts.Hostname)
	line("machine", look.Facts.MachineID)
	line("systemd", look.Facts.ManagerVersion)
	types := map[string]uint32{"file": 0o100000, "dir": 0o040000, "link": 0o120000}
	var contents []string
	for _, p := range slices.Sorted(maps.Keys(look.Files)) {
		f := look.Files[p]
		if !f.Exists {
			continue
		}
		line("file", strconv.FormatUint(uint64(types[f.Type]|f.Mode), 16), 0, 0, f.Owner, f.Group, f.Size, f.Stamp, p)
		if f.Type == "file" && !known[f.Stamp+"\t"+p] {
			line("sha", f.Digest+"  "+p)
		}
		if f.Content != nil {
			contents = append(contents, p)
			raw.Write(f.Content)
		}
	}
	units(line, &b, q.Units, look)
	for _, d := range q.Dirs {
		s := look.Dirs[d.Path]
		if s.Exists {
			device := either(s.MountPoint, "2", "1")
			line("file", strconv.FormatUint(uint64(types["dir"]|s.Mode), 16), 0, 0, s.Owner, s.Group, 0, device+":2:0:0:0", d.Path+"/.")
			line("file", "41ed", 0, 0, "root", "root", 0, "1:1:0:0:0", d.Path+"/..")
		}
		for _, n := range s.Entries {
			line("entry", n)
		}
		for _, p := range s.Aside {
			line("aside", p)
		}
		line("dir", either(s.Exists, "yes", "no"), s.Count, either(s.Member, "member", "-"), d.Path)
	}
	kernel(line, look)
	line("listeners")
	for _, p := range q.Ports {
		for _, s := range look.Ports[p].Listeners {
			line("tcp", fmt.Sprintf("%04X", p), procAddress(s.Address), p)
			line("owner", p, s.PID, s.Process)
		}
	}
	for _, a := range q.Accounts {
		line("account", either(look.Accounts[a], "yes", "no"), a)
	}
	for _, p := range q.Space {
		line("space", look.Space[p], p)
		line("mount", look.Mounts[p].Point, p)
	}
	for _, p := range q.Probes {
		if s := look.Probes[p.Name]; s.Ran {
			line("probe", p.Name)
			line(base64.StdEncoding.EncodeToString(s.Stdout) + fmt.Sprintf("#%d#", s.Code))
			line("-")
			line(base64.StdEncoding.EncodeToString(s.Stderr))
			line("probe-end")
		}
	}
	now := time.Now()
	line("clock", fmt.Sprintf("%d.%09d", now.Unix(), now.Nanosecond()))
	for _, p := range contents {
		line("content", p)
	}
	if len(contents) > 0 {
		line("raw")
		b.Write(raw.Bytes())
		b.WriteByte('\n')
	}
	line("end")
	_, err = w.Write(b.Bytes())
	return err
}

// stamp writes a time as systemctl does.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("Mon 2006-01-02 15:04:05 MST")
}

// kernel writes what look.sh finds of addresses and mounts in /proc.
func kernel(line func(...any), look *host.Look) {
	line("kernel")
	for _, a := range look.Facts.Addresses {
		if ip := netip.MustParseAddr(a); ip.Is4() {
			line("/proc/net/fib_trie:  |-- " + a)
			line("/proc/net/fib_trie:     /32 host LOCAL")
		} else {
			line(fmt.Sprintf("/proc/net/if_inet6:%x 01 80 10 80 lo", ip.AsSlice()))
		}
	}
	seen := map[string]bool{}
	for _, p := range slices.Sorted(maps.Keys(look.Mounts)) {
		m := look.Mounts[p]
		if !seen[m.Point] {
			seen[m.Point] = true
			line(fmt.Sprintf("/proc/self/mountinfo:1 1 8:1 / %s %s,%s - %s disk rw", m.Point, either(m.ReadOnly, "ro", "rw"), either(m.NoExec, "noexec", "relatime"), m.Type))
		}
	}
	line("kernel-end")
}

func units(line func(...any), b *bytes.Buffer, names []string, look *host.Look) {
	if len(names) == 0 {
		return
	}
	line("units")
	for _, name := range names {
		u := look.Units[name]
		fmt.Fprintf(b, "Id=%s\nLoadState=%s\nActiveState=%s\nSubState=%s\nUnitFileState=%s\nNeedDaemonReload=%s\nMainPID=%d\nNRestarts=%d\nResult=%s\nExecMainStatus=%d\nDropInPaths=%s\nExecMainStartTimestamp=%s\nActiveEnterTimestamp=%s\n\n",
			name, either(u.Masked, "masked", either(u.Loaded, "loaded", "not-found")), u.Active, u.Sub, either(u.Enabled, "enabled", "disabled"), either(u.NeedReload, "yes", "no"),
			u.PID, u.Restarts, u.Result, u.ExitStatus, strings.Join(u.DropIns, " "), stamp(u.StartedAt), stamp(u.Since))
	}
	line("units-end")
	for _, name := range names {
		u := look.Units[name]
		if u.PID == 0 {
			continue
		}
		exe := fmt.Sprintf("/proc/%d/exe", u.PID)
		line("exe", "exe "+u.ExeDigest, exe)
		line("sha", u.ExeDigest+"  "+exe)
		line("link", fmt.Sprintf("'%s' -> '%s'", exe, u.Exe))
		fmt.Fprintf(b, "env\n/proc/%d/environ:%s=%s\x00\nenv-end\n", u.PID, node.ConfigDigestEnv, u.ConfigDigest)
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

func either(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

// query reads a request of look.sh; known are the stamps and paths whose digest is not asked for.
func query(request string) (q host.Query, known map[string]bool, err error) {
	lines := strings.Split(strings.TrimSuffix(request, "\n"), "\n")
	if lines[len(lines)-1] != "end" {
		return q, nil, fmt.Errorf("the request was cut short")
	}
	known = map[string]bool{}
	content := map[string]bool{}
	var files []string
	for _, l := range lines[:len(lines)-1] {
		kind, v, _ := strings.Cut(l, "\t")
		switch kind {
		case "f":
			files = append(files, v)
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
		case "q": // NAME SECONDS BYTES UNIT PATH
			f := strings.Split(v, "\t")
			if len(f) != 5 {
				return q, nil, fmt.Errorf("a probe of %d fields", len(f))
			}
			p := host.Probe{Name: f[0]}
			if p.Limit, err = strconv.Atoi(f[2]); err != nil {
				return q, nil, err
			}
			if f[3] != "-" {
				p.Unless = f[3]
			}
			if f[4] != "-" {
				p.IfExists = f[4]
			}
			q.Probes = append(q.Probes, p)
		case "g":
			if len(q.Probes) == 0 {
				return q, nil, fmt.Errorf("an argument of no probe")
			}
			last := &q.Probes[len(q.Probes)-1]
			last.Argv = append(last.Argv, v)
		case "x":
		default:
			return q, nil, fmt.Errorf("unknown request: %s", l)
		}
	}
	for _, p := range files {
		q.Files = append(q.Files, host.FileQuery{Path: p, Content: content[p]})
	}
	return q, known, nil
}
