package view

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"quorate/kvserver"
)

// Here is the place of a backup that is on this side.
const Here = "here"

// StoredBackup is a backup, with where it is. It is also the JSON of `backup list` and
// `backup show`: names there do not change their meaning.
type StoredBackup struct {
	Name string `json:"name"`
	// Backup is what its metadata says; nil: none that can be read.
	Backup *kvserver.Backup `json:"backup,omitempty"`
	Places []BackupPlace    `json:"places"`
}

// BackupPlace is where one is.
type BackupPlace struct {
	// Where is a member's name, or here.
	Where string `json:"where"`
	Size  int64  `json:"size"` // bytes of the file; -1: it is not there
	// Checked: the file was read whole, and has the digest that its metadata names.
	Checked bool   `json:"checked"`
	Problem string `json:"problem,omitempty"`
}

// Add notes a place.
func (b *StoredBackup) Add(where string, l kvserver.ListedBackup) {
	b.Places = append(b.Places, BackupPlace{Where: where, Size: l.Size, Checked: l.Checked, Problem: l.Problem})
	known := b.Backup
	if b.Backup == nil || l.Good() {
		b.Backup = l.Backup
	}
	// What was proved in one place holds for the same file in another.
	if b.Backup != nil && b.Backup.Proof == nil && known != nil && known.PackedSHA256 == b.Backup.PackedSHA256 {
		b.Backup.Proof = known.Proof
	}
}

// Good is a place where it looks whole, one here by preference; nil: nowhere.
func (b *StoredBackup) Good() *BackupPlace {
	var good *BackupPlace
	for i, p := range b.Places {
		if b.Backup != nil && p.Problem == "" && (good == nil || p.Where == Here) {
			good = &b.Places[i]
		}
	}
	return good
}

// At is when it was taken, zero if nobody knows.
func (b *StoredBackup) At() time.Time {
	if b.Backup == nil {
		return time.Time{}
	}
	return b.Backup.At
}

// Unasked is a host that could not be asked for its backups.
type Unasked struct {
	Host    string `json:"host"`
	Problem string `json:"problem"`
}

// Backups are those of a cluster, the newest first: the JSON of `backup list`.
type Backups struct {
	Cluster string         `json:"cluster"`
	Backups []StoredBackup `json:"backups"`
	Unasked []Unasked      `json:"unasked,omitempty"`
}

// BackupsText lists them for people.
func BackupsText(w io.Writer, b Backups, o Options) error {
	d := &paper{w: w, o: o}
	d.line("%s", d.paint(bold, "cluster "+b.Cluster))
	if len(b.Backups) == 0 {
		d.line("  %s", d.paint(yellow, "no backup is known"))
	} else {
		var rows [][]string
		for _, s := range b.Backups {
			rows = append(rows, s.row(o.Now))
		}
		d.columns("  ", []string{"TAKEN", "REVISION", "KEYS", "SIZE", "PROVED", "WHERE", "BACKUP"}, rows)
	}
	for _, s := range b.Backups {
		for _, p := range s.Places {
			if p.Problem != "" {
				d.line("  %s", d.paint(red, s.Name+" on "+p.Where+": "+p.Problem))
			}
		}
	}
	for _, u := range b.Unasked {
		d.line("  %s", d.paint(yellow, u.Host+" could not be asked: "+u.Problem))
	}
	return d.err
}

func (b *StoredBackup) row(now time.Time) []string {
	var where []string
	for _, p := range b.Places {
		if p.Problem != "" {
			p.Where += " (!)"
		}
		where = append(where, p.Where)
	}
	m := b.Backup
	if m == nil {
		return []string{"-", "-", "-", "-", "-", strings.Join(where, ", "), b.Name}
	}
	keys := "-"
	if m.Hash != nil {
		keys = fmt.Sprint(m.Keys)
	}
	proved := "-"
	if m.Proof != nil && m.Proof.Agreed {
		proved = humanize.RelTime(m.Proof.At, now, "ago", "from now")
	} else if m.Proof != nil {
		proved = "differs"
	}
	return []string{humanize.RelTime(m.At, now, "ago", "from now"), fmt.Sprint(m.Content.Revision), keys, humanize.IBytes(uint64(m.PackedSize)), proved, strings.Join(where, ", "), b.Name}
}

// Taken is in a few words what a backup holds.
func Taken(b *kvserver.Backup) string {
	text := fmt.Sprintf("revision %d, ", b.Content.Revision)
	if b.Hash != nil {
		text += plural(b.Keys, "key") + ", "
	}
	text += fmt.Sprintf("%s (%s kept)", humanize.IBytes(uint64(b.Size)), humanize.IBytes(uint64(b.PackedSize)))
	switch b.Compared.Result {
	case kvserver.Agreed:
		text += "; the member holds the same"
	case kvserver.NotCompared:
		text += "; not compared with the member: " + b.Compared.Why
	}
	return text
}

// SavedText says what was taken, and where it is.
func SavedText(w io.Writer, s StoredBackup, here string, o Options) error {
	d := &paper{w: w, o: o}
	var where []string
	for _, p := range s.Places {
		where = append(where, place(p.Where, here))
	}
	d.line("%s", d.paint(green, fmt.Sprintf("backup %s is %s", s.Name, List(where))))
	if !s.Backup.Encrypted {
		d.line("%s", d.paint(dim, "It holds all keys and values, unencrypted: a backup block with encryption in the spec changes that."))
	}
	return d.err
}

