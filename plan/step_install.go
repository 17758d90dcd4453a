package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"quorate/kvserver/node"
	"quorate/plan/spec"
)

// KindInstall puts a client where it is used.
const KindInstall Kind = "install"

// Install has a machine make a client's key, signs its request, puts certificate, CA and endpoints beside it, and
// restarts the units that take them up by a restart only. Holds afterwards: all of it is there, and each of
// these units that ran before is active, and has stayed so for Settle. A unit that does not run is left alone.
type Install struct {
	quiet
	Client string `json:"client"`
	// Files are the folder, if it is missing, and the endpoints, if they differ.
	Files []WriteFile `json:"files,omitempty"`
	// Certificates are the CA and the pair, nil if they are as they should be.
	Certificates *Certificates `json:"certificates,omitempty"`
	// Restart are the units, in this order; Pending is the file that stands for a restart that is due.
	Restart []string  `json:"restart,omitempty"`
	Pending WriteFile `json:"pending,omitzero"`
	// Wait bounds how long a unit may take to be active; Settle is how long it is to stay so.
	Wait   time.Duration `json:"wait,omitempty"`
	Settle time.Duration `json:"settle,omitempty"`
	// Late: nothing waits for it.
	Late bool `json:"late,omitempty"`
}

// How long a unit that was restarted is waited for (systemd's own DefaultTimeoutStartSec), and watched then.
const (
	consumerWait   = 90 * time.Second
	consumerSettle = 5 * time.Second
)

// Kind of the step.
func (*Install) Kind() Kind { return KindInstall }

// Phase of the step: see [builder.tellConsumers].
func (a *Install) Phase() Phase { return tellPhase(a.Late) }

// Describe names each file, certificate and unit.
func (a *Install) Describe() Description {
	var d Description
	for _, f := range a.Files {
		d.Items = append(d.Items, Item{Path: f.Path, Sign: f.Drift.sign(), Problem: f.Drift.String(), Diff: f.Diff})
	}
	if c := a.Certificates; c != nil {
		about := c.Describe()
		d.Items, d.Certificates = append(d.Items, about.Items...), about.Certificates
	}
	d.Sign = signOf(d.Items)
	for _, u := range a.Restart {
		d.Items = append(d.Items, Item{Path: u, Sign: Changed, Problem: "restarted, if it runs"})
	}
	return d
}

// pushHelpers puts kvserver on the machines that are no members, which makes the keys there.
func (b *builder) pushHelpers() {
	b.noteLeftInstalls()
	for _, m := range b.others {
		unfit := b.unfitConsumer(m)
		for _, h := range unfit {
			b.hold(h)
		}
		if len(unfit) > 0 {
			continue
		}
		m.may.sign = true
		p := b.helper(m)
		have := m.host.Files[p.Path]
		if p.Drift = drift(m.Member, node.FileState{Mode: p.Mode, Digest: p.Digest}, p.Owner, have); p.Drift != nil {
			p.Had = have.Digest
			b.add(draft{Step: Step{Member: m.Name, Title: "push kvserver to " + m.Name, Action: &Push{Platform: m.host.Platform(), Binaries: []PushBinary{p}}}})
		}
	}
}

// helper is the kvserver that a machine has to have.
func (b *builder) helper(m *member) PushBinary {
	src := b.obs.Binaries[m.host.Platform()][KVServer]
	return PushBinary{Name: KVServer, Path: m.layout.KVServer, Digest: m.digestOf(m.layout.KVServer, src), Size: src.Size, Mode: 0o755, Owner: b.rootOwner(m)}
}

