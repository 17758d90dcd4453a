package kvserver

import "errors"

// How asking a member can fail, for errors.Is on what an admin client returns.
// They are different things: only the first says that the member is down.
var (
	// ErrDead: the connection was refused; nobody listens there.
	ErrDead = errors.New("nobody listens")
	// ErrSilent: it was asked, and did not answer in time.
	ErrSilent = errors.New("no answer in time")
	// ErrRefused: TLS failed; one side does not accept the other's certificate.
	ErrRefused = errors.New("certificate not accepted")
	// ErrCompacted: it answered, and no longer has the revision that was asked for.
	ErrCompacted = errors.New("compacted")
)
