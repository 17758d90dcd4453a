package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dustin/go-humanize/english"
	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/plan/spec"
	"quorate/provision"
)

// AuditOptions of the verb audit.
type AuditOptions struct {
	specOptions
	hostOptions
	outputOptions
	Local bool
	Limit int
}

func newAuditCommand(p *process) *cobra.Command {
	var o AuditOptions
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "List the runs that changed a cluster",
		Long: `List the runs of each cluster, the newest first, from the journals on this side
(.quorate/CLUSTER/runs) and the last 20 that each host's manifest notes, joined
by their ids; the id begins with the time, in UTC. Nothing is changed, no lock is
taken, no member is asked and no CA is needed.

Results: done; failed; interrupted; cut off (the journal has no end: killed);
under way; recorded (no journal here, and the hosts note that they were finished);
unfinished (no journal here, and a host that it was to be noted on does not note
it); unreadable. A run that was made elsewhere and ended before any host had noted
it is not known here.

The exit code is 1 if a host could not be asked, which is then named.

Nothing deletes journals: they are yours, a few kilobytes for each run that had
something to do. Remove those that you do not need any more by hand.`,
		Example: `  quorate audit
  quorate audit --cluster lab --local      # the journals on this side only
  quorate audit --json | jq -r .runs[].run
  quorate audit show last
  quorate audit show 20261104T1011         # the beginning of an id is enough`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runAudit(cmd.Context(), p, o, viewOptions(p, cmd, o.outputOptions))
		},
	}
	o.addFlags(p, cmd, "print it as JSON, one document for each cluster")
	cmd.Flags().IntVar(&o.Limit, "limit", 20, "how many runs of each cluster to list; 0 is all")
	cmd.Flags().IntVar(&o.Parallelism, "parallelism", 10, "how many clusters are looked at at a time; 0 is no bound")
	cmd.AddCommand(newAuditShowCommand(p))
	return cmd
}

func (o *AuditOptions) addFlags(p *process, cmd *cobra.Command, json string) {
	o.specOptions.AddFlags(p, cmd)
	cmd.Flags().BoolVar(&o.Local, "local", false, "connect to no host: what the journals on this side say")
	o.addJSON(cmd.Flags(), json)
}

func newAuditShowCommand(p *process) *cobra.Command {
	o := AuditOptions{hostOptions: hostOptions{Parallelism: 10}}
	cmd := &cobra.Command{
		Use:   "show RUN",
		Short: "Show the steps of one run",
		Long: `Show what one run did: each step with its result, how long it took and what came
of it; for one that failed or was cut off also the last calls on its hosts while
it was under way.

RUN is the id, a beginning of it that no other run has, or last: the newest of
which there is a journal on this side. Where no journal matches, the hosts are
asked what they note.`,
		Example: `  quorate audit show last
  quorate audit show 20261104T101112Z-ab12cd --json | jq .steps[].title
  quorate audit show 20261104 --cluster lab`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return badFlags(fmt.Errorf("%s wants the id of a run, or last", cmd.CommandPath()))
			}
			return atMost(1)(cmd, args)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return o.journals(p), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAuditShow(cmd.Context(), p, o, args[0], viewOptions(p, cmd, o.outputOptions))
		},
	}
	o.addFlags(p, cmd, "print it as JSON")
	return cmd
}

// journals are the ids of the runs on this side, for completion; what cannot be read has none.
func (o *AuditOptions) journals(p *process) []string {
	l, err := readSpec(p, o.specOptions)
	if err != nil || l.spec == nil {
		return nil
	}
	clusters, _ := l.pick(o.Cluster) // a name that is not there completes to nothing
	out := []string{lastRun}
	for _, c := range clusters {
		ids, _ := provision.Journals(runsDir(l.dir, c))
		out = append(out, ids...)
	}
	return out
}

// runsDir is where the journals of a cluster's runs lie, for a spec in dir.
func runsDir(dir string, c *spec.Cluster) string {
	return filepath.Join(dir, ".quorate", c.Name, "runs")
}

