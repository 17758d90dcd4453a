package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/internal/sealed"
	"quorate/kvserver"
	"quorate/kvserver/snapshot"
	"quorate/plan/spec"
	"quorate/provision"
)

func newBackupCommand(p *process) *cobra.Command {
	cmd := newBackupSaveCommand(p)
	save := newBackupSaveCommand(p)
	cmd.Use = "backup"
	cmd.Short = "Take, list, verify, fetch and prune backups"
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return badFlags(fmt.Errorf("unknown verb %q after %s%s", args[0], cmd.CommandPath(), suggestion(cmd, args[0])))
		}
		return nil
	}
	cmd.Example = `  quorate backup
  quorate backup list
  quorate backup verify latest
  quorate backup fetch latest
  quorate backup prune --keep 7`
	cmd.AddCommand(save, newBackupListCommand(p), newBackupShowCommand(p), newBackupVerifyCommand(p), newBackupFetchCommand(p), newBackupPruneCommand(p))
	return cmd
}

// latest is the word for the newest good backup.
const latest = "latest"

// backupsDir is where fetched backups of a cluster are on this side, beside the spec.
func backupsDir(dir string, c *spec.Cluster) string { return filepath.Join(dir, "backups", c.Name) }

// inventory is the backups of a cluster, here and on its hosts.
type inventory struct {
	cluster *spec.Cluster
	dir     string // of those here
	here    []kvserver.ListedBackup
	hosts   []provision.HostBackups // nil: nobody asked
}

// backupsHere are those on this side. Of the newest check of them the whole file is read.
func backupsHere(j *job, check int) (*inventory, error) {
	s := &inventory{cluster: j.cluster, dir: backupsDir(j.dir, j.cluster)}
	var err error
	s.here, err = snapshot.List(s.dir, j.cluster.Name, check)
	return s, err
}

// allBackups asks the hosts too.
func allBackups(ctx context.Context, p *process, j *job, check int) (*inventory, error) {
	s, err := backupsHere(j, check)
	if err != nil {
		return nil, err
	}
	defer p.waiting([]*spec.Cluster{j.cluster})()
	s.hosts = j.session.Backups(ctx, check)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return s, nil
}

// places are the backups by name, the newest first, with where each is.
func (s *inventory) places() []view.StoredBackup {
	by := map[string]*view.StoredBackup{}
	var names []string
	add := func(where string, l kvserver.ListedBackup) {
		b := by[l.Name]
		if b == nil {
			b = &view.StoredBackup{Name: l.Name}
			by[l.Name] = b
			names = append(names, l.Name)
		}
		b.Add(where, l)
	}
	for _, l := range s.here {
		add(view.Here, l)
	}
	for _, h := range s.hosts {
		for _, l := range h.Backups {
			add(h.Member, l)
		}
	}
	out := []view.StoredBackup{}
	for _, n := range names {
		out = append(out, *by[n])
	}
	slices.SortStableFunc(out, func(a, b view.StoredBackup) int {
		return cmp.Or(b.At().Compare(a.At()), strings.Compare(b.Name, a.Name))
	})
	return out
}

// unasked are the hosts that could not be asked, and why.
func (s *inventory) unasked() []view.Unasked {
	var out []view.Unasked
	for _, h := range s.hosts {
		if h.Err != nil {
			out = append(out, view.Unasked{Host: h.Member, Problem: h.Err.Error()})
		}
	}
	return out
}

// find is the backup that a word means: a name, or the newest good one.
func (s *inventory) find(word string) (view.StoredBackup, error) {
	all := s.places()
	i := slices.IndexFunc(all, func(b view.StoredBackup) bool {
		if word == latest {
			return b.Good() != nil
		}
		return b.Name == word
	})
	if i >= 0 {
		return all[i], nil
	}
	text := fmt.Sprintf("cluster %q has no backup %q", s.cluster.Name, word)
	if word == latest {
		text = fmt.Sprintf("cluster %q has no good backup", s.cluster.Name)
	}
	for _, u := range s.unasked() {
		text += fmt.Sprintf("\n  %s could not be asked: %s", u.Host, u.Problem)
	}
	return view.StoredBackup{}, errors.New(text + "\n  `quorate backup list` shows those that are known, `quorate backup` takes one")
}

