package kvserver_test

import (
	"errors"
	"strings"
	"testing"

	"quorate/kvserver"
)

func TestRestorable(t *testing.T) {
	t.Parallel()
	v := func(storage, cluster string) kvserver.SnapshotContent {
		return kvserver.SnapshotContent{StorageVersion: storage, ClusterVersion: cluster}
	}
	for _, tc := range []struct {
		content kvserver.SnapshotContent
		writer  string
		newer   string // the servers that it is too new for
	}{
		{v("3.7.0", "3.7.0"), "3.7", "3.4 3.5 3.6"},
		{v("3.6.0", "3.6.0"), "3.6", "3.4 3.5"},
		{v("3.6.0", "3.5.0"), "3.6", "3.4 3.5"}, // all members run 3.6 since a moment
		{v("", "3.5.0"), "3.5", "3.4"},
		{v("", "3.4.0"), "3.4", ""},
		{v("", ""), "3.4", ""},
		{v("3.10.0", ""), "3.10", "3.4 3.5 3.6 3.7"},
		{v("4.0.0", ""), "4.0", "3.4 3.5 3.6 3.7"},
	} {
		if got := tc.content.Writer(); got != tc.writer {
			t.Errorf("%+v: written by %q", tc, got)
		}
		for _, server := range []string{"3.4", "3.5", "3.6", "3.7"} {
			err := kvserver.Restorable(tc.content, server)
			if newer := strings.Contains(tc.newer, server); errors.Is(err, kvserver.ErrSnapshotNewer) != newer || (err != nil) != newer {
				t.Errorf("%+v for %s: %v", tc, server, err)
			}
		}
	}
	for _, server := range []string{"", "x", "3"} {
		if err := kvserver.Restorable(v("3.7.0", ""), server); err == nil || errors.Is(err, kvserver.ErrSnapshotNewer) {
			t.Errorf("%q: %v", server, err)
		}
	}
}
