package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/pki"
)

// Limits of what a host must have before it is touched.
const (
	// maxClockSkew is how far a host's clock may be off: certificates are backdated by pki.Backdate (five
	// minutes), a host further behind would refuse them. Half of that leaves room for drift on the way.
	maxClockSkew = pki.Backdate / 2
	// notableClockSkew is worth a word: logs and leases get hard to read.
	notableClockSkew = 2 * time.Second
	// minDataSpace is what an empty member needs: etcd preallocates two WAL segments of 64 MB
	// (etcd's wal.SegmentSizeBytes), and a database file.
	minDataSpace = 256 << 20
	// unfetchedSize stands for the size of an etcd that is still in its archive: those of 3.5 to 3.7 have 22 to 27 MB.
	unfetchedSize = 32 << 20
)

// preflight holds what cannot work before anything is touched. While a cluster
// is not formed one unfit host blocks all; afterwards it holds only itself.
func (b *builder) preflight() {
	for _, m := range b.acting() {
		unfit := b.unfit(m)
		for _, h := range unfit {
			h.Subject, h.Blocks = m.Name, !b.formed
			b.hold(h)
		}
		if len(unfit) > 0 {
			m.leave()
		}
	}
	able := len(b.acting())
	if !b.formed && able < len(b.spec.Members) && !b.plan.Blocked() {
		b.hold(Held{Reason: Quorum, Subject: b.spec.Name, Blocks: true,
			Detail: fmt.Sprintf("a bootstrap needs every member at once, and only %d of %d hosts can be touched", able, len(b.spec.Members)),
			WayOut: "fix the hosts named above, or take them out of the spec for now"})
	}
}

func (b *builder) unfit(m *member) []Held {
	h, l := m.host, m.layout
	var out []Held
	add := func(r Reason, wayOut, format string, args ...any) {
		out = append(out, Held{Reason: r, Detail: fmt.Sprintf(format, args...), WayOut: wayOut})
	}
	switch {
	case !local(m.Member) && h.OS != "linux":
		add(Platform, "members run on Linux; take another host", "the host runs %s", or(h.OS, "an unknown system"))
		return out
	case h.Arch != "amd64" && h.Arch != "arm64":
		add(Platform, "members run on amd64 and arm64; take another host", "the host's architecture is %s", or(h.Arch, "unknown"))
		return out
	case !local(m.Member) && h.Manager != "systemd":
		add(Platform, "members are systemd units; take a host that runs systemd", "the host does not run systemd")
		return out
	}
	if !local(m.Member) && !h.Root {
		add(Privilege, "log in as root, or let the user use sudo (connection: user, sudo, sudo_password)", "commands there do not run as root")
	}
	if h.Slow != "" {
		b.note("%s: %s", m.Name, h.Slow)
	}
	if h.OneSession {
		add(OneSession, "set MaxSessions to 2 or more in the host's sshd_config (10 is the default)", "its SSH server allows one session at a time on a connection, and the lock needs one beside what it guards")
	}
	if h.Unit.Masked {
		add(Masked, "if it is to run again: systemctl unmask "+l.Unit, "its unit %s is masked on the host", l.Unit)
	}
	if len(h.Unit.DropIns) > 0 {
		b.note("%s: what its unit says is changed on the host by %s", m.Name, strings.Join(h.Unit.DropIns, ", "))
	}
	if a, err := netip.ParseAddr(m.Address); err == nil && h.Addresses != nil && !a.IsUnspecified() && !h.has(a.Unmap().WithZone("")) {
		add(AddressMissing, "give the member an address that its host has (behind NAT or a floating IP: the inner one, with the outer one in extra_sans)",
			"no interface of the host has the address %s; it has %s", m.Address, strings.Join(b.outward(h), ", "))
	}
	skew := h.ClockOffset.Abs() - h.ClockError
	switch {
	case skew > maxClockSkew:
		way := "set the host's clock (chrony, systemd-timesyncd), then run again"
		add(ClockSkew, way, "its clock is %s %s this one; certificates would not be valid there", round(h.ClockOffset.Abs()), ahead(h.ClockOffset))
	case skew > notableClockSkew:
		b.note("%s: its clock is %s %s this one", m.Name, round(h.ClockOffset.Abs()), ahead(h.ClockOffset))
	}
	var size int64
	if why := b.obs.BinaryProblems[h.Platform()]; why != "" {
		add(BinaryMissing, "put the binary there, or say where it is (server: binary, etcd)", "%s", why)
	} else {
		for _, p := range b.binaries(m) {
			if h.Files[p.Path].Digest == p.Digest {
				continue
			}
			if why := b.obs.Binaries[h.Platform()][p.Name].Problem; why != "" {
				add(BinaryMissing, "put the release there, or name another source (server: etcd: source)", "%s", why)
			}
			if size += p.Size; p.Size == 0 {
				size += unfetchedSize
			}
		}
	}
	written := l.Written()
	if size == 0 {
		written = slices.DeleteFunc(written, func(dir string) bool { return dir == l.Bin })
	}
	out = append(out, m.unusable(written)...)
	if fs := h.Mounts[l.Bin]; fs.NoExec {
		add(MountUnusable, "mount it so that programs may be run (mount -o remount,exec "+fs.Point+", and see /etc/fstab)",
			"%s is mounted noexec, and the binaries in %s are to be run", fs.Point, l.Bin)
	}
	if free, ok := h.Space[l.Bin]; ok && size > 0 && free < size {
		add(DiskFull, "free some space there", "%s has %s free, the binaries need %s", l.Bin, mib(free), mib(size))
	}
	for _, dir := range []string{l.Data, l.WAL} {
		if free, ok := h.Space[dir]; ok && dir != "" && !h.hasData() && free < minDataSpace {
			add(DiskFull, "free some space there, or give the spec another data_dir", "%s has %s free, a member needs %s to start", dir, mib(free), mib(minDataSpace))
		}
	}
	if !h.Unit.Running() || m.readdressed || h.Serves != "" {
		out = append(out, b.taken(m)...)
	}
	return out
}

