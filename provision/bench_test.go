package provision_test

import (
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sync/errgroup"
)

// BenchmarkPlan plans fleets that are as their specs say: three simulated
// hosts a cluster, ten clusters at a time. The time per host should not grow with the
// fleet, and the memory stays within DESIGN's budget of 300 MB for 300 hosts.
func BenchmarkPlan(b *testing.B) {
	for _, hosts := range []int{30, 300} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			var rigs []*rig
			for i := range hosts / 3 {
				hcl := fmt.Sprintf("cluster \"c%d\" {\n", i)
				for m := range 3 {
					hcl += fmt.Sprintf("member \"etcd%d\" { address = \"198.18.%d.%d\" }\n", m, i, m+1)
				}
				r := newRig(b, hcl+"}")
				if err := r.apply(); err != nil {
					b.Fatal(err)
				}
				rigs = append(rigs, r)
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			b.ResetTimer()
			var peak uint64
			for range b.N {
				var g errgroup.Group
				g.SetLimit(10)
				for _, r := range rigs {
					g.Go(func() error {
						p, err := r.plan()
						if err == nil && !p.Empty() {
							err = fmt.Errorf("%d steps", len(p.Steps))
						}
						return err
					})
				}
				if err := g.Wait(); err != nil {
					b.Fatal(err)
				}
				runtime.ReadMemStats(&after)
				peak = max(peak, after.HeapAlloc)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(hosts), "µs/host")
			b.ReportMetric(float64(peak)/(1<<20), "MB-heap")
		})
	}
}
