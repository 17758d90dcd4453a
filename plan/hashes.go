package plan

import (
	"cmp"
	"slices"

	"quorate/kvserver"
)

// Hashes are what the members of a cluster said of their data at one revision.
type Hashes struct {
	// Revision that all were asked for; 0: nobody could be asked.
	Revision int64
	// Voters of the cluster: more than half of them are needed to say who is wrong.
	Voters int
	// Answers by the member's name, or its id where the spec does not have it.
	Answers map[string]HashAnswer
}

// HashAnswer is what one member said.
type HashAnswer struct {
	Hash *kvserver.Hash // nil: it gave none
	// Problem says for people why it gave none.
	Problem string
}

// Sameness is what a comparison of hashes comes to.
type Sameness string

// What it can come to. Only the first says that all members hold the same, and
// only the second that they do not.
const (
	Same   Sameness = "same"
	Differ Sameness = "differ"
	// CompactedApart: members had compacted up to different revisions when they
	// were asked. Their hashes say nothing of each other.
	CompactedApart Sameness = "compacted-apart"
	// Unasked: those that answered hold the same, and not every member answered.
	Unasked Sameness = "unasked"
)

// Compare compares hashes of one compact revision with each other. Where some
// differ, minority are those that differ from more than half of the cluster's
// voters, sorted; it is empty where no more than half agree, so that nobody can say
// which of them is right.
func (h Hashes) Compare() (s Sameness, minority []string) {
	by := map[int64]map[uint32][]string{}
	missing := len(h.Answers) == 0
	for _, name := range sortedKeys(h.Answers) {
		a := h.Answers[name].Hash
		if a == nil {
			missing = true
			continue
		}
		if by[a.CompactRevision] == nil {
			by[a.CompactRevision] = map[uint32][]string{}
		}
		by[a.CompactRevision][a.Hash] = append(by[a.CompactRevision][a.Hash], name)
	}
	for _, groups := range by {
		if len(groups) < 2 {
			continue
		}
		s = Differ
		for hash, who := range groups {
			if len(who) <= h.Voters/2 {
				continue
			}
			for other, names := range groups {
				if other != hash {
					minority = append(minority, names...)
				}
			}
		}
	}
	slices.Sort(minority)
	switch {
	case s == Differ:
	case len(by) > 1:
		s = CompactedApart
	case missing:
		s = Unasked
	}
	return cmp.Or(s, Same), minority
}
