package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"quorate/cmd/quorate/internal/view"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision"
	"quorate/provision/host"
	"quorate/provision/world"
)

// carrying shows plans, asks once, and carries them out one cluster after another.
type carrying struct {
	p        *process
	run      runOptions
	json     bool
	parallel int
	v        view.Options
	hint     string
	// confirm is what must be typed; "" asks for yes.
	confirm string
	// warning stands before that question; "": that it cannot be undone.
	warning string
	// snapshot is what a restore is from; nil where nothing is. work is a folder for what it brings here.
	snapshot host.Blob
	work     string
	// edit is the change of the spec that the plans are made for, written down before they are carried out; nil: none.
	edit *spec.Edit
}

// line is one line of --json output.
type line struct {
	Type    string         `json:"type"`
	Cluster string         `json:"cluster"`
	Edit    *view.SpecEdit `json:"edit,omitempty"`
	Plan    *plan.Plan     `json:"plan,omitempty"`
	// Earlier is the latest run of the cluster, if it did not end well: in the line of the plan.
	Earlier *provision.KnownRun `json:"earlier_run,omitempty"`
	// Sources are what a cluster can be recovered from, and From the one that is taken.
	Sources *plan.RecoverySources `json:"sources,omitempty"`
	From    string                `json:"from,omitempty"`
	Event   *provision.Event      `json:"event,omitempty"`
	Report  *provision.Report     `json:"report,omitempty"`
}

func (c *carrying) emit(l line) {
	b, err := json.Marshal(l)
	if err == nil {
		_, _ = c.p.out.Write(append(b, '\n')) // output that cannot be written does not stop a run
	}
}

// show prints the edit of the spec and the plans.
func (c *carrying) show(jobs []*job) error {
	if c.edit != nil {
		e := view.EditOf(c.edit)
		if c.json {
			c.emit(line{Type: "edit", Cluster: jobs[0].cluster.Name, Edit: &e})
		} else if err := view.EditText(c.p.out, e, c.v); err != nil {
			return err
		}
	}
	for i, j := range jobs {
		if c.json {
			c.emit(line{Type: "plan", Cluster: j.cluster.Name, Plan: j.plan, Earlier: j.left()})
		} else if err := showPlan(c.p, j, i > 0 || c.edit != nil, false, c.v); err != nil {
			return err
		}
	}
	return nil
}

func (c *carrying) all(ctx context.Context, jobs []*job) (err error) {
	var worst error
	todo := slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return j.plan.Empty() })
	if err := c.show(jobs); err != nil {
		return err
	}
	for _, j := range jobs {
		if len(j.plan.Held) > 0 {
			worst = said(exitHeld)
		}
	}
	if c.edit != nil && worst != nil && !slices.ContainsFunc(todo, acts) {
		fmt.Fprintf(c.p.err, "nothing of it can be done now, so %s is left as it is\n", c.edit.File)
		return worst
	}
	if len(todo) == 0 && c.edit == nil {
		return worst
	}
	asked := c.p.now()
	if err := c.approve(ctx, c.unnamed(todo)); err != nil {
		return err
	}
	if c.p.now().Sub(asked) > longAsked {
		if err := c.again(ctx, todo); err != nil {
			return err
		}
	}
	if c.edit != nil {
		if err := writeEdit(c.edit); err != nil {
			return err
		}
		if !c.json {
			fmt.Fprintf(c.p.out, "\n%s is changed\n", c.edit.File)
		}
	}
	defer func() {
		if c.edit != nil && err != nil {
			fmt.Fprintf(c.p.err, "%s is changed already: quorate apply%s goes on\n", c.edit.File, c.hint)
		}
	}()
	for i, j := range todo {
		err := c.one(ctx, j)
		if worst = worse(worst, err); err == nil {
			continue
		}
		var left []string
		for _, k := range todo[i+1:] {
			left = append(left, k.cluster.Name)
		}
		if len(left) > 0 {
			fmt.Fprintf(c.p.err, "not begun: %s\n", view.List(left))
		}
		break
	}
	return worst
}

// acts reports whether a plan does more than note things down.
func acts(j *job) bool {
	return slices.ContainsFunc(j.plan.Steps, func(s plan.Step) bool {
		return s.Action.Phase() != plan.PhaseRecord && s.Action.Phase() != plan.PhaseForget
	})
}

// longAsked is how long a question may be open before what was seen is seen to be old.
const longAsked = 30 * time.Second

// again looks once more at every cluster that has steps, and refuses if one is not as the
// plan that was approved knew it.
func (c *carrying) again(ctx context.Context, jobs []*job) error {
	for _, j := range jobs {
		now, err := j.session.Observe(ctx)
		if err != nil {
			return err
		}
		fresh := now.Facts()
		if plan.FactsDigest(fresh) == j.plan.ObservedDigest {
			continue
		}
		if err := view.Moved(c.p.err, j.cluster.Name, plan.Moved(j.plan.Observed, fresh), c.v); err != nil {
			return err
		}
		return &exitError{code: exitHeld, message: fmt.Sprintf("cluster %q has changed while the question was open, so nothing was touched\n  run again and review the new plan", j.cluster.Name)}
	}
	return nil
}

