package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dustin/go-humanize/english"
	"golang.org/x/sync/errgroup"

	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision"
	"quorate/provision/world"
)

// job is one cluster being worked on: opened, looked at, planned for.
type job struct {
	cluster  *spec.Cluster
	dir      string // of the spec
	run      string // id of the run
	world    provision.World
	session  *provision.Session
	observed *plan.Observed
	hashes   *plan.Hashes        // nil unless they were asked for
	backups  []plan.BackupsSeen  // nil unless they were asked for, and hosts take some by themselves
	notes    *provision.Notes    // nil unless they were asked for
	earlier  *provision.KnownRun // the latest run, if it did not end well
	plan     *plan.Plan
	ready    chan struct{} // closed when the job is prepared, or err says why not
	err      error
}

// builder makes a plan from what was observed; nil is for verbs without one.
type builder func(*spec.Cluster, *plan.Observed, plan.Options) (*plan.Plan, error)

// look says how jobs are prepared.
type look struct {
	hostOptions
	// verb to lock for; "" takes no lock, and leaves the hosts once they are looked at.
	lock     plan.Verb
	wait     time.Duration
	stay     bool // without a lock, the connections stay open all the same: the caller goes on with them
	build    builder
	hashes   bool // compare what the members hold
	notes    bool // read the hosts' manifests and look at nothing else
	kept     bool // look for what is kept aside where data lay before
	backups  bool // ask hosts that take backups by themselves
	depends  bool // look at who depends on the cluster
	storage  bool // ask for alarms, and how far the keys are compacted
	keepData bool
	forget   bool
	from     string // spec.Digest of what the spec was edited from; "" if it was not
}

// prepare opens, locks, observes and plans every cluster, several at a time.
// Each job has an error or is ready. The caller closes them all.
func prepare(ctx context.Context, p *process, l *loaded, how look) []*job {
	done := p.waiting(l.clusters)
	defer done()
	jobs := begin(ctx, p, l, how)
	for _, j := range jobs {
		<-j.ready
	}
	return jobs
}

// begin is prepare in the background, in the order of the clusters: each job says when it is ready.
func begin(ctx context.Context, p *process, l *loaded, how look) []*job {
	jobs := make([]*job, len(l.clusters))
	for i, c := range l.clusters {
		jobs[i] = &job{cluster: c, dir: l.dir, ready: make(chan struct{})}
	}
	var workers errgroup.Group
	workers.SetLimit(cmp.Or(how.Parallelism, -1))
	go func() {
		for _, j := range jobs {
			workers.Go(func() error {
				defer close(j.ready)
				j.err = j.prepare(ctx, p, how)
				return nil
			})
		}
	}()
	return jobs
}

// inOrder prepares the clusters and shows one after another, each as soon as it and those before it
// are ready. What was shown is not kept, so that of a thousand clusters only a few are in memory. show
// gives the error that its cluster deserves, of which the worst is returned, and one that ends it all.
func inOrder(ctx context.Context, p *process, l *loaded, how look, show func(j *job, following bool) (verdict, err error)) error {
	ctx, cancel := context.WithCancel(ctx)
	done := sync.OnceFunc(p.waiting(l.clusters))
	defer done()
	jobs := begin(ctx, p, l, how)
	defer func() {
		cancel()
		for _, j := range jobs {
			<-j.ready
		}
	}()
	var worst error
	following := false
	for _, j := range jobs {
		if <-j.ready; j.err != nil {
			continue
		}
		done()
		verdict, err := show(j, following)
		if err != nil {
			return err
		}
		worst, following = worse(worst, verdict), true
		j.observed, j.hashes, j.backups, j.notes, j.plan = nil, nil, nil, nil, nil
	}
	done()
	return worse(worstError(p, jobs), worst)
}

func (j *job) prepare(ctx context.Context, p *process, how look) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := j.open(p, how.lock == "" && !how.stay); err != nil {
		return err
	}
	if how.lock == "" && !how.stay {
		defer j.close() // of many clusters only those are connected that are being looked at
	}
	j.session.AskAs(how.Client)
	if how.depends {
		j.session.WithDependents()
	}
	if how.lock != "" {
		if err := j.session.Lock(ctx, how.lock, how.wait); err != nil {
			return err
		}
	}
	if how.notes {
		n, err := j.session.Notes(ctx)
		j.notes = &n
		return err
	}
	var err error
	if j.observed, err = j.session.Observe(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx) // whatever it was that was ended by it
		}
		return err
	}
	if how.backups {
		j.backups = j.session.BackupHealth(ctx)
	}
	if how.kept {
		j.session.Kept(ctx, j.observed)
	}
	if how.storage {
		if err := j.session.Storage(ctx, j.observed); err != nil {
			return err
		}
	}
	if how.hashes {
		h, err := j.session.Hashes(ctx, j.observed)
		if err != nil {
			return fmt.Errorf("cannot compare the data of cluster %q: %w", j.cluster.Name, err)
		}
		j.hashes = &h
	}
	if how.build == nil {
		return nil
	}
	j.earlier = j.session.Earlier(j.observed)
	j.plan, err = how.build(j.cluster, j.observed, plan.Options{
		Now: p.now(), Token: random(16), SpecDigest: spec.Digest(j.cluster),
		SkipUnreachable: how.SkipUnreachable, Accept: how.Accept, Purge: how.Purge, KeepData: how.keepData, Forget: how.forget, EditedFrom: how.from,
	})
	if err != nil {
		return fmt.Errorf("cannot plan cluster %q: %w", j.cluster.Name, err)
	}
	return j.session.LocksFor(j.plan)
}

// open connects nothing yet. reads: hosts are only looked at.
func (j *job) open(p *process, reads bool) error {
	j.run = p.runID()
	e, err := p.world(j.run)
	if err != nil {
		return err
	}
	e.Reads = reads
	e.Runs = runsDir(j.dir, j.cluster)
	if j.world, err = world.New(j.cluster, e); err != nil {
		return err
	}
	j.session = provision.Open(j.world, j.cluster)
	return nil
}

func closeAll(jobs []*job) {
	for _, j := range jobs {
		j.close()
	}
}

func (j *job) close() {
	if j.session != nil {
		_ = j.session.Close() // the work is done; a connection that ends badly changes nothing of it
		j.session = nil
	}
}

// worstError prints all errors of jobs but the worst, which it returns.
func worstError(p *process, jobs []*job) error {
	var worst error
	for _, j := range jobs {
		worst = worse(worst, j.err)
	}
	for _, j := range jobs {
		if j.err != nil && !errors.Is(worst, j.err) && exitCode(j.err) != exitInterrupted {
			fmt.Fprintln(p.err, "Error: "+j.err.Error())
		}
	}
	return worst
}

// waiting tells a person that hosts are being looked at, until done is called.
func (p *process) waiting(clusters []*spec.Cluster) (done func()) {
	if !p.errTerminal {
		return func() {}
	}
	n := 0
	for _, c := range clusters {
		n += len(c.Members)
	}
	w := raw(p.err)
	fmt.Fprintf(w, "looking at %s…", english.Plural(n, "host", "hosts"))
	return func() { fmt.Fprint(w, "\r\x1b[K") }
}
