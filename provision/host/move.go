package host

import (
	"errors"
	"fmt"
	"strings"

	"quorate/kvserver/node"
)

// Tree is what a move moves: see package node.
type Tree = node.Tree

// MoveRequest moves a tree, which nobody may have open, to another name.
//
// On one file system it is renamed. Otherwise it is copied: beside its new name,
// with owners and modes, made durable, compared byte for byte; then what it was
// copied from goes into Dir/.aside/Keep of its own folder, where it stays; then
// the copy gets its name. Of the two names never more than one is there, so
// nobody can take an old copy for the tree; both being there is an error, and
// so is neither. A request that was cut anywhere is finished by the same
// request, whatever its Keep is; one that is done does nothing.
//
// The folders From.Dir and To.Dir must be there; their owners and modes stay. A folder below .aside that the tree has left
// is removed, unless something else is in it.
// What has a link or a mount point in it is refused, before anything is changed.
type MoveRequest struct {
	From, To Tree
	Keep     string // one path element, not beginning with a dot
	// Try changes nothing: it says what would be done, or why it cannot be, lack of space included. To.Dir need
	// not be there yet.
	Try bool
	// Progress, if set, is called while a copy is made, with the bytes that are there and those to come to.
	Progress func(done, total int64)
}

// Check reports what is wrong with a request.
func (r MoveRequest) Check() error {
	for _, t := range []Tree{r.From, r.To} {
		parts := strings.Split(t.Name, "/")
		if len(parts) > 3 || len(parts) == 3 && parts[0] != AsideDir {
			return fmt.Errorf("%q is too deep for a tree to be moved", t.Name)
		}
		for i, part := range parts {
			hidden := i == 0 && len(parts) > 1 && part != "." && part != ".."
			if !entryForm.MatchString(part) || part[0] == '.' && !hidden {
				return fmt.Errorf("%q is no name of a tree to be moved", t.Name)
			}
		}
	}
	if from, to := r.From.Path()+"/", r.To.Path()+"/"; strings.HasPrefix(from, to) || strings.HasPrefix(to, from) {
		return errors.New("a tree cannot be moved into itself, nor to where it is")
	}
	return AsideRequest{Dir: r.From.Dir, Name: r.Keep}.Check()
}

// Moved says how a tree came to its name.
type Moved struct {
	How How
	// Aside is where what it was copied from is kept; "" if this request kept nothing.
	Aside string
}

// How a tree was moved.
type How string

// The ways.
const (
	WasThere How = "there" // nothing was left to do
	Renamed  How = "renamed"
	Copied   How = "copied"
)
