//go:build !linux

package local

import (
	"time"

	"quorate/provision/host"
)

// fromProc leaves the state as the supervisor wrote it: there is no /proc here.
func fromProc(*host.UnitState, map[string]string) error { return nil }

// startedAt cannot tell without /proc, so no process is taken for an orphan.
func startedAt(int, time.Time) bool { return false }
