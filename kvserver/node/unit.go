package node

import (
	"fmt"
)

// Running reports whether there is a process, serving or about to.
func (u UnitState) Running() bool {
	return u.Active == "active" || u.Active == "activating" || u.Active == "reloading"
}

// Stopped reports whether nothing of the unit runs, is about to, or is still ending.
func (u UnitState) Stopped() bool {
	return u.Active == "" || u.Active == "inactive" || u.Active == "failed"
}

// crashes is how many restarts in a row make a crash loop: one may be an
// accident of the boot, three have a cause that stays.
const crashes = 3

// Looping reports whether the process keeps ending before it is ready. With
// Restart= systemd calls that activating, never failed.
func (u UnitState) Looping() bool {
	return u.Active == "activating" && (u.Sub == "auto-restart" || u.Restarts >= crashes)
}

// String is the unit's state in a few words: "activating (auto-restart), restarted 7 times".
func (u UnitState) String() string {
	s := u.Active
	switch {
	case u.Masked:
		return "masked"
	case s == "":
		s = "not there"
	}
	if u.Sub != "" && u.Sub != u.Active && u.Sub != "dead" && u.Sub != "running" {
		s += " (" + u.Sub + ")"
	}
	if u.Restarts > 0 {
		s += fmt.Sprintf(", restarted %d times", u.Restarts)
	}
	return s
}
