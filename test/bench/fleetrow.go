package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"

	"quorate/test/bench/fleet"
)

// fleetSizes are the budgets' fleets, in hosts, with the seconds and megabytes
// that a plan of each may take. Time per host is held against the smallest.
var fleetSizes = []struct {
	hosts           int
	rounds          int
	seconds, memory float64
}{
	{hosts: 30},
	{hosts: 300, rounds: 5, seconds: 1.2, memory: 120},
	{hosts: 3000, rounds: 3, seconds: 13, memory: 400},
}

// fleetPlan plans fleets of simulated hosts that are as their spec says: one
// spec, three hosts a cluster, the real quorate, over real SSH and gRPC.
func fleetPlan(ctx context.Context, b *bench) ([]Result, error) {
	if err := b.build(); err != nil {
		return nil, err
	}
	few, err := b.newFleet(ctx, fleetSizes[0].hosts)
	if err != nil {
		return nil, err
	}
	defer few.Close()
	var results []Result
	for _, size := range fleetSizes[1:] {
		many, err := b.newFleet(ctx, size.hosts)
		if err != nil {
			return nil, err
		}
		p, err := alternate(b.turns(size.rounds), many.plan, few.plan)
		many.Close()
		if err != nil {
			return nil, err
		}
		took := Result{Unit: "s", Measured: median(p.ours), Low: slices.Min(p.ours), High: slices.Max(p.ours), Rounds: len(p.ours)}
		took.Work, took.Limit = fmt.Sprintf("plan of %d simulated hosts in %d clusters, nothing to change", size.hosts, size.hosts/3), size.seconds
		took.Notes = []string{
			"the hosts are simulated, their SSH and TLS are not: the same two cores serve them",
			fmt.Sprintf("%s, %.1f ms a host; %s, %.1f ms a host", spread(fmt.Sprintf("%d hosts", many.Hosts), p.ours, "s"), median(p.ours)/float64(many.Hosts)*1e3,
				spread(fmt.Sprintf("%d hosts", few.Hosts), p.theirs, "s"), median(p.theirs)/float64(few.Hosts)*1e3),
		}
		each, times := against(p.ours, p.theirs), float64(many.Hosts/few.Hosts)
		each.Measured, each.Low, each.High = each.Measured/times, each.Low/times, each.High/times
		// A tenth more than linear is what the clock's noise alone can make of it.
		each.Work, each.Limit = fmt.Sprintf("the same, time per host beside that of %d hosts", few.Hosts), 1.1
		results = append(results, took, each, Result{Work: "the same, peak resident memory", Limit: size.memory, Unit: "MB", Measured: many.peak, Rounds: 1,
			Notes: []string{fmt.Sprintf("%d hosts: %s", few.Hosts, figure(few.peak, "MB"))}})
	}
	return results, nil
}

// planned is a fleet that is planned again and again.
type planned struct {
	*bench
	*fleet.Fleet
	peak float64 // resident megabytes of the first plan, which remembers the digests
	ctx  context.Context
}

func (b *bench) newFleet(ctx context.Context, hosts int) (*planned, error) {
	dir, err := os.MkdirTemp(b.dir, "fleet-")
	if err != nil {
		return nil, err
	}
	f, err := fleet.New(ctx, dir, hosts)
	if err != nil {
		return nil, err
	}
	p := &planned{bench: b, Fleet: f, ctx: ctx}
	if p.peak, err = b.peakOf(p.command()); err != nil {
		f.Close()
		return nil, err
	}
	return p, nil
}

func (p *planned) command() *exec.Cmd {
	cmd := exec.CommandContext(p.ctx, p.bin("quorate"), "plan", "--detailed-exitcode")
	cmd.Dir = p.Dir
	cmd.Env = []string{"HOME=" + p.Dir, "PATH=" + os.Getenv("PATH")}
	return cmd
}

// plan returns the seconds that one takes.
func (p *planned) plan(int) (float64, error) {
	took, err := timed(p.command())
	p.logf("%d hosts: %.2f s", p.Hosts, took)
	return took, err
}