func place(where, here string) string {
	if where == Here {
		return "in " + here
	}
	return "on " + where
}

// BackupText shows one backup.
func BackupText(w io.Writer, s StoredBackup, here string, o Options) error {
	d := &paper{w: w, o: o}
	d.line("%s", d.paint(bold, s.Name))
	for _, p := range s.Places {
		text := place(p.Where, here)
		switch {
		case p.Problem != "":
			d.line("  %s", d.paint(red, text+": "+p.Problem))
		case p.Checked:
			d.line("  %s", d.paint("", text+", whole: its digest was compared"))
		default:
			d.line("  %s", d.paint("", text))
		}
	}
	m := s.Backup
	if m == nil {
		return d.err
	}
	row := func(name, format string, args ...any) {
		d.wrapped(painted(fmt.Sprintf("  %-12s", name)), fmt.Sprintf(format, args...), "")
	}
	row("taken", "%s, of member %s (%s) of cluster %s (%s), etcd %s, by kvserver %s", m.At.Format(time.RFC3339), m.Member, m.MemberID, m.Cluster, m.ClusterID, m.Version, m.Tool)
	row("content", "%s; raft index %d of term %d", Taken(m), m.Content.Applied, m.Content.Term)
	if m.Hash != nil {
		row("hash", "%08x at revision %d, compacted to %d", m.Hash.Hash, m.Hash.Revision, max(m.Hash.CompactRevision, 0))
	} else {
		row("hash", "none: %s", m.Unhashed)
	}
	row("sha256", "%s", m.SHA256)
	if p := m.Proof; p != nil {
		row("proof", "%s; restored in %s, served %s after that", Proof(p, o.Now), seconds(p.RestoreSeconds), seconds(p.ServeSeconds))
	}
	members := make([]string, 0, len(m.Content.Members))
	for _, e := range m.Content.Members {
		members = append(members, e.Name)
	}
	row("members", "%s", strings.Join(members, ", "))
	var also []string
	for _, a := range m.Content.Alarms {
		also = append(also, "the alarm "+a.Alarm+" of "+a.Member)
	}
	if m.Content.AuthEnabled {
		also = append(also, "authentication on, with the users "+strings.Join(m.Content.Users, ", "))
	}
	if m.Content.Leases > 0 {
		also = append(also, fmt.Sprintf("%s, whose time begins anew when it is restored", plural(int64(m.Content.Leases), "lease")))
	}
	if len(also) > 0 {
		row("also", "%s", strings.Join(also, "; "))
	}
	if m.Encrypted {
		row("encrypted", "with age")
	}
	var files []string
	for name := range m.Files {
		files = append(files, name)
	}
	slices.Sort(files)
	if len(files) > 0 {
		row("files", "%s", strings.Join(files, ", "))
	}
	return d.err
}

// PrunedText says what is to go, and what stays, of each place.
func PrunedText(w io.Writer, places []Pruned, here string, keep int, o Options) error {
	d := &paper{w: w, o: o}
	for _, p := range places {
		if len(p.Remove) == 0 {
			d.line("%s", d.paint(dim, fmt.Sprintf("%s: nothing to remove: %s, keeping %d", place(p.Where, here), plural(int64(p.Good), "good backup"), keep)))
			continue
		}
		d.line("%s", d.paint(bold, fmt.Sprintf("%s: keeping the newest %s, removing %d", place(p.Where, here), plural(int64(keep), "good backup"), len(p.Remove))))
		for _, name := range p.Remove {
			d.line("  %s", d.paint(red, "- "+filepath.Base(name)))
		}
	}
	return d.err
}

// Pruned is what is removed of one place: the JSON of `backup prune`.
type Pruned struct {
	Where  string   `json:"where"` // a member's name, or here
	Good   int      `json:"good"`  // before
	Remove []string `json:"remove"`
	Done   bool     `json:"done"`
}

// Found is in a few words what verifying has found.
func Found(l kvserver.VerifyLine) string {
	v := l.Verified
	text := fmt.Sprintf("revision %d, %s, %s, etcd %s's form; every page and key was read", v.Content.Revision, plural(v.Keys, "key"), humanize.IBytes(uint64(v.Size)), v.Content.Writer())
	if v.Metadata != nil {
		text += ", and all is as its metadata says"
	} else {
		text += "; it has no metadata"
	}
	if p := l.Proved; p != nil {
		text += fmt.Sprintf("; restored in %s, served %s after that with the same content, %s of memory", seconds(p.RestoreSeconds), seconds(p.ServeSeconds), humanize.IBytes(uint64(p.PeakMemory)))
	}
	return text
}

// seconds with as many digits as tell something.
func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(max(10*time.Millisecond, time.Duration(s*1e7))).String()
}

// Proof is in a few words what came of proving a backup; "" where nobody has tried.
func Proof(p *kvserver.BackupProof, now time.Time) string {
	switch {
	case p == nil:
		return ""
	case !p.Agreed:
		return "restored " + humanize.RelTime(p.At, now, "ago", "from now") + ", and was not what it should be"
	}
	return "proved " + humanize.RelTime(p.At, now, "ago", "from now")
}

// plural is a number of things, with commas and the plural.
func plural(n int64, thing string) string {
	return humanize.Comma(n) + " " + english.PluralWord(int(n), thing, "")
}
