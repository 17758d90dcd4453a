package plan

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"quorate/kvserver/node"
)

// KindRemove takes everything of a member off its host.
const KindRemove Kind = "remove"

// Remove deletes what was put there, and nothing else: our own files by name,
// a member's entries below a data folder, and folders that we made, if they are
// empty then. Holds afterwards: none of that is there. What is kept is moved
// aside first, inside its own folder.
type Remove struct {
	quiet
	// Aside are folders whose member is kept, in a folder of this name below each.
	Aside     []string `json:"aside,omitempty"`
	AsideName string   `json:"aside_name,omitempty"`
	// Entries are whole trees, named below a folder that stays.
	Entries []RemoveEntries `json:"entries,omitempty"`
	Files   []string        `json:"files,omitempty"` // in this order
	// Folders, the deepest first, that go if they are empty then.
	Folders []string `json:"folders,omitempty"`
	// Stop are units beside the member's that are stopped and disabled before their files go.
	Stop []string `json:"stop,omitempty"`
	// Unit that the manager shall forget, if it is a systemd unit.
	Unit string `json:"unit,omitempty"`
}

// RemoveEntries are names in a folder, each removed with all below it.
type RemoveEntries struct {
	Dir   string   `json:"dir"`
	Names []string `json:"names"`
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
	for _, dir := range a.Aside {
		d.Items = append(d.Items, Item{Path: dir, Sign: Changed, Problem: "what is in it is kept in its .aside/" + a.AsideName})
	}
	for _, e := range a.Entries {
		for _, n := range e.Names {
			d.Items = append(d.Items, Item{Path: path.Join(e.Dir, n), Sign: Gone, Problem: "removed, with all below it"})
		}
	}
	for _, f := range a.Files {
		d.Items = append(d.Items, Item{Path: f, Sign: Gone, Problem: "removed"})
	}
	for _, f := range a.Folders {
		d.Items = append(d.Items, Item{Path: f, Sign: Gone, Problem: "removed, if nothing else is in it"})
	}
	return d
}

// MemberEntries are what a member makes in the folders that are given to it:
// etcd in a data directory, and in a WAL directory of its own.
func MemberEntries() []string { return slices.Concat(memberEntries, walEntries) }

var memberEntries, walEntries = []string{"member"}, []string{"wal"}

func (b *builder) remove(m *member) {
	h, l := m.host, m.layout
	a := &Remove{}
	for _, d := range []struct {
		path    string
		dir     node.DirState
		entries []string
	}{{l.Data, h.Data, memberEntries}, {l.WAL, h.WAL, walEntries}} {
		there := slices.DeleteFunc(slices.Clone(d.entries), func(n string) bool { return !slices.Contains(d.dir.Entries, n) })
		switch {
		case d.path == "" || !d.dir.Exists || len(there) == 0:
		case b.opt.KeepData, b.plan.Verb == Apply && !b.opt.Purge:
			a.Aside, a.AsideName = append(a.Aside, d.path), b.asideName()
		default:
			a.Entries = append(a.Entries, RemoveEntries{Dir: d.path, Names: there})
		}
	}
	a.Files, a.Folders = b.ours(m)
	kept := append(slices.Clone(h.Data.Aside), h.WAL.Aside...)
	for _, dir := range a.Aside {
		kept = append(kept, path.Join(dir, ".aside"))
	}
	a.Folders = slices.DeleteFunc(a.Folders, func(dir string) bool {
		return slices.ContainsFunc(kept, func(k string) bool { return strings.HasPrefix(k, dir+"/") })
	})
	if !local(m.Member) && slices.Contains(a.Files, l.UnitFile) {
		a.Unit = l.Unit
	}
	if slices.ContainsFunc(l.BackupFiles(), func(p string) bool { return slices.Contains(a.Files, p) }) {
		a.Unit, a.Stop = l.Unit, []string{l.BackupTimer, l.BackupService}
	}
	if len(a.Aside)+len(a.Entries)+len(a.Files)+len(a.Folders) == 0 {
		return
	}
	b.add(draft{Step: Step{Member: m.Name, Title: "remove the member's files from " + m.Name, Action: a}})
}

// ours are the files and folders on a host that quorate made, those that are
// there: files first, the manifest, which says whose they are, last of them,
// so that a cut in between stays readable; and folders, the deepest first.
func (b *builder) ours(m *member) (files, folders []string) {
	h, l := m.host, m.layout
	files = []string{l.UnitFile, l.EtcdYAML, l.Bootstrap, l.Mark, l.CA, l.KVServer, l.Etcd}
	for _, p := range []string{"server", "peer", "client"} {
		files = append(files, l.Cert(p), l.Key(p), l.Key(p)+".new")
	}
	if local(m.Member) {
		files = append(files, l.Log, path.Join(l.Run, "supervisor.pid"), path.Join(l.Run, "state.json"))
	}
	files = append(append(files, l.BackupFiles()...), l.Manifest)
	files = slices.DeleteFunc(files, func(p string) bool { return !h.Files[p].Exists })
	folders = []string{l.PKI, l.Config, l.Bin, path.Dir(l.Config), path.Dir(l.Bin)}
	if man := h.Manifest; man != nil {
		folders = append(folders, man.Made...)
	}
	slices.SortFunc(folders, func(x, y string) int {
		return cmp.Or(strings.Count(y, "/")-strings.Count(x, "/"), strings.Compare(x, y))
	})
	folders = slices.DeleteFunc(slices.Compact(folders), func(p string) bool { return !h.Files[p].Exists })
	if len(files) == 0 && h.Manifest == nil && !h.Files[l.Config].Exists && !h.Files[l.Bin].Exists {
		return nil, nil
	}
	return files, folders
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
				Action: &Forget{Move: &MovePath{From: b.spec.TLS.Dir, To: b.spec.TLS.Dir + ".forgotten-" + b.asideName()}}}})
		}
		return
	}
	a := &Forget{}
	var dirs []string
	for _, c := range b.spec.Clients {
		have := b.obs.Clients[c.Name]
		if have.Endpoints != "" {
			a.Files = append(a.Files, EndpointsFile(c))
			a.Dirs = append(a.Dirs, path.Dir(EndpointsFile(c)))
		}
		if have.Cert != nil {
			a.Files = append(a.Files, c.Dir+"/"+c.Name+".pem", c.Dir+"/"+c.Name+"-key.pem")
		}
		if have.Cert != nil && !slices.Contains(a.Files, c.Dir+"/ca.pem") {
			a.Files = append(a.Files, c.Dir+"/ca.pem")
		}
		if (have.Cert != nil || have.Endpoints != "") && !slices.Contains(dirs, c.Dir) {
			dirs = append(dirs, c.Dir)
		}
	}
	a.Dirs = append(a.Dirs, dirs...)
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
