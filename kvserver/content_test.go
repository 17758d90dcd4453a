package kvserver_test

import (
	"testing"

	"quorate/kvserver"
)

func TestWriter(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]kvserver.SnapshotContent{
		"3.7": {StorageVersion: "3.7.0", ClusterVersion: "3.7.0", Term: 2},
		"3.6": {StorageVersion: "3.6.0", ClusterVersion: "3.5.0", Term: 2},
		"3.5": {Term: 2, ClusterVersion: "3.5.0"},
		"3.4": {},
	} {
		if got := c.Writer(); got != want {
			t.Errorf("%+v was written by %q, want %q", c, got, want)
		}
	}
}
