package posix

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"quorate/provision/host"
)

// mount is one line of /proc/self/mountinfo.
type mount struct {
	point, kind      string
	readOnly, noExec bool
}

// kernelLines reads what grep found in files of /proc, up to "kernel-end":
// mounts, and the addresses of the interfaces. Sockets have lines of their own.
func (a *answer) kernelLines(body []byte) ([]byte, error) {
	block, rest, ok := bytes.Cut(body, []byte("\nkernel-end\n"))
	if !ok {
		return nil, fmt.Errorf("the kernel's lines have no end")
	}
	var v6 []string
	leaf := "" // fib_trie has an address on one line and what it is on the next ones
	for line := range strings.SplitSeq(string(block), "\n") {
		file, text, _ := strings.Cut(line, ":")
		switch file {
		case "/proc/self/mountinfo":
			m, err := mountOf(text)
			if err != nil {
				return nil, err
			}
			a.kernel = append(a.kernel, m)
		case "/proc/net/if_inet6": // address, index, prefix, scope, flags, name
			digits, _, _ := strings.Cut(text, " ")
			b, err := hex.DecodeString(digits)
			ip, ok := netip.AddrFromSlice(b)
			if err != nil || !ok {
				return nil, fmt.Errorf("%q has no address", text)
			}
			v6 = append(v6, ip.String())
		case "/proc/net/fib_trie":
			if _, ip, ok := strings.Cut(text, "|-- "); ok {
				leaf = ip
			} else if leaf != "" {
				ip, err := netip.ParseAddr(leaf)
				if err != nil {
					return nil, err
				}
				a.local = append(a.local, ip.String())
				leaf = ""
			}
		}
	}
	if a.local != nil { // else the kernel does not say what it has of IPv4
		a.local = append(a.local, v6...)
		slices.Sort(a.local)
		a.local = slices.Compact(a.local)
	}
	return rest, nil
}

// mountOf reads "id parent device root point options … - type source options" (proc(5)).
func mountOf(line string) (mount, error) {
	left, right, ok := strings.Cut(line, " - ")
	f, g := strings.Fields(left), strings.Fields(right)
	if !ok || len(f) < 6 || len(g) < 1 {
		return mount{}, fmt.Errorf("%q is no mount", line)
	}
	m := mount{point: unescape(f[4]), kind: g[0]}
	options := strings.Split(f[5], ",")
	if len(g) > 2 {
		options = append(options, strings.Split(g[2], ",")...) // the file system itself may be read-only
	}
	m.readOnly, m.noExec = slices.Contains(options, "ro"), slices.Contains(options, "noexec")
	return m, nil
}

var octal = regexp.MustCompile(`\\[0-7]{3}`)

// unescape undoes the kernel's \040 for a space and the like.
func unescape(s string) string {
	return octal.ReplaceAllStringFunc(s, func(code string) string {
		n, _ := strconv.ParseUint(code[1:], 8, 8)
		return string([]byte{byte(n)})
	})
}

// mountAt is the file system mounted at a point: the last one, if several are.
func (a *answer) mountAt(point string) host.MountState {
	for _, m := range slices.Backward(a.kernel) {
		if m.point == point {
			return host.MountState{Known: true, Point: m.point, Type: m.kind, ReadOnly: m.readOnly, NoExec: m.noExec}
		}
	}
	return host.MountState{Point: point}
}

// probeLines reads what a probe said, up to "probe-end": standard output in
// base64, with the exit code between two # anywhere in it, a line "-", and
// standard error in base64.
func (a *answer) probeLines(name string, body []byte) ([]byte, error) {
	block, rest, ok := bytes.Cut(body, []byte("\nprobe-end\n"))
	if !ok {
		return nil, fmt.Errorf("the probe %q has no end", name)
	}
	out, errs, ok := strings.Cut("\n"+string(block)+"\n", "\n-\n")
	if !ok {
		return nil, fmt.Errorf("the probe %q has one output", name)
	}
	parts := strings.Split(out, "#")
	if len(parts) != 3 {
		return nil, fmt.Errorf("the probe %q has no exit code", name)
	}
	s := host.ProbeState{Ran: true}
	var err error
	if s.Code, err = strconv.Atoi(parts[1]); err != nil {
		return nil, err
	}
	if s.Code == 128+9 || s.Code == 124 {
		s.Code = -1 // killed, as by timeout
	}
	if s.Stdout, err = base64.StdEncoding.DecodeString(parts[0] + parts[2]); err != nil {
		return nil, err
	}
	if s.Stderr, err = base64.StdEncoding.DecodeString(errs); err != nil {
		return nil, err
	}
	if s.Code == -1 {
		s.Stderr = bytes.TrimSuffix(s.Stderr, []byte("Killed\n")) // the shell's word, not the command's
	}
	a.probes[name] = s
	return rest, nil
}