// has reports whether an address is the host's own. Linux takes all of 127.0.0.0/8 for that, whatever its interfaces say.
func (h *Host) has(a netip.Addr) bool {
	return slices.Contains(h.Addresses, a.String()) || h.OS == "linux" && a.Is4() && a.IsLoopback()
}

// outward are the addresses of a host that others may reach it by.
func (b *builder) outward(h *Host) []string {
	var out []string
	for _, s := range h.Addresses {
		if a, err := netip.ParseAddr(s); err == nil && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return []string{"none but its own loopback"}
	}
	return out
}

// taken holds what somebody else listens on where the member is to, or where one that runs is to go.
func (b *builder) taken(m *member) []Held {
	var out []Held
	for _, l := range node.Listeners(m.Address, m.ClientPort, m.PeerPort, m.MetricsPort) {
		p, ok := m.host.Ports[l.Port]
		if !ok || !p.Known {
			continue
		}
		var in []node.PortListener
		for _, h := range l.Hosts {
			in = append(in, p.InTheWay(h)...)
		}
		in = slices.DeleteFunc(in, func(l node.PortListener) bool { return m.host.Unit.PID != 0 && l.PID == m.host.Unit.PID })
		if len(in) == 0 {
			continue
		}
		who := "another process"
		if in[0].Process != "" {
			who = fmt.Sprintf("%s (pid %d)", in[0].Process, in[0].PID)
		}
		out = append(out, Held{Reason: PortTaken, Detail: fmt.Sprintf("%s listens on %s", who, node.HostPort(in[0].Address, l.Port)),
			WayOut: "stop that service, or give the member other ports (client_port, peer_port, metrics_port)"})
	}
	return out
}

// versions holds a change of the minor version: that is an upgrade, with an
// order and gates of its own (etcd's upgrade guides), not a mere replacement.
// It holds the binary and the configuration, which is of a version too, and
// every restart with them; certificates are renewed all the same. Who joins comes with the version of those that are there.
func (b *builder) versions() {
	there, of := "", "" // a version that is served, and whose
	for _, m := range b.seen() {
		if st := m.answer.Status; st != nil && there == "" {
			there, of = st.Version, m.Name
		}
	}
	for _, m := range b.acting() {
		have, word := m.version()
		want := b.serving(m).Version
		if m.joins && m.blank() {
			have, word = there, "is to join "+of+", which runs"
		}
		if have == "" || kvserver.Minor(have) == kvserver.Minor(want) {
			continue
		}
		b.hold(Held{Reason: VersionChange, Subject: m.Name,
			Detail: fmt.Sprintf("the member %s etcd %s, the spec asks for %s", word, have, or(want, "an unknown version")),
			WayOut: "this version of quorate does not move members between minor versions: keep the server of " + kvserver.Minor(have)})
		m.may = grants{sign: m.may.sign && !m.joins} // nothing is staged for one that does not join
	}
}

// version is the etcd that a member runs, or last ran with: its data is of
// that version also while it is stopped.
func (m *member) version() (version, word string) {
	if st := m.answer.Status; st != nil && st.Version != "" {
		return st.Version, "runs"
	}
	if man := m.host.Manifest; man != nil && m.hasData() && man.Version != "" {
		return man.Version, "last ran"
	}
	if d := m.host.disk(); d != nil && d.DB != nil {
		return d.DB.ClusterVersion, "has data of"
	}
	return "", ""
}

// serving is the binary that serves on a member's host.
func (b *builder) serving(m *member) Binary {
	name := KVServer
	if b.spec.Server.Etcd != nil {
		name = Etcd
	}
	return b.obs.Binaries[m.host.Platform()][name]
}

func ahead(d time.Duration) string {
	if d < 0 {
		return "behind"
	}
	return "ahead of"
}

func round(d time.Duration) time.Duration {
	if d > time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(time.Millisecond)
}

func mib(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