// whole is the backup that a word means, and a place where it looks whole, for what is to be done with it.
func (s *inventory) whole(word, verb string) (view.StoredBackup, *view.BackupPlace, error) {
	b, err := s.find(word)
	if err != nil {
		return b, nil, err
	}
	at := b.Good()
	if at == nil {
		err = fmt.Errorf("cannot %s %s: nowhere is it whole; see `quorate backup show %[2]s`", verb, b.Name)
	}
	return b, at, err
}

// isFile reports whether a word names a file on this side, and no backup by its name.
func isFile(word string) bool {
	if strings.ContainsRune(word, filepath.Separator) {
		return true
	}
	st, err := os.Stat(word)
	return word != latest && err == nil && st.Mode().IsRegular()
}

// encryptionOf opens, and makes, the cluster's backups.
func (p *process) encryptionOf(c *spec.Cluster, what string) sealed.Encryption {
	e := sealed.Encryption{What: what}
	if p.askSecret != nil {
		e.Prompt = p.prompt
	}
	if enc := c.Backup.Encryption; enc != nil {
		e.Passphrase, e.Recipients, e.IdentityFile = enc.Passphrase.Reveal(), enc.Recipients, c.Path(enc.IdentityFile)
	}
	return e
}

// completeBackups has the shell complete to the backups on this side: hosts are not connected for that.
func completeBackups(p *process, o *specOptions) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		l, err := readSpec(p, *o)
		if err != nil || l.spec == nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		out := []string{latest}
		clusters, _ := l.pick(o.Cluster) // a name that is not there completes to nothing
		for _, c := range clusters {
			all, _ := snapshot.List(backupsDir(l.dir, c), c.Name, 0)
			for _, b := range all {
				out = append(out, b.Name)
			}
		}
		return out, cobra.ShellCompDirectiveDefault
	}
}

// task is one thing that takes a while, told as a run's steps are.
type task struct {
	p        *process
	progress view.Progress // nil: nothing is told
	step     provision.Event
	began    time.Time
}

// beginTask tells of a task; with quiet it is not told of.
func (p *process) beginTask(title, member string, quiet bool, v view.Options) *task {
	c := &task{p: p, began: p.now(), step: provision.Event{Step: title, Title: title, Member: member}}
	switch {
	case quiet:
		return c
	case p.outTerminal:
		c.progress = view.Bars(raw(p.out), v)
	default:
		c.progress = view.Lines(p.out, v)
	}
	c.tell(provision.StepStarted, func(*provision.Event) {})
	return c
}

func (c *task) tell(kind provision.EventType, with func(*provision.Event)) {
	if c.progress == nil {
		return
	}
	e := c.step
	e.Type, e.At, e.Seconds = kind, c.p.now(), c.p.now().Sub(c.began).Seconds()
	with(&e)
	c.progress.Event(e)
}

// stages in words, as they stand behind whose they are.
var stageWords = map[kvserver.BackupStage]string{
	kvserver.StageReceive: "receiving", kvserver.StageRead: "reading", kvserver.StageCompare: "comparing", kvserver.StageWrite: "writing",
	kvserver.StageProve: "proving",
}

// line tells how far it is.
func (c *task) line(l kvserver.BackupLine) {
	if l.Total > 0 {
		c.moves(stageWords[l.Stage], l.Done, l.Total)
	}
}

func (c *task) moves(what string, done, total int64) {
	c.tell(provision.Progress, func(e *provision.Event) { e.Title, e.Sent, e.Total = what, done, total })
}

// end tells what came of it, and passes the error on.
func (c *task) end(detail string, err error) error {
	kind := provision.StepDone
	if err != nil {
		kind = provision.StepFailed
	}
	c.tell(kind, func(e *provision.Event) { e.Detail = detail })
	if c.progress != nil {
		c.progress.Close()
	}
	return err
}
