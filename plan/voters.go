package plan

import (
	"fmt"
	"strings"
)

// Voters counts the members that vote, those of them that are known to answer,
// and those of whom nothing is known. The rest is down. A learner is none of them.
type Voters struct {
	Total   int `json:"total"`
	Healthy int `json:"healthy"`
	// Unknown could not be asked: they may be healthy. Nothing that needs them
	// may count on them, and nobody may call them down.
	Unknown int `json:"unknown,omitempty"`
}

// Quorum is how many voters must agree for a write: more than half.
func (v Voters) Quorum() int {
	if v.Total == 0 {
		return 0
	}
	return v.Total/2 + 1
}

// Tolerance is how many more voters may fail before writes stop, counting only
// those known to be healthy. It is -1 where they are no quorum (or there is no cluster yet).
func (v Voters) Tolerance() int {
	if !v.Writable() {
		return -1
	}
	return v.Healthy - v.Quorum()
}

// Writable reports whether a quorum of voters is known to be healthy.
func (v Voters) Writable() bool { return v.Total > 0 && v.Healthy >= v.Quorum() }

// Known reports whether it can be told if there is a quorum: there is one, or
// there would be none even if every unknown voter were healthy.
func (v Voters) Known() bool { return v.Writable() || v.Healthy+v.Unknown < v.Quorum() }

func (v Voters) String() string {
	if v.Total == 0 {
		return "no cluster"
	}
	parts := []string{fmt.Sprintf("%d/%d up", v.Healthy, v.Total)}
	if v.Unknown > 0 {
		parts = append(parts, fmt.Sprintf("%d unknown", v.Unknown))
	}
	switch {
	case v.Writable() && v.Unknown > 0:
		parts = append(parts, fmt.Sprintf("tolerates at least %d", v.Tolerance()))
	case v.Writable():
		parts = append(parts, fmt.Sprintf("tolerates %d", v.Tolerance()))
	case v.Known():
		parts = append(parts, "no quorum")
	default:
		parts = append(parts, "whether there is a quorum cannot be told")
	}
	return strings.Join(parts, ", ")
}

// Effect is what a step does to the voters: before it, at its worst moment, and after it.
type Effect struct {
	Before Voters `json:"before"`
	During Voters `json:"during"`
	After  Voters `json:"after"`
}

// Interrupts reports whether writes that worked before the step stop during it.
func (e Effect) Interrupts() bool { return e.Before.Writable() && !e.During.Writable() }

// Touches reports whether the step changes the voters at all.
func (e Effect) Touches() bool { return e.Before != e.During || e.During != e.After }
