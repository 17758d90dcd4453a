package plan_test

import (
	"slices"
	"testing"

	"quorate/kvserver"
	"quorate/plan"
)

func TestCompareHashes(t *testing.T) {
	t.Parallel()
	type says map[string][2]int64 // hash, compact revision; absent hash: {-1}
	for name, c := range map[string]struct {
		voters   int
		says     says
		want     plan.Sameness
		minority []string
	}{
		"all the same":                          {3, says{"a": {1, 5}, "b": {1, 5}, "c": {1, 5}}, plan.Same, nil},
		"one member alone":                      {1, says{"a": {1, 5}}, plan.Same, nil},
		"nobody":                                {3, says{}, plan.Unasked, nil},
		"one could not be asked":                {3, says{"a": {1, 5}, "b": {1, 5}, "c": {-1}}, plan.Unasked, nil},
		"one differs":                           {3, says{"a": {1, 5}, "b": {2, 5}, "c": {1, 5}}, plan.Differ, []string{"b"}},
		"two differ, each in its own way":       {5, says{"a": {1, 5}, "b": {2, 5}, "c": {1, 5}, "d": {3, 5}, "e": {1, 5}}, plan.Differ, []string{"b", "d"}},
		"two against one, of five":              {5, says{"a": {1, 5}, "b": {1, 5}, "c": {2, 5}, "d": {-1}, "e": {-1}}, plan.Differ, nil},
		"half against half":                     {4, says{"a": {1, 5}, "b": {1, 5}, "c": {2, 5}, "d": {2, 5}}, plan.Differ, nil},
		"one against one":                       {2, says{"a": {1, 5}, "b": {2, 5}}, plan.Differ, nil},
		"compacted apart":                       {3, says{"a": {1, 5}, "b": {1, 5}, "c": {2, 9}}, plan.CompactedApart, nil},
		"compacted apart, and a difference":     {5, says{"a": {1, 5}, "b": {2, 5}, "c": {1, 5}, "d": {1, 5}, "e": {7, 9}}, plan.Differ, []string{"b"}},
		"compacted apart, and one is not asked": {3, says{"a": {1, 5}, "b": {1, 9}, "c": {-1}}, plan.CompactedApart, nil},
	} {
		h := plan.Hashes{Revision: 10, Voters: c.voters, Answers: map[string]plan.HashAnswer{}}
		for n, s := range c.says {
			h.Answers[n] = plan.HashAnswer{Problem: "it was not asked"}
			if s[0] >= 0 {
				h.Answers[n] = plan.HashAnswer{Hash: &kvserver.Hash{Hash: uint32(s[0]), Revision: 10, CompactRevision: s[1]}}
			}
		}
		if same, minority := h.Compare(); same != c.want || !slices.Equal(minority, c.minority) {
			t.Errorf("%s: %s, minority %v", name, same, minority)
		}
	}
}
