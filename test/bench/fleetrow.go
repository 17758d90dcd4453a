package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"

	"quorate/test/bench/fleet"
)

// manyHosts is the budget's fleet, fewHosts the one it is held against.
const (
	manyHosts = 300
	fewHosts  = 30
)

// fleetPlan plans fleets of simulated hosts that are as their spec says: one
// spec, three hosts a cluster, the real quorate, over real SSH and gRPC.
func fleetPlan(ctx context.Context, b *bench) ([]Result, error) {
	if err := b.build(); err != nil {
		return nil, err
	}
	var memory []float64
	plan := map[int]func(int) (float64, error){}
	for _, n := range []int{fewHosts, manyHosts} {
		dir, err := os.MkdirTemp(b.dir, "fleet-")
		if err != nil {
			return nil, err
		}
		f, err := fleet.New(ctx, dir, n)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		command := func() *exec.Cmd {
			cmd := exec.CommandContext(ctx, b.bin("quorate"), "plan", "--detailed-exitcode")
			cmd.Dir = dir
			cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
			return cmd
		}
		mb, err := b.peakOf(command()) // the first one remembers the digests
		if err != nil {
			return nil, err
		}
		memory = append(memory, mb)
		plan[n] = func(int) (float64, error) {
			took, err := timed(command())
			b.logf("%d hosts: %.2f s", n, took)
			return took, err
		}
	}
	p, err := alternate(b.turns(5), plan[manyHosts], plan[fewHosts])
	if err != nil {
		return nil, err
	}
	many, few := Result{Unit: "s", Measured: median(p.ours), Low: slices.Min(p.ours), High: slices.Max(p.ours), Rounds: len(p.ours)}, against(p.ours, p.theirs)
	many.Work, many.Limit = fmt.Sprintf("plan of %d simulated hosts in %d clusters, nothing to change", manyHosts, manyHosts/3), 12
	many.Notes = []string{
		"the hosts are simulated, their SSH and TLS are not: the same two cores serve them",
		fmt.Sprintf("%s, %.1f ms a host; %s, %.1f ms a host", spread(fmt.Sprintf("%d hosts", manyHosts), p.ours, "s"), median(p.ours)/manyHosts*1e3,
			spread(fmt.Sprintf("%d hosts", fewHosts), p.theirs, "s"), median(p.theirs)/fewHosts*1e3),
	}
	const times = manyHosts / fewHosts
	few.Measured, few.Low, few.High = few.Measured/times, few.Low/times, few.High/times
	// A tenth more than linear is what the clock's noise alone can make of it.
	few.Work, few.Limit = fmt.Sprintf("the same, time per host beside that of %d hosts", fewHosts), 1.1
	return []Result{many, few,
		{Work: "the same, peak resident memory", Limit: 300, Unit: "MB", Measured: memory[1], Rounds: 1, Notes: []string{fmt.Sprintf("%d hosts: %s", fewHosts, figure(memory[0], "MB"))}},
	}, nil
}
