package plan

import (
	"strings"

	"quorate/kvserver/node"
)

// KindPush puts binaries on a host.
const KindPush Kind = "push"

// Push sends binaries. Holds afterwards: each file has its digest, mode and owner.
type Push struct {
	quiet
	Platform string       `json:"platform"` // "linux/amd64"
	Binaries []PushBinary `json:"binaries"`
}

// PushBinary is one file to be there.
type PushBinary struct {
	Name   string `json:"name"` // "kvserver" or "etcd": the key into Observed.Binaries
	Path   string `json:"path"`
	Digest string `json:"digest"` // sha256, hex, or FromArchive
	Size   int64  `json:"size"`   // bytes; 0: still in its archive
	Mode   uint32 `json:"mode"`
	Owner  string `json:"owner,omitempty"`
	Had    string `json:"had,omitempty"` // digest that lies there now
	Drift  *Drift `json:"drift,omitempty"`
}

// Kind of the step.
func (*Push) Kind() Kind { return KindPush }

// Phase of the step.
func (*Push) Phase() Phase { return PhaseStage }

// Describe names each binary.
func (a *Push) Describe() Description {
	var d Description
	for _, p := range a.Binaries {
		from := ""
		if p.Had != "" && p.Had != p.Digest {
			from = short(p.Had) + " → "
		}
		note := from + short(p.Digest)
		if p.Size > 0 {
			note += ", " + mib(p.Size)
		}
		d.Items = append(d.Items, Item{Path: p.Path, Sign: p.Drift.sign(), Problem: p.Drift.String(), Note: note})
	}
	d.Sign = signOf(d.Items)
	return d
}

// binaries are what a member's host must have.
func (b *builder) binaries(m *member) []PushBinary {
	names := []struct{ name, path string }{{KVServer, m.layout.KVServer}}
	if b.spec.Server.Etcd != nil {
		names = append(names, struct{ name, path string }{Etcd, m.layout.Etcd})
	}
	var out []PushBinary
	for _, n := range names {
		src := b.obs.Binaries[m.host.Platform()][n.name]
		out = append(out, PushBinary{Name: n.name, Path: n.path, Digest: m.digestOf(n.path, src), Size: src.Size, Mode: 0o755, Owner: b.rootOwner(m)})
	}
	return out
}

// lacking are the binaries that are not on a member's host as they should be.
func (b *builder) lacking(m *member) []PushBinary {
	var out []PushBinary
	for _, p := range b.binaries(m) {
		have := m.host.Files[p.Path]
		if p.Drift = drift(m.Member, node.FileState{Mode: p.Mode, Digest: p.Digest}, p.Owner, have); p.Drift != nil {
			p.Had = have.Digest
			out = append(out, p)
		}
	}
	return out
}

func (b *builder) push(m *member) {
	if !m.may.push {
		return
	}
	wanted := b.lacking(m)
	if len(wanted) == 0 {
		return
	}
	names := texts(wanted, func(p PushBinary) string { return p.Name })
	b.add(draft{Step: Step{
		Member: m.Name, Title: "push " + strings.Join(names, " and ") + " to " + m.Name,
		Action: &Push{Platform: m.host.Platform(), Binaries: wanted},
	}})
}
