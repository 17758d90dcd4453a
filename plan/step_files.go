package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"quorate/plan/spec"
)

// KindFiles puts folders and text files on a host.
const KindFiles Kind = "files"

// Files writes what differs. Holds afterwards: the account exists; every
// folder and file is there with its bytes, mode and owner; the service manager
// has read the unit and starts it at boot. No process is touched.
type Files struct {
	Account string      `json:"account,omitempty"` // system account that must exist first
	Files   []WriteFile `json:"files,omitempty"`
	// Unit to be enabled, and to be re-read when Reload.
	Unit   string `json:"unit"`
	Reload bool   `json:"reload,omitempty"`
	Enable bool   `json:"enable,omitempty"`
}

// WriteFile is one file or folder as it shall be.
type WriteFile struct {
	Path    string `json:"path"`
	Dir     bool   `json:"dir,omitempty"`
	Mode    uint32 `json:"mode"`
	Owner   string `json:"owner,omitempty"`
	Content string `json:"content,omitempty"`
	// Diff from what lies there, unified; empty for a folder or a mere change of mode or owner.
	Diff string `json:"diff,omitempty"`
}

// Kind of the step.
func (*Files) Kind() Kind { return KindFiles }

func (b *builder) files(m *spec.Member) {
	h, want := b.obs.Hosts[m.Name], b.want[m.Name]
	a := &Files{Unit: b.layout[m.Name].Unit}
	var why, absent []string
	if !h.Account && !local(m) {
		a.Account = b.spec.Server.User
		why = append(why, fmt.Sprintf("account %s is missing", a.Account))
	}
	files := want.files
	if h.Manifest == nil || (!b.formed && h.Manifest.Token != b.plan.Token) {
		intent := *want.manifest
		intent.Formed = b.formed && b.obs.Cluster.Healthy[m.Name]
		files = append(files, WriteFile{Path: b.layout[m.Name].Manifest, Mode: 0o644, Owner: b.rootOwner(m), Content: string(intent.Encode())})
	}
	if !b.formed { // once formed, nobody reads it any more
		files = append(files, want.bootstrap)
	}
	for _, f := range files {
		have := h.Files[f.Path]
		ask := File{Mode: f.Mode, Type: "dir"}
		if !f.Dir {
			ask = File{Mode: f.Mode, Digest: digest(f.Content)}
		}
		reason := b.drift(m, ask, f.Owner, have)
		if reason == "" {
			continue
		}
		if !f.Dir && have.Digest != ask.Digest {
			f.Diff = diff(f.Path, have.Content, f.Content, have.Exists)
		}
		a.Files = append(a.Files, f)
		if reason == missing {
			absent = append(absent, f.Path)
		} else {
			why = append(why, f.Path+" "+reason)
		}
		if f.Path == b.layout[m.Name].UnitFile {
			a.Reload = true
		}
	}
	if len(absent) > 0 {
		why = append(why, "not there yet: "+strings.Join(absent, ", "))
	}
	if h.Unit.NeedReload && !a.Reload {
		a.Reload = true
		why = append(why, "the service manager has not read the unit as it is")
	}
	if !h.Unit.Enabled && !local(m) { // a supervised process has no boot to be started at
		a.Enable = true
		why = append(why, "the unit is not started at boot")
	}
	if len(why) == 0 {
		return
	}
	b.add(Step{
		Kind: KindFiles, Member: m.Name, Reasons: why,
		Title:  "write configuration and unit on " + m.Name,
		Action: a,
	})
}

const missing = "is missing"

// drift says in words how what is there differs from what is wanted; "" if it
// does not. On local hosts owners are the operator's own and do not count.
func (b *builder) drift(m *spec.Member, want File, owner string, have File) string {
	wantType := or(want.Type, "file")
	switch {
	case !have.Exists:
		return missing
	case have.Type != wantType:
		return fmt.Sprintf("is a %s, not a %s", have.Type, wantType)
	case want.Digest != "" && have.Digest != want.Digest:
		return "was changed"
	case have.Mode != want.Mode:
		return fmt.Sprintf("has mode %04o instead of %04o", have.Mode, want.Mode)
	case !local(m) && owner != "" && have.Owner+":"+have.Group != owner:
		return fmt.Sprintf("belongs to %s:%s instead of %s", have.Owner, have.Group, owner)
	}
	return ""
}

func digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}
