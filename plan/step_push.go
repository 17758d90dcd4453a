package plan

import (
	"fmt"

	"quorate/plan/spec"
)

// KindPush puts binaries on a host.
const KindPush Kind = "push"

// Push sends binaries. Holds afterwards: each file has its digest, mode and owner.
type Push struct {
	Platform string       `json:"platform"` // "linux/amd64"
	Binaries []PushBinary `json:"binaries"`
}

// PushBinary is one file to be there.
type PushBinary struct {
	Name   string `json:"name"` // "kvserver" or "etcd": the key into Observed.Binaries
	Path   string `json:"path"`
	Digest string `json:"digest"` // sha256, hex
	Size   int64  `json:"size"`   // bytes
	Mode   uint32 `json:"mode"`
	Owner  string `json:"owner,omitempty"`
	Had    string `json:"had,omitempty"` // digest that lies there now
}

// Kind of the step.
func (*Push) Kind() Kind { return KindPush }

// binaries are what a member's host must have.
func (b *builder) binaries(m *spec.Member) []PushBinary {
	l, h := b.layout[m.Name], b.obs.Hosts[m.Name]
	names := []struct{ name, path string }{{"kvserver", l.KVServer}}
	if b.spec.Server.Etcd != nil {
		names = append(names, struct{ name, path string }{"etcd", l.Etcd})
	}
	var out []PushBinary
	for _, n := range names {
		src := b.obs.Binaries[h.Platform()][n.name]
		out = append(out, PushBinary{Name: n.name, Path: n.path, Digest: src.Digest, Size: src.Size, Mode: 0o755, Owner: b.rootOwner(m)})
	}
	return out
}

func (b *builder) push(m *spec.Member) {
	h := b.obs.Hosts[m.Name]
	var wanted []PushBinary
	var why []string
	for _, p := range b.binaries(m) {
		reason := b.drift(m, File{Mode: p.Mode, Digest: p.Digest}, p.Owner, h.Files[p.Path])
		if reason == "" {
			continue
		}
		p.Had = h.Files[p.Path].Digest
		wanted = append(wanted, p)
		why = append(why, fmt.Sprintf("%s %s", p.Path, reason))
	}
	if len(wanted) == 0 {
		return
	}
	title := "push " + wanted[0].Name
	if len(wanted) > 1 {
		title += " and " + wanted[1].Name
	}
	b.add(Step{
		Kind: KindPush, Member: m.Name, Title: title + " to " + m.Name, Reasons: why,
		Action: &Push{Platform: h.Platform(), Binaries: wanted},
	})
}
