package host

import (
	"errors"
	"fmt"
	"io"
)

// Download is one file that is to come from the host, whole or from a byte on.
//
// It is opened once, so a file that is renamed over it meanwhile is not mixed
// into it. It has to be a regular file: a link, a folder, a FIFO, a socket and a
// device are errors that name it; folders on the way may be links, as for a
// look. One that is not there is an error that is fs.ErrNotExist. It must not
// change while it is read: one that shrinks or grows is an error, and so is a
// connection that ends early. Without an error To has had every byte from From
// to the end.
type Download struct {
	Path string
	// From is the first byte wanted, counted from 0: a download that was cut goes on where it ended. The file's
	// size is good, and gives nothing; more is an error.
	From int64
	// To gets the bytes in order, and nothing but bytes of the file. Memory does not depend on their number. Its
	// error ends the download at once, and is the download's. A Write that is under way when ctx ends is waited
	// for; there is none after Download has returned.
	To io.Writer
	// Progress, if set, is called after each Write, and once before the first: with the bytes of the file that are
	// here, those before From among them, of its size. Calls come one at a time, and end before Download returns.
	Progress func(got, total int64)
}

// Check reports what is wrong with a request, its path aside.
func (d Download) Check() error {
	switch {
	case d.To == nil:
		return errors.New("there is nowhere for the bytes to go")
	case d.From < 0:
		return fmt.Errorf("a file has no byte %d", d.From)
	}
	return nil
}

// Downloaded says what came. Beside an error it says how far it got.
type Downloaded struct {
	Size int64 // of the whole file, in bytes, as it was opened; 0 if that is not known
	Got  int64 // bytes that this call has written to To
}