// unfitConsumer holds what keeps a machine that is no member from being touched. It holds nothing else up.
func (b *builder) unfitConsumer(m *member) []Held {
	h := m.host
	one := func(r Reason, detail, out string) []Held {
		return []Held{{Reason: r, Subject: m.Name, Detail: detail, WayOut: out}}
	}
	switch {
	case h.Problem != "":
		return one(HostUnreachable, h.Problem+"; what is installed there stays as it is", "fix the connection and run again")
	case !local(m.Member) && h.OS != "linux", h.Arch != "amd64" && h.Arch != "arm64":
		return one(Platform, "the host is "+h.Platform(), "clients are installed on Linux hosts, amd64 and arm64")
	case !local(m.Member) && !h.Root:
		return one(Privilege, "commands there do not run as root", "log in as root, or let the user use sudo (connection: user, sudo, sudo_password)")
	case h.OneSession:
		return one(OneSession, "its SSH server allows one session at a time on a connection, and the lock needs one beside what it guards", "set MaxSessions to 2 or more in the host's sshd_config (10 is the default)")
	case b.obs.BinaryProblems[h.Platform()] != "":
		return one(BinaryMissing, b.obs.BinaryProblems[h.Platform()], "put the binary there, or say where it is (server: binary)")
	}
	p := b.helper(m)
	written := []string{path.Dir(m.layout.Lock)}
	if h.Files[p.Path].Digest != p.Digest {
		written = append(written, m.layout.Bin)
		if free, ok := h.Space[m.layout.Bin]; ok && free < p.Size {
			return one(DiskFull, fmt.Sprintf("%s has %s free, kvserver needs %s", m.layout.Bin, mib(free), mib(p.Size)), "free some space there")
		}
	}
	if fs := h.Mounts[m.layout.Bin]; fs.NoExec {
		return one(MountUnusable, fmt.Sprintf("%s is mounted noexec, and kvserver in %s is to be run", fs.Point, m.layout.Bin), "mount it so that programs may be run (mount -o remount,exec "+fs.Point+", and see /etc/fstab)")
	}
	return m.unusable(written)
}

// installs puts clients where they are used: machines whose units are restarted one after another.
func (b *builder) installs(after []string, late bool) {
	last := ""
	for _, m := range b.machines() {
		if m.host.Problem != "" || !m.may.any() {
			continue
		}
		for _, i := range b.spec.Installed(m.Name) {
			a, why := b.uninstalled(m, i)
			if a == nil {
				continue
			}
			if held := b.unfitPlace(m, i); len(held) > 0 {
				for _, h := range held {
					b.hold(h)
				}
				continue
			}
			a.Late = late
			d := draft{subject: installSubject(m, i), after: slices.Clone(after), Step: Step{Member: m.Name, Reasons: why,
				Title: "install client " + i.Client.Name + " on " + m.Name, Action: a}}
			if len(a.Restart) > 0 {
				if last != "" {
					d.after = append(d.after, last)
				}
				last = InstallID(i.Client.Name, m.Name)
			}
			b.add(d)
		}
	}
}

func installSubject(m *member, i spec.Installation) string { return i.Client.Name + " on " + m.Name }

// InstallID is the ID of the step that puts a client on a machine.
func InstallID(client, machine string) string {
	return string(KindInstall) + " " + client + " on " + machine
}

// uninstalled is what of a client differs on a machine, with the reasons beside the files; nil if nothing does.
func (b *builder) uninstalled(m *member, i spec.Installation) (*Install, []string) {
	at, h := PlaceOf(m.layout, i), m.host
	owner, folder := i.User+":"+i.Group, "root:"+i.Group
	if local(m.Member) {
		owner, folder = "", ""
	}
	a := &Install{Client: i.Client.Name}
	if f := h.Files[at.Dir]; !f.Exists {
		a.Files = append(a.Files, WriteFile{Path: at.Dir, Dir: true, Mode: 0o750, Owner: folder, Drift: &Drift{What: DriftMissing}})
	}
	have := h.Files[at.Endpoints]
	says := WriteFile{Path: at.Endpoints, Mode: 0o644, Owner: owner, Content: b.line(string(have.Content))}
	says.Drift = drift(m.Member, node.FileState{Mode: says.Mode, Digest: digest(says.Content)}, owner, have)
	moved := !have.Exists || have.Digest != digest(says.Content)
	if says.Drift != nil {
		if moved {
			says.Diff = diff(says.Path, string(have.Content), says.Content, have.Exists)
		}
		a.Files = append(a.Files, says)
	}
	c := &Certificates{CA: at.CA, Owner: owner, Helper: m.layout.KVServer}
	c.CADrift = drift(m.Member, node.FileState{Mode: 0o644, Digest: digest(b.obs.CA.PEM)}, owner, h.Files[at.CA])
	moved = moved || !h.Files[at.CA].Exists || h.Files[at.CA].Digest != digest(b.obs.CA.PEM)
	want := b.clientCertificate(i.Client)
	want.Path, want.Key = at.Cert, at.Key
	if want.Why = b.certificateDrift(m, want, owner); len(want.Why) > 0 {
		if have, ok := h.Certificates[want.Path]; ok {
			want.Have = &have
		}
		c.Issue = append(c.Issue, want)
	}
	if c.CADrift != nil || len(c.Issue) > 0 {
		a.Certificates = c
	}
	var why []string
	if h.Files[at.Pending].Exists {
		why = append(why, "a restart for it was begun and not finished")
	}
	if (moved || len(why) > 0) && len(i.Restart) > 0 {
		a.Restart, a.Wait, a.Settle = i.Restart, consumerWait, consumerSettle
		a.Pending = WriteFile{Path: at.Pending, Mode: 0o600, Owner: owner, Content: strings.Join(i.Restart, "\n") + "\n"}
	}
	if len(a.Files) == 0 && a.Certificates == nil && len(a.Restart) == 0 {
		return nil, nil
	}
	return a, why
}

