package templates

import (
	"fmt"
	"strings"
)

// corruptionChecks are the options by which an etcd of that version compares its
// data with its peers' before it serves (InitialCorruptCheck), and the hashes
// of what was compacted while it does (CompactHashCheck). Both are off in etcd
// by itself; with them a copy that differs is found when it is started, or at the
// next compaction, instead of never. The spellings are those of the
// sources of 3.4.0 to 3.7.3 (server/embed/config.go): the first is there since 3.4,
// the second since 3.5.5; from 3.6 on both are feature gates, and a gate that a
// version does not know is an error at its start.
func corruptionChecks(version string) map[string]any {
	major, minor, patch := release(version)
	switch {
	case major != 3 || minor < 4:
		return nil
	case minor == 4 || minor == 5 && patch < 5:
		return map[string]any{"experimental-initial-corrupt-check": true}
	case minor == 5:
		return map[string]any{"experimental-initial-corrupt-check": true, "experimental-compact-hash-check-enabled": true}
	}
	return map[string]any{"feature-gates": gates("InitialCorruptCheck", "CompactHashCheck")}
}

func gates(names ...string) string { return strings.Join(names, "=true,") + "=true" }

// mergeGates adds the gates of ours that theirs does not decide.
func mergeGates(ours, theirs string) string {
	decided := map[string]bool{}
	for g := range strings.SplitSeq(theirs, ",") {
		name, _, _ := strings.Cut(strings.TrimSpace(g), "=")
		decided[name] = true
	}
	out := theirs
	for g := range strings.SplitSeq(ours, ",") {
		if name, _, _ := strings.Cut(g, "="); !decided[name] {
			out += "," + g
		}
	}
	return strings.Trim(out, ",")
}

// release takes a version apart; zeros for what is none.
func release(version string) (major, minor, patch int) {
	_, _ = fmt.Sscanf(strings.TrimPrefix(version, "v"), "%d.%d.%d", &major, &minor, &patch)
	return major, minor, patch
}
