package plan

import "fmt"

// Voters counts the members that vote, and those of them that answer. A
// learner is neither.
type Voters struct {
	Total   int `json:"total"`
	Healthy int `json:"healthy"`
}

// Quorum is how many voters must agree for a write: more than half.
func (v Voters) Quorum() int {
	if v.Total == 0 {
		return 0
	}
	return v.Total/2 + 1
}

// Tolerance is how many more voters may fail before writes stop. It is -1
// where there is no quorum already (or no cluster yet).
func (v Voters) Tolerance() int {
	if v.Total == 0 || v.Healthy < v.Quorum() {
		return -1
	}
	return v.Healthy - v.Quorum()
}

// Writable reports whether a quorum of voters is healthy.
func (v Voters) Writable() bool { return v.Total > 0 && v.Healthy >= v.Quorum() }

// Down returns v with n healthy voters fewer, Up with n more; neither leaves 0..Total.
func (v Voters) Down(n int) Voters { v.Healthy = max(0, v.Healthy-n); return v }

// Up is the opposite of Down.
func (v Voters) Up(n int) Voters { v.Healthy = min(v.Total, v.Healthy+n); return v }

func (v Voters) String() string {
	if v.Total == 0 {
		return "no cluster"
	}
	if !v.Writable() {
		return fmt.Sprintf("%d/%d up, no quorum", v.Healthy, v.Total)
	}
	return fmt.Sprintf("%d/%d up, tolerates %d", v.Healthy, v.Total, v.Tolerance())
}

// Effect is what a step does to the voters: before it, at its worst moment, and after it.
type Effect struct {
	Before Voters `json:"before"`
	During Voters `json:"during"`
	After  Voters `json:"after"`
}

// Interrupts reports whether writes that worked before the step stop during it.
func (e Effect) Interrupts() bool { return e.Before.Writable() && !e.During.Writable() }

// steady is the effect of a step that touches no voter.
func steady(v Voters) Effect { return Effect{Before: v, During: v, After: v} }