// unfitPlace holds what keeps a client from being put into its folder.
func (b *builder) unfitPlace(m *member, i spec.Installation) []Held {
	at, h := PlaceOf(m.layout, i), *m.host
	h.Missing, h.Exposed = nil, h.Unsafe // the rest is the machine's, and was looked at
	out := (&member{Member: m.Member, host: &h}).unusable([]string{at.Dir})
	if f := h.Files[at.CA]; f.Exists && f.Digest != digest(b.obs.CA.PEM) && !b.oursAt(m, i) {
		out = append(out, Held{Reason: FolderInUse, Subject: m.Name,
			Detail: fmt.Sprintf("client %s is to be put into %s, and the ca.pem there is not this cluster's", i.Client.Name, at.Dir),
			WayOut: "give the client a folder of its own (install: dir), or move what is there away"})
	}
	return out
}

// oursAt reports whether what lies in a client's folder was put there for this cluster: that was noted down, or its certificate says so.
func (b *builder) oursAt(m *member, i spec.Installation) bool {
	at := PlaceOf(m.layout, i)
	noted := b.obs.Recorded != nil && slices.Contains(b.obs.Recorded.Installed, recordedInstall(m, i))
	c, ok := m.host.Certificates[at.Cert]
	return noted || ok && c.Issuer != "" && c.Issuer == b.obs.CA.Cert.Fingerprint
}

// uninstall takes installed clients off their machines on destroy, and kvserver off those that are no members. Folders stay:
// they may be somebody's.
func (b *builder) uninstall() {
	for _, m := range b.machines() {
		if b.called(m.Name) != nil && m.host.Problem == "" && !m.may.any() {
			continue // whose host this is has not been found out
		}
		for _, i := range b.spec.Installed(m.Name) {
			at := PlaceOf(m.layout, i)
			switch {
			case m.host.Problem != "":
				b.note("%s could not be reached: what was installed for client %s in %s stays there", m.Name, i.Client.Name, at.Dir)
				continue
			case !b.oursAt(m, i):
				continue
			}
			a := &Remove{}
			for _, p := range []string{at.Cert, at.Key, at.Key + ".new", at.Endpoints, at.Pending, at.CA} {
				if m.host.Files[p].Exists {
					a.Files = append(a.Files, p)
				}
			}
			if len(a.Files) > 0 {
				b.add(draft{subject: installSubject(m, i), Step: Step{Member: m.Name, Title: "remove client " + i.Client.Name + " from " + m.Name, Action: a}})
			}
		}
		if b.called(m.Name) != nil || m.host.Problem != "" || !m.host.Files[m.layout.KVServer].Exists {
			continue
		}
		b.add(draft{Step: Step{Member: m.Name, Title: "remove kvserver from " + m.Name,
			Action: &Remove{Files: []string{m.layout.KVServer}, Folders: []string{m.layout.Bin, path.Dir(m.layout.Bin)}}}})
	}
}
