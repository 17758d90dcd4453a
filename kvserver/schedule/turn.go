// Package schedule is what a host does by itself with backups: one turn of a timer, and the proof that what was taken can be restored.
// Hosts do not talk about it: each one decides by what the cluster's members are, so more than one may take a backup, and at
// least one does. What a backup is, how it is taken and which are kept is in packages kvserver and snapshot.
package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"quorate/kvserver"
	"quorate/kvserver/snapshot"
)

// Options are what else a turn depends on.
type Options struct {
	Now  func() time.Time
	Tool string // version of this program
	// Log gets what etcd warns of while a backup is proved; nil: nobody.
	Log io.Writer
	// Say, which may be nil, hears a line for people of each thing that was done, or left.
	Say func(line string)
}

// Turn is one turn of the timer: where this host's member is to take a backup, one is taken, and has been read and compared; then it is proved if
// that is due, and older ones are removed down to those to be kept, once the newest was read whole. What came of
// it is noted in the folder's state and, if there is one, in the node exporter's file, also where it failed. Nothing is tried
// again: the service manager does.
//
// An error says what could not be done. A backup that was taken stays whatever comes after it.
func Turn(ctx context.Context, s kvserver.ScheduledBackup, o Options) error {
	if o.Say == nil {
		o.Say = func(string) {}
	}
	t := &turn{ScheduledBackup: s, Options: o}
	err := os.MkdirAll(s.Dir, 0o700)
	if err == nil {
		t.recall()
		err = t.take(ctx)
	}
	t.failed(err)
	if numbers := t.publish(); numbers != nil {
		err = errors.Join(err, numbers)
		t.failed(err)
	}
	return errors.Join(err, t.remember())
}

// failed notes why something was not done, in one line; nil is nothing.
func (t *turn) failed(err error) {
	if err != nil {
		t.state.Failure = &kvserver.BackupFailure{At: t.now(), Reason: strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
}

type turn struct {
	kvserver.ScheduledBackup
	Options
	state kvserver.BackupState
}

func (t *turn) now() time.Time { return t.Now().UTC().Truncate(time.Second) }

func (t *turn) say(format string, args ...any) { t.Say(fmt.Sprintf(format, args...)) }

func (t *turn) take(ctx context.Context) error {
	// A boot, or an apply that changed the timer, is no reason for another one.
	if s := t.state.Success; s != nil && !s.At.After(t.now()) && t.now().Sub(s.At) < t.Interval()/2 {
		t.say("nothing is due: %s was taken at %s", s.Name, s.At.Format(time.RFC3339))
		return nil
	}
	others, err := t.others(ctx)
	if err != nil {
		return fmt.Errorf("cannot find out who takes a backup of cluster %q: %w", t.Cluster, err)
	}
	if others != "" {
		t.state.PassedOver = &kvserver.BackupFailure{At: t.now(), Reason: others}
		t.say("no backup is taken here: %s", others)
		return nil
	}
	r, err := t.request()
	if err != nil {
		return err
	}
	var proved error
	_, err = snapshot.Save(ctx, r, snapshot.Options{Now: t.Now(), Tool: t.Tool, Then: func(plain string, b *kvserver.Backup) { proved = t.taken(ctx, plain, b) }})
	if err != nil {
		return err
	}
	return errors.Join(proved, t.prune())
}

// request is what is taken, with what belongs to it.
func (t *turn) request() (kvserver.BackupRequest, error) {
	r := t.BackupRequest
	var manifest struct {
		SpecDigest string `json:"spec_digest"`
	}
	text, err := os.ReadFile(t.Manifest)
	if err == nil && json.Unmarshal(text, &manifest) == nil { // without it nobody knows which spec it was
		r.SpecDigest = manifest.SpecDigest
	}
	if t.CAName == "" {
		return r, nil
	}
	ca, err := os.ReadFile(t.CA)
	r.Files = map[string]string{t.CAName: string(ca)}
	return r, err
}

// taken notes a backup that is in place, before anything is done with it that takes memory, and proves it.
func (t *turn) taken(ctx context.Context, plain string, b *kvserver.Backup) error {
	t.state.Success = &kvserver.BackupSuccess{At: t.now(), Name: b.Name, Size: b.PackedSize, Revision: b.Content.Revision}
	t.say("taken: %s, revision %d, %s", b.Name, b.Content.Revision, humanize.IBytes(uint64(b.PackedSize)))
	if err := t.remember(); err != nil {
		return err
	}
	if !t.proofDue() {
		return nil
	}
	p, err := proof{dir: t.Dir, content: b.Content, hash: b.Hash, log: t.Log}.of(ctx, plain)
	if err != nil {
		return fmt.Errorf("%s was taken, and could not be proved: %w", b.Name, err)
	}
	kept := p.Proof(t.now())
	if err := snapshot.Note(filepath.Join(t.Dir, b.Name), kept); err != nil {
		return err
	}
	if err := p.Err(b.Name); err != nil {
		return err
	}
	t.state.Proof = &kept
	t.say("proved: restored in %.1f s, served %.1f s after that, %d keys", p.RestoreSeconds, p.ServeSeconds, p.Keys)
	return nil
}

// week is how old the last proof may be.
const week = 7 * 24 * time.Hour

func (t *turn) proofDue() bool {
	switch t.Prove {
	case kvserver.ProveAlways:
		return true
	case kvserver.ProveWeekly:
		p := t.state.Proof
		return p == nil || p.At.After(t.now()) || t.now().Sub(p.At) >= week
	}
	return false
}

// prune removes what is older than those to be kept. The newest good one is read whole first: it is never the only one that is left
// and not good.
func (t *turn) prune() error {
	all, err := snapshot.List(t.Dir, t.Cluster, 1)
	if err != nil {
		return err
	}
	var names []string
	for _, b := range kvserver.Retain(all, t.Keep) {
		names = append(names, b.Name)
	}
	if len(names) == 0 {
		return nil
	}
	if err := snapshot.Remove(t.Dir, names); err != nil {
		return fmt.Errorf("cannot remove old backups: %w", err)
	}
	t.say("removed, as %d good ones are kept: %s", t.Keep, strings.Join(names, ", "))
	return nil
}
