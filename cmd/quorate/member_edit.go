package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/internal/durable"
	"quorate/kvserver"
	"quorate/plan"
	"quorate/plan/spec"
)

// editOptions of the verbs that edit the spec.
type editOptions struct {
	specOptions
	hostOptions
	runOptions
	outputOptions
	DryRun           bool
	DetailedExitcode bool
}

// editHelp is what all of them do.
const editHelp = `
The difference in the spec is shown, and the plan for it; after a yes the file is
written and the plan carried out. If the answer is no, or the plan can do nothing
now, the file stays as it is. If the run is cut, or a step fails, the spec is
changed already and apply goes on.

--dry-run shows both and touches nothing. Its exit codes are those of plan: 0, or 4
if a held matter blocks everything; with --detailed-exitcode 0 nothing to do, 3
changes are pending, 4 something is held.`

func (o *editOptions) AddFlags(p *process, cmd *cobra.Command) {
	f := cmd.Flags()
	o.specOptions.AddFlags(p, cmd)
	o.hostOptions.AddFlags(p, cmd, &o.specOptions)
	o.runOptions.AddFlags(f)
	o.runOptions.addRemove(f)
	o.addPurge(f)
	o.addJSON(f, "print the edit, plan, events and report as JSON, one a line")
	o.addDiff(cmd)
	f.BoolVar(&o.DryRun, "dry-run", false, "show the difference and the plan, and touch nothing")
	f.BoolVar(&o.DetailedExitcode, "detailed-exitcode", false, "with --dry-run: tell by the exit code whether changes are pending (3) or held (4)")
}

func (o *editOptions) check() error {
	if o.DetailedExitcode && !o.DryRun {
		return badUsage("--detailed-exitcode goes with --dry-run")
	}
	return errors.Join(o.hostOptions.check(), o.outputOptions.check())
}

// oneCluster reads the spec as it is, for a cluster whose members are to change. Warnings are kept for what it becomes.
func oneCluster(p *process, o editOptions) (*loaded, *spec.Cluster, error) {
	if err := o.check(); err != nil {
		return nil, nil, err
	}
	l, err := readSpec(p, o.specOptions)
	if err != nil {
		return nil, nil, err
	}
	if l.diags.HasErrors() {
		return nil, nil, l.complain(p, o.JSON)
	}
	c, err := l.one(o.Cluster)
	return l, c, err
}

// runEdit edits the spec, and plans and applies what it becomes. An edit of nil leaves it as it is.
func runEdit(ctx context.Context, p *process, o editOptions, v view.Options, edit func(*loaded, *spec.Cluster) (*spec.Edit, error)) error {
	l, was, err := oneCluster(p, o)
	if err != nil {
		return err
	}
	e, err := edit(l, was)
	if err != nil {
		if _, ok := errors.AsType[*spec.ProtectedError](err); ok {
			return &exitError{code: exitHeld, message: err.Error()}
		}
		return &usageError{err: err}
	}
	if e != nil {
		if st, err := os.Stat(e.File); err != nil || !st.Mode().IsRegular() {
			return badUsage("cannot edit %q: it is no regular file", e.File)
		}
		l = l.edited(e)
	}
	if err := l.complain(p, o.JSON); err != nil {
		return err
	}
	if l.clusters, err = l.pick(was.Name); err != nil {
		return err
	}
	how := look{hostOptions: o.hostOptions, build: plan.Build}
	if e != nil {
		how.from = spec.Digest(was)
	}
	if !o.DryRun {
		how.lock, how.wait = plan.Apply, o.LockTimeout
	}
	jobs := prepare(ctx, p, l, how)
	defer closeAll(jobs)
	if err := worstError(p, jobs); err != nil {
		return err // nothing has been touched
	}
	c := &carrying{p: p, run: o.runOptions, json: o.JSON, parallel: o.Parallelism, v: v, hint: fileHint(o.specOptions), edit: e}
	if !o.DryRun {
		return c.all(ctx, jobs)
	}
	if err := c.show(jobs); err != nil {
		return err
	}
	if exit := planExit(jobs[0].plan, o.DetailedExitcode); exit != nil || e == nil || !o.DetailedExitcode {
		return exit
	}
	return said(exitPending) // the spec itself would change
}

// findMembers finds the members that words mean: of the spec by their names and
// addresses, and if that is not enough, by what the cluster lists.
func findMembers(ctx context.Context, p *process, o editOptions, l *loaded, c *spec.Cluster, words ...string) ([]plan.Listed, error) {
	var out []plan.Listed
	if !slices.ContainsFunc(words, func(w string) bool { return inSpec(c, w) == nil }) {
		for _, w := range words {
			m := inSpec(c, w)
			out = append(out, plan.Listed{Name: m.Name, Spec: m.Name})
		}
		return out, nil
	}
	l.clusters = []*spec.Cluster{c}
	jobs := prepare(ctx, p, l, look{hostOptions: o.hostOptions})
	defer closeAll(jobs)
	if err := worstError(p, jobs); err != nil {
		return nil, err
	}
	census := plan.TakeCensus(c, jobs[0].observed)
	for _, w := range words {
		m, err := census.Find(c, w)
		if err != nil && !census.Known {
			return nil, &exitError{code: exitFailed, message: err.Error() + ",\n  and no member could say who else is one: see quorate status"}
		}
		if err != nil {
			return nil, &usageError{err: err}
		}
		out = append(out, m)
	}
	return out, nil
}

// inSpec is the member that has a name, or, alone, an address; nil if none is.
func inSpec(c *spec.Cluster, word string) *spec.Member {
	if m := c.Member(word); m != nil {
		return m
	}
	var found *spec.Member
	for _, m := range c.Members {
		if m.Address == word && found != nil {
			return nil
		}
		if m.Address == word {
			found = m
		}
	}
	return found
}

// namesOf are all names that members have: who has said one of them has said which is meant.
func namesOf(members []plan.Listed) []string {
	var out []string
	for _, m := range members {
		out = append(out, m.Name, m.Spec)
		if m.ID != 0 {
			out = append(out, kvserver.ID(m.ID))
		}
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

// writeEdit puts the new text in place of the old one, if that is still there: whole and durable, with its mode and owner; a
// link stays a link.
func writeEdit(e *spec.Edit) error {
	real, err := filepath.EvalSymlinks(e.File)
	if err != nil {
		return fmt.Errorf("cannot write %q: %w; nothing was touched", e.File, plain(err))
	}
	now, err := os.ReadFile(real)
	if err != nil {
		return fmt.Errorf("cannot read %q again: %w; nothing was touched", e.File, plain(err))
	}
	if !bytes.Equal(now, e.Before) {
		return &exitError{code: exitHeld, message: fmt.Sprintf("%s has changed while the question was open, so nothing was touched\n  run again and review the new plan", e.File)}
	}
	st, err := os.Stat(real)
	if err != nil {
		return fmt.Errorf("cannot write %q: %w; nothing was touched", e.File, plain(err))
	}
	f := durable.File{Path: real, Mode: st.Mode(), UID: -1, GID: -1, Content: e.After}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		f.UID, f.GID = int(sys.Uid), int(sys.Gid)
	}
	if err := durable.Write(f); err != nil {
		return fmt.Errorf("cannot write %q: %w; nothing was touched", e.File, plain(err))
	}
	return nil
}