func runAudit(ctx context.Context, p *process, o AuditOptions, v view.Options) error {
	if err := o.hostOptions.check(); err != nil {
		return err
	}
	if o.Limit < 0 {
		return badUsage("--limit cannot be negative")
	}
	l, err := loadSpec(p, o.specOptions, o.JSON)
	if err != nil {
		return err
	}
	return o.each(ctx, p, l, func(c *spec.Cluster, n provision.Notes, following bool) (verdict, err error) {
		a := view.Audit{Cluster: c.Name, Unseen: n.Problems}
		if a.Runs, a.Older, err = provision.History(runsDir(l.dir, c), n, o.Limit); err != nil {
			return nil, err
		}
		if !o.Local {
			for _, m := range c.Members {
				a.Asked = append(a.Asked, m.Name)
			}
		}
		if len(a.Unseen) > 0 {
			verdict = said(exitFailed)
		}
		if o.JSON {
			return verdict, writeJSON(p.out, a)
		}
		if following {
			fmt.Fprintln(p.out)
		}
		return verdict, view.AuditText(p.out, a, v)
	})
}

// each gives show every cluster with what its hosts note: nothing with --local.
func (o *AuditOptions) each(ctx context.Context, p *process, l *loaded, show func(c *spec.Cluster, n provision.Notes, following bool) (verdict, err error)) error {
	if !o.Local {
		return inOrder(ctx, p, l, look{hostOptions: o.hostOptions, notes: true}, func(j *job, following bool) (verdict, err error) {
			return show(j.cluster, *j.notes, following)
		})
	}
	for i, c := range l.clusters {
		if _, err := show(c, provision.Notes{}, i > 0); err != nil {
			return err
		}
	}
	return nil
}

// lastRun names the newest run of which there is a journal on this side.
const lastRun = "last"

// found is a run of a cluster.
type found struct {
	cluster *spec.Cluster
	id      string
	notes   provision.Notes
}

func runAuditShow(ctx context.Context, p *process, o AuditOptions, word string, v view.Options) error {
	l, err := loadSpec(p, o.specOptions, o.JSON)
	if err != nil {
		return err
	}
	f, err := o.find(ctx, p, l, word)
	if err != nil {
		return err
	}
	dir := runsDir(l.dir, f.cluster)
	known := provision.KnownAs(dir, f.notes, f.id)
	r := view.Run{Cluster: f.cluster.Name, KnownRun: known}
	if known.Here != nil {
		known.Here, r.Plan = provision.ReadSteps(dir, f.id)
	}
	if o.JSON {
		return writeJSON(p.out, r)
	}
	return view.RunText(p.out, r, v)
}

// find finds the one run that a word names: among the journals on this side, and if none matches, in what the hosts note.
func (o *AuditOptions) find(ctx context.Context, p *process, l *loaded, word string) (found, error) {
	local := *o
	local.Local = true
	f, _, err := local.among(ctx, p, l, word)
	if err != nil || f.cluster != nil {
		return f, err
	}
	unseen := 0
	if !o.Local {
		if f, unseen, err = o.among(ctx, p, l, word); err != nil || f.cluster != nil {
			return f, err
		}
	}
	if unseen > 0 {
		return f, fmt.Errorf("cannot find run %q: no journal on this side is of it, and %s could not be asked", word, english.Plural(unseen, "host", "hosts"))
	}
	return f, badUsage("no run %q is known: quorate audit%s lists those that are", word, fileHint(o.specOptions))
}

// among finds a run among those that are known; none is the zero value. unseen counts the hosts that could not be asked.
func (o *AuditOptions) among(ctx context.Context, p *process, l *loaded, word string) (f found, unseen int, err error) {
	var all []found
	err = o.each(ctx, p, l, func(c *spec.Cluster, n provision.Notes, _ bool) (verdict, err error) {
		ids, err := provision.KnownRuns(runsDir(l.dir, c), n)
		for _, id := range ids {
			all = append(all, found{c, id, n})
		}
		unseen += len(n.Problems)
		return nil, err
	})
	if err == nil {
		f, err = named(all, word)
	}
	return f, unseen, err
}

// named picks the run that a word names; none is the zero value.
func named(all []found, word string) (found, error) {
	slices.SortStableFunc(all, func(a, b found) int { return strings.Compare(b.id, a.id) })
	if word == lastRun && len(all) > 0 {
		return all[0], nil
	}
	var match []found
	for _, f := range all {
		if f.id == word {
			return f, nil
		}
		if strings.HasPrefix(f.id, word) {
			match = append(match, f)
		}
	}
	if len(match) > 1 {
		var ids []string
		for _, f := range match[:min(len(match), 5)] {
			ids = append(ids, f.id+" ("+f.cluster.Name+")")
		}
		return found{}, badUsage("%q begins the ids of %d runs: %s\n  give more of it, or say of which cluster with --cluster", word, len(match), view.List(ids))
	}
	if len(match) == 1 {
		return match[0], nil
	}
	return found{}, nil
}
