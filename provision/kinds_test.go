package provision

import (
	"maps"
	"slices"
	"testing"

	"quorate/plan"
)

// TestKinds: every kind of step that can be planned can be executed, and the other way round.
func TestKinds(t *testing.T) {
	t.Parallel()
	if have, want := slices.Sorted(maps.Keys(executors)), plan.Kinds(); !slices.Equal(have, want) {
		t.Errorf("executors for %v, kinds of steps %v", have, want)
	}
}
