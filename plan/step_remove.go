package plan

import (
	"path"
	"slices"

	"quorate/kvserver/node"
)

// KindRemove takes everything of a member off its host.
const KindRemove Kind = "remove"

// Remove deletes what was put there. Holds afterwards: none of the paths is
// there. Move happens first: data that is kept.
type Remove struct {
	quiet
	Move  []MovePath `json:"move,omitempty"`
	Trees []string   `json:"trees,omitempty"` // whole trees
	Files []string   `json:"files,omitempty"` // files, and folders if they are empty then
	// Unit that the manager shall forget, if it is a systemd unit.
	Unit string `json:"unit,omitempty"`
}

// MovePath is a folder moved aside.
type MovePath struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Kind of the step.
func (*Remove) Kind() Kind { return KindRemove }

// Phase of the step.
func (*Remove) Phase() Phase { return PhaseRemove }

// Describe names everything that goes.
func (a *Remove) Describe() Description {
	d := Description{Sign: Gone}
	for _, m := range a.Move {
		d.Items = append(d.Items, Item{Path: m.From, Sign: Changed, Problem: "kept as " + m.To})
	}
	for _, t := range a.Trees {
		d.Items = append(d.Items, Item{Path: t, Sign: Gone, Problem: "removed, with all below it"})
	}
	for _, f := range a.Files {
		d.Items = append(d.Items, Item{Path: f, Sign: Gone, Problem: "removed"})
	}
	return d
}

func (b *builder) remove(m *member) {
	h, l := m.host, m.layout
	a := &Remove{}
	aside := ".destroyed-" + b.opt.Now.UTC().Format("20060102T150405Z")
	for _, d := range []struct {
		path string
		dir  node.DirState
	}{{l.Data, h.Data}, {l.WAL, h.WAL}} {
		switch {
		case d.path == "" || !d.dir.Exists:
		case b.opt.KeepData && !d.dir.Empty:
			a.Move = append(a.Move, MovePath{From: d.path, To: d.path + aside})
		default:
			a.Trees = append(a.Trees, d.path)
		}
	}
	for _, t := range []string{l.Config, l.Bin} {
		if h.Files[t].Exists {
			a.Trees = append(a.Trees, t)
		}
	}
	if h.Files[l.UnitFile].Exists && !local(m.Member) {
		a.Files, a.Unit = append(a.Files, l.UnitFile), l.Unit
	}
	if len(a.Move)+len(a.Trees)+len(a.Files) == 0 {
		return
	}
	if local(m.Member) {
		// The whole root goes, data before the manifest that says whose it is: a cut in between must stay readable.
		if b.opt.KeepData {
			a.Files = append(a.Files, l.Log)
		} else {
			a.Trees = append(a.Trees, l.Root)
		}
	} else {
		a.Files = append(a.Files, path.Dir(l.Config), path.Dir(l.Bin), path.Dir(l.Data))
	}
	b.add(draft{Step: Step{Member: m.Name, Title: "remove the member's files from " + m.Name, Action: a}})
}

// KindForget removes what the operator's side holds.
const KindForget Kind = "forget"

// Forget deletes the CA that was made here and the client certificates, or
// moves the folder that has them aside. Holds afterwards: none of the files is there. A CA brought by the operator stays.
type Forget struct {
	quiet
	Files []string `json:"files"`
	// Move is the folder that is kept under another name.
	Move *MovePath `json:"move,omitempty"`
	// Dirs that go if they are empty then.
	Dirs []string `json:"dirs,omitempty"`
}

// Kind of the step.
func (*Forget) Kind() Kind { return KindForget }

// Phase of the step.
func (*Forget) Phase() Phase { return PhaseForget }

// Describe names everything that goes.
func (a *Forget) Describe() Description {
	d := Description{Sign: Gone}
	if a.Move != nil {
		d.Items = append(d.Items, Item{Path: a.Move.From, Sign: Changed, Problem: "kept as " + a.Move.To})
	}
	for _, f := range a.Files {
		d.Items = append(d.Items, Item{Path: f, Sign: Gone, Problem: "removed"})
	}
	return d
}

func (b *builder) forget() {
	if b.opt.Forget {
		if b.obs.Recorded != nil || b.obs.CA.Exists && !b.obs.CA.Own {
			b.add(draft{Step: Step{Title: "move what this side holds of the cluster aside",
				Action: &Forget{Move: &MovePath{From: b.spec.TLS.Dir, To: b.spec.TLS.Dir + ".forgotten-" + b.opt.Now.UTC().Format("20060102T150405Z")}}}})
		}
		return
	}
	a := &Forget{}
	for _, c := range b.spec.Clients {
		if have := b.obs.Clients[c.Name]; have.Cert != nil {
			a.Files = append(a.Files, c.Dir+"/"+c.Name+".pem", c.Dir+"/"+c.Name+"-key.pem")
			if !slices.Contains(a.Dirs, c.Dir) {
				a.Files = append(a.Files, c.Dir+"/ca.pem")
				a.Dirs = append(a.Dirs, c.Dir)
			}
		}
	}
	if ca := b.obs.CA; ca.Exists && !ca.Own {
		key := b.spec.TLS.Dir + "/ca-key.pem"
		if ca.Encrypted {
			key += ".age"
		}
		a.Files = append(a.Files, b.spec.TLS.Dir+"/ca.pem", key)
		a.Dirs = append(a.Dirs, b.spec.TLS.Dir)
		if b.spec.TLS.Dir == "pki/"+b.spec.Name { // the default: its parent was made here too
			a.Dirs = append(a.Dirs, "pki")
		}
	}
	if len(a.Files) == 0 {
		return
	}
	b.add(draft{Step: Step{Title: "delete the CA and the client certificates on this side", Action: a}})
}