// unnamed are the members that the plans expel although they answer, and that nobody has named yet.
func (c *carrying) unnamed(jobs []*job) []string {
	var out []string
	for _, j := range jobs {
		for _, s := range j.plan.Steps {
			a, ok := s.Action.(*plan.Expel)
			if ok && a.Answers && !slices.Contains(c.run.Remove, a.Target.Name) && !slices.Contains(c.run.Remove, a.Target.ID) {
				out = append(out, cmp.Or(a.Target.Name, a.Target.ID))
			}
		}
	}
	return out
}

// approve asks before anything is touched: for the name of each member that is expelled although it
// answers, which a yes does not cover, and otherwise for a yes.
func (c *carrying) approve(ctx context.Context, unnamed []string) error {
	flags := ""
	for _, name := range unnamed {
		flags += " --remove " + shellQuote(name)
	}
	switch {
	case c.run.AutoApprove && len(unnamed) > 0:
		return badUsage("%s would be expelled and may well be serving, and -y is not enough for that; nothing was touched\n  review the plan, and if that is meant, run again with%s", view.List(unnamed), flags)
	case c.run.AutoApprove:
		return nil
	case !c.p.inTerminal || c.json:
		return badUsage("this needs a yes, and nobody is there to ask; nothing was touched\n  review the plan and run again with -y%s", flags)
	}
	for _, name := range unnamed {
		if err := c.question(ctx, fmt.Sprintf("\n%s will be expelled, and its data is of no use afterwards. Type its name (%s) to go on: ", name, name), name); err != nil {
			return err
		}
	}
	switch {
	case c.confirm != "":
		return c.question(ctx, fmt.Sprintf("\n%s Type the cluster's name (%s) to go on: ", cmp.Or(c.warning, "This cannot be undone."), c.confirm), c.confirm)
	case len(unnamed) > 0:
		return nil // who has typed the names means the plan
	}
	return c.question(ctx, "\nApply? Only yes goes on: ", "yes")
}

// question asks one thing, and is nil only for the answer that is wanted.
func (c *carrying) question(ctx context.Context, question, want string) error {
	got, err := c.p.ask(ctx, question)
	switch {
	case interrupted(err):
		return &exitError{code: exitInterrupted, message: "interrupted; nothing was touched"}
	case err != nil:
		return fmt.Errorf("cannot read the answer: %w", err)
	case got != want:
		return &exitError{code: exitFailed, message: "not approved; nothing was touched"}
	}
	return nil
}

// one carries out the plan of one cluster.
func (c *carrying) one(ctx context.Context, j *job) error {
	if err := os.MkdirAll(filepath.Join(j.dir, ".quorate"), 0o700); err != nil {
		return err
	}
	// What lies in .quorate is this machine's alone: journals, and local members with their keys.
	if err := world.Ignore(filepath.Join(j.dir, ".quorate"), "*\n"); err != nil {
		return err
	}
	progress := c.progress(j)
	c.p.flight.begin(progress)
	report, err := j.session.Apply(ctx, c.p.abort, j.plan, provision.RunOptions{ID: j.run, Parallelism: c.parallel, Snapshot: c.snapshot, Work: c.work, Events: func(e provision.Event) {
		c.p.flight.event(e)
		progress.Event(e)
	}})
	c.p.flight.end()
	progress.Close()
	switch {
	case report == nil:
		return err
	case c.json:
		c.emit(line{Type: "report", Cluster: j.cluster.Name, Report: report})
		return outcome(err, j.plan)
	}
	if err := view.Report(c.p.out, report, c.v); err != nil {
		return err
	}
	if err == nil && j.plan.Verb == plan.Apply {
		if err := view.Reach(c.p.out, report, c.hint, c.v); err != nil {
			return err
		}
	}
	if err == nil && len(j.plan.Held) > 0 {
		if err := view.StillHeld(c.p.out, j.plan, c.v); err != nil {
			return err
		}
	}
	if err != nil && !interrupted(err) {
		return said(exitFailed) // the report has said why
	}
	return outcome(err, j.plan)
}

// outcome of a run whose plan may have held something back.
func outcome(err error, p *plan.Plan) error {
	if err == nil && len(p.Held) > 0 {
		return said(exitHeld)
	}
	return err
}

func (c *carrying) progress(j *job) view.Progress {
	switch {
	case c.json:
		return jsonEvents{c, j.cluster.Name}
	case c.p.outTerminal:
		return view.Bars(raw(c.p.out), c.v)
	}
	return view.Lines(c.p.out, c.v)
}

// jsonEvents prints each event as a line. Events come one after another.
type jsonEvents struct {
	c       *carrying
	cluster string
}

func (e jsonEvents) Event(ev provision.Event) {
	e.c.emit(line{Type: "event", Cluster: e.cluster, Event: &ev})
}

func (jsonEvents) Close() {}
