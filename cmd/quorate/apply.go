package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision"
)

// ApplyOptions of the verb apply.
type ApplyOptions struct {
	specOptions
	hostOptions
	runOptions
	outputOptions
}

func newApplyCommand(p *process) *cobra.Command {
	var o ApplyOptions
	cmd := &cobra.Command{
		Use:     "apply [PLANFILE]",
		Aliases: []string{"setup"},
		Short:   "Bring clusters to what the spec says",
		Long: `Plan under the clusters' lock, show the plan, ask, and carry it out exactly as
shown. Steps of different hosts run side by side; at most one that touches the
quorum is under way. Applying again changes nothing. An interrupted run loses
nothing: apply again and it goes on.

With PLANFILE (from quorate plan -o) that plan is carried out, and refused if the
spec or the world is not what it was made for.

What the plan holds back is not done; the exit code is then 4.

A plan that expels a member that answers asks for the member's name; with -y it
is refused unless --remove says the name.

Ctrl-C finishes the steps in flight and begins no other; a second one abandons
them where they stand, which is safe too. SIGTERM and a closed terminal count as
the first. A reader that goes away (apply | head) ends the output, not the run.

--json needs -y where there is something to do, and prints one JSON object a
line: the plan, the events of the run, the report.`,
		Example: `  quorate apply
  quorate apply -f clusters/ --cluster lab -y
  quorate apply lab.plan
  quorate apply -y --remove etcd3
  quorate apply --lock-timeout 5m`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runApply(cmd.Context(), p, o, strings.Join(args, ""), viewOptions(p, cmd, o.outputOptions))
		},
	}
	f := cmd.Flags()
	o.specOptions.AddFlags(p, cmd)
	o.hostOptions.AddFlags(p, cmd, &o.specOptions)
	o.runOptions.AddFlags(f)
	o.runOptions.addRemove(f)
	o.addPurge(f)
	o.addJSON(f, "print the plan, events and report as JSON, one a line")
	o.addDiff(cmd)
	return cmd
}

func runApply(ctx context.Context, p *process, o ApplyOptions, planFile string, v view.Options) error {
	if err := errors.Join(o.hostOptions.check(), o.outputOptions.check()); err != nil {
		return err
	}
	l, err := loadSpec(p, o.specOptions, o.JSON)
	if err != nil {
		return err
	}
	how := look{hostOptions: o.hostOptions, lock: plan.Apply, wait: o.LockTimeout, build: plan.Build}
	var saved *plan.Plan
	if planFile != "" {
		if saved, l.clusters, err = readPlan(l, planFile, o.Cluster); err != nil {
			return err
		}
		if how.lock = saved.Verb; saved.Verb == plan.Destroy {
			how.build = plan.BuildDestroy
		}
	}
	jobs := prepare(ctx, p, l, how)
	defer closeAll(jobs)
	if err := worstError(p, jobs); err != nil {
		return err // nothing has been touched
	}
	if saved != nil {
		if err := jobs[0].replay(p, planFile, saved, v); err != nil {
			return err
		}
	}
	c := &carrying{p: p, run: o.runOptions, json: o.JSON, parallel: o.Parallelism, v: v, hint: fileHint(o.specOptions)}
	return c.all(ctx, jobs)
}

// readPlan reads a saved plan and finds its cluster in the spec.
func readPlan(l *loaded, file, cluster string) (*plan.Plan, []*spec.Cluster, error) {
	if looksLikeSpec(file) {
		return nil, nil, badUsage("%q is a spec and not a saved plan: name it with -f %s", file, shellQuote(file))
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, badUsage("cannot read plan %q: %w", file, plain(err))
	}
	saved, err := plan.Decode(b)
	if err != nil {
		return nil, nil, badUsage("%q: %w", file, err)
	}
	if cluster != "" && cluster != saved.Cluster {
		return nil, nil, badUsage("plan %q is for cluster %q, not %q", file, saved.Cluster, cluster)
	}
	clusters, err := l.pick(saved.Cluster)
	if err != nil {
		return nil, nil, badUsage("plan %q: %w", file, err)
	}
	if got := spec.Digest(clusters[0]); got != saved.SpecDigest {
		return nil, nil, badUsage("cannot apply plan %q: the spec of cluster %q is not the one it was made for\n  make the plan again: quorate plan -o %s", file, saved.Cluster, file)
	}
	return saved, clusters, nil
}

// replay puts the saved plan in the place of the one just made, if the world is still the one it was
// made for. Nothing of the file is carried out or shown: the plan is made again from its inputs, and
// has to come to the same steps.
func (j *job) replay(p *process, file string, saved *plan.Plan, v view.Options) error {
	if saved.ObservedDigest != j.plan.ObservedDigest {
		if err := view.Moved(p.err, saved.Cluster, plan.Moved(saved.Observed, j.plan.Observed), v); err != nil {
			return err
		}
		return &exitError{code: exitHeld, message: fmt.Sprintf("cannot apply the plan for cluster %q: it was made for another state of the world, so nothing was touched\n  make the plan again and review it", saved.Cluster)}
	}
	again, err := saved.Again(j.cluster, j.observed)
	if err != nil {
		return &exitError{code: exitHeld, message: fmt.Sprintf("cannot apply plan %q: %v; it was edited, or made by another version of quorate, and nothing was touched\n  make the plan again and review it", file, err)}
	}
	// Clocks, free space and the time itself are no part of the digest. If one of
	// them holds everything by now, the fresh plan stays and says why.
	if !j.plan.Blocked() {
		j.plan = again
	}
	return nil
}

// interrupted reports whether a run was stopped from outside.
func interrupted(err error) bool {
	_, ok := errors.AsType[*provision.InterruptedError](err)
	return ok || errors.Is(err, errInterrupted)
}
