package view

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"quorate/plan"
)

// The newest good backup in a line; late ones are warned of, and make no cluster unhealthy.
func TestStatusOfBackups(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 21, 0, 0, 0, time.UTC)
	proved := now.Add(-48 * time.Hour)
	for want, h := range map[string]*plan.BackupHealth{
		"": nil,
		"newest good backup: 3 hours ago on etcd1, 12 MiB, one was proved 2 days ago": {IntervalSeconds: 43200, ProvedAt: &proved,
			Newest: &plan.NewestBackup{Name: "x", Host: "etcd1", At: now.Add(-3 * time.Hour), Size: 12 << 20}},
		"newest good backup: 2 days ago on etcd1, 12 MiB, none proved yet": {IntervalSeconds: 43200, Late: true,
			Newest: &plan.NewestBackup{Name: "x", Host: "etcd1", At: now.Add(-48 * time.Hour), Size: 12 << 20}},
	} {
		s := Status{Cluster: "lab", Healthy: true}
		s.Backup(h, now)
		var out bytes.Buffer
		if err := StatusText(&out, s, Options{Now: now}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), "newest good backup"); got != (want != "") || !strings.Contains(out.String(), want) {
			t.Errorf("want %q in\n%s", want, &out)
		}
		if late := h != nil && h.Late; !s.Healthy || (len(s.Warnings) > 0) != late || late && !strings.Contains(out.String(), "one is to be taken every 12h") {
			t.Errorf("healthy %v, warnings %q", s.Healthy, s.Warnings)
		}
	}
}
