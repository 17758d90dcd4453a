package datadir

import (
	"errors"
	"io"

	"quorate/kvserver"
)

// More is what an inspection may look for besides: it costs the disk's time for all that the member has.
type More struct {
	// Check reads the whole log and each page of the database ([Check]).
	Check bool
	// Hash computes [Hash], in the memory that a server needs.
	Hash bool
}

// InspectMore is [Inspect], and then, of a member that does not run, what more asks for; that has no bound.
// What cannot be found out is a problem in the answer.
func InspectMore(dataDir, walDir string, more More) (kvserver.Inspection, error) {
	found, err := Inspect(dataDir, walDir)
	if err != nil || !found.Member || found.Running {
		return found, err
	}
	i := inspector{found}
	whole := true
	if more.Check {
		whole = i.check()
	}
	if more.Hash && i.DB != nil && whole {
		if h, _, err := Hash(Database(dataDir)); err != nil {
			i.found(err)
		} else {
			i.DB.Hash = &h.Hash
		}
	}
	return i.Inspection, nil
}

// check reports whether the database is whole; where there is none or it could not be read, that is a problem already.
func (i *inspector) check() bool {
	i.Checked = true
	i.checkLog()
	if i.DB == nil {
		return false
	}
	path := Database(i.DataDir)
	if err := Check(path); err != nil {
		i.found(err)
		return false
	}
	c, err := Content(path)
	if err != nil {
		i.problem("%v", err)
		return false
	}
	i.DB.SizeInUse = c.SizeInUse
	return true
}

// found notes what reading everything came to; that this needs more memory than there is says nothing of the data.
func (i *inspector) found(err error) {
	if _, ok := errors.AsType[*TooMuchMemoryError](err); ok {
		i.remark("%v", err)
		return
	}
	i.problem("%v", err)
}

// checkLog reads the files of the log that [Inspect] has not read.
func (i *inspector) checkLog() {
	names, err := withSuffix(i.WALDir, ".wal")
	if err != nil {
		i.problem("%v", err)
		return
	}
	all, gap := segments(i.WALDir, names)
	if gap != "" || i.Log == nil {
		return // a problem already
	}
	if _, err := read(all); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		i.problem("the WAL cannot be read from its beginning: %v; etcd will not start with it", err)
	}
}
