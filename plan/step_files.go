package plan

import (
	"errors"
	"fmt"
	"slices"

	"quorate/kvserver/node"
)

// KindFiles puts folders and text files on a host.
const KindFiles Kind = "files"

// Files writes what differs. Holds afterwards: the account exists; every
// folder and file is there with its bytes, mode and owner; what is listed as
// unwanted is not; the service manager has read the unit and starts it at
// boot; the timer of backups waits, or is gone. No process is touched.
type Files struct {
	quiet
	Account string      `json:"account,omitempty"` // system account that must exist first
	Files   []WriteFile `json:"files,omitempty"`
	// Absent are files of ours that must not be there any more.
	Absent []string `json:"absent,omitempty"`
	// Check, if set, is kvserver on the host: the new configuration (the file at CheckPath) is tried by it
	// before anything is put in place, and nothing is written if it does not take it.
	Check     string `json:"check,omitempty"`
	CheckPath string `json:"check_path,omitempty"`
	// Unit to be enabled, and to be re-read when Reload.
	Unit   string `json:"unit"`
	Reload bool   `json:"reload,omitempty"`
	Enable bool   `json:"enable,omitempty"`
	// StartTimer is a timer that is enabled and begins anew, once its files are there; StopTimer one that is stopped and
	// disabled before its files go.
	StartTimer string `json:"start_timer,omitempty"`
	StopTimer  string `json:"stop_timer,omitempty"`
}

// WriteFile is one file or folder as it shall be.
type WriteFile struct {
	Path    string `json:"path"`
	Dir     bool   `json:"dir,omitempty"`
	Mode    uint32 `json:"mode"`
	Owner   string `json:"owner,omitempty"`
	Content string `json:"content,omitempty"`
	// Drift is how what lies there differs; Diff, unified, where its content does.
	Drift *Drift `json:"drift,omitempty"`
	Diff  string `json:"diff,omitempty"`
}

// Kind of the step.
func (*Files) Kind() Kind { return KindFiles }

// Phase of the step.
func (*Files) Phase() Phase { return PhaseStage }

// Describe names each file and folder.
func (a *Files) Describe() Description {
	var d Description
	for _, f := range a.Files {
		d.Items = append(d.Items, Item{Path: f.Path, Sign: f.Drift.sign(), Problem: f.Drift.String(), Diff: f.Diff})
	}
	for _, p := range a.Absent {
		u := &Drift{What: DriftUnwanted}
		d.Items = append(d.Items, Item{Path: p, Sign: u.sign(), Problem: u.String()})
	}
	d.Sign = signOf(d.Items)
	return d
}

func (b *builder) files(m *member) {
	if !m.may.stage {
		return
	}
	a, why := b.unwritten(m)
	if a == nil {
		return
	}
	d := draft{Step: Step{
		Member: m.Name, Reasons: why,
		Title:  "write configuration and unit on " + m.Name,
		Action: a,
	}}
	if b.tries(m, a) {
		a.Check, a.CheckPath = m.layout.KVServer, m.layout.EtcdYAML
		for _, s := range b.steps {
			if s.Kind == KindPush && s.Member == m.Name {
				d.after = append(d.after, s.ID) // the binary that will read it
			}
		}
	}
	b.add(d)
}

// tries reports whether a new configuration is to be tried on its host first:
// while the cluster serves, by kvserver itself (an upstream etcd has no such
// check), and where the certificates that it names are there to be loaded.
func (b *builder) tries(m *member, a *Files) bool {
	if !b.plan.Before.Writable() || b.spec.Server.Etcd != nil || b.unsigned(m) != nil {
		return false
	}
	return slices.ContainsFunc(a.Files, func(f WriteFile) bool { return f.Path == m.layout.EtcdYAML })
}

// unwritten is what differs on a member's host, with the reasons beside the files; nil if nothing does.
func (b *builder) unwritten(m *member) (*Files, []string) {
	h, l, want := m.host, m.layout, m.want
	a := &Files{Unit: l.Unit}
	var why []string
	if !local(m.Member) && !b.hasAccount(m) {
		a.Account = b.user
		why = append(why, fmt.Sprintf("account %s is missing", a.Account))
	}
	files := want.files
	if h.Manifest == nil || (!b.formed && h.Manifest.Token != b.plan.Token) {
		intent := *want.manifest
		intent.Formed = b.formed && m.healthy()
		files = append(files, WriteFile{Path: l.Manifest, Mode: 0o644, Owner: b.rootOwner(m), Content: string(intent.Encode())})
	}
	// Who has no data yet and may start as new needs to know with whom. Once a member has served the
	// file must be gone: its host removes it when the member is ready, and this is for when it could not.
	switch {
	case b.mayBeNew(m):
		content, err := b.bootstrap(m)
		b.err = errors.Join(b.err, err)
		files = append(files, WriteFile{Path: l.Bootstrap, Mode: 0o644, Owner: b.rootOwner(m), Content: content})
	case h.Files[l.Bootstrap].Exists && (m.healthy() || h.Mark != nil):
		a.Absent = append(a.Absent, l.Bootstrap)
	}
	for _, f := range files {
		have := h.Files[f.Path]
		ask := node.FileState{Mode: f.Mode, Type: "dir"}
		if !f.Dir {
			ask = node.FileState{Mode: f.Mode, Digest: digest(f.Content)}
		}
		if f.Drift = drift(m.Member, ask, f.Owner, have); f.Drift == nil {
			continue
		}
		if !f.Dir && have.Digest != ask.Digest {
			f.Diff = diff(f.Path, string(have.Content), f.Content, have.Exists)
		}
		a.Files = append(a.Files, f)
		if f.Path == l.UnitFile {
			a.Reload = true
		}
	}
	why = append(why, b.timer(m, a)...)
	if h.Unit.NeedReload && !a.Reload {
		a.Reload = true
		why = append(why, "the service manager has not read the unit as it is")
	}
	if !h.Unit.Enabled && !local(m.Member) { // a supervised process has no boot to be started at
		a.Enable = true
		why = append(why, "the unit is not started at boot")
	}
	if len(a.Files)+len(a.Absent)+len(why) == 0 {
		return nil, nil
	}
	return a, why
}
