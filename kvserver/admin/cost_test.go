package admin_test

import (
	"runtime"
	"testing"

	"quorate/kvserver/admin"
	"quorate/kvserver/servertest"
)

// What one connection costs this process: made, asked once, and (as "live")
// what it keeps while nothing is asked. A plan holds many at once.
func BenchmarkConnection(b *testing.B) {
	c := servertest.New(b, 1)
	c.Start()
	config := admin.Config{Members: c.Endpoints(), TLS: c.TLS()}
	memory := func() (m runtime.MemStats) {
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m
	}
	b.ReportAllocs()
	var all []*admin.Client
	before, goroutines := memory(), runtime.NumGoroutine()
	for b.Loop() {
		a := admin.New(config)
		if _, err := a.Status(b.Context(), "m1"); err != nil {
			b.Fatal(err)
		}
		all = append(all, a)
	}
	b.StopTimer()
	after := memory()
	n := float64(len(all))
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "live-heap-B/op")
	b.ReportMetric(float64(after.StackInuse-before.StackInuse)/n, "live-stack-B/op")
	b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/n, "goroutines/op")
	for _, a := range all {
		a.Close()
	}
}
