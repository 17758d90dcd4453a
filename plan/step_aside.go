package plan

// KindAside moves a member's data out of the way.
const KindAside Kind = "aside"

// Aside stops the unit and moves what is in the folders aside, inside the same
// file system, where it stays. Holds afterwards: the unit does not run, and the
// folders hold no member.
type Aside struct {
	quiet
	Unit string `json:"unit"`
	// Dirs whose entries go into a folder of this name below each; absolute paths.
	Dirs []string `json:"dirs"`
	Name string   `json:"name"`
}

// Kind of the step.
func (*Aside) Kind() Kind { return KindAside }

// Phase of the step: what was staged is there, and nothing has been started.
func (*Aside) Phase() Phase { return PhaseStop }

// Describe names what goes where.
func (a *Aside) Describe() Description {
	d := Description{Sign: Changed}
	for _, dir := range a.Dirs {
		d.Items = append(d.Items, Item{Path: dir, Sign: Changed, Problem: "what is in it is kept in its .aside/" + a.Name})
	}
	return d
}

// aside makes room for a member that may not start with the data that lies there.
func (b *builder) aside(m *member) {
	if m.old == "" || !m.may.start {
		return
	}
	dirs := []string{m.layout.Data}
	if m.layout.WAL != "" {
		dirs = append(dirs, m.layout.WAL)
	}
	b.add(draft{Step: Step{Member: m.Name,
		Title:   "move the data on " + m.Name + " aside",
		Reasons: []string{m.old},
		Action:  &Aside{Unit: m.layout.Unit, Dirs: dirs, Name: b.asideName()},
	}})
}

// asideName is the folder that this plan's moves go to.
func (b *builder) asideName() string { return b.opt.Now.UTC().Format("20060102T150405Z") }
