package posix

import (
	"context"
	"io"
)

// Counter reads R until Ctx ends and reports the bytes read so far. For
// transports' Stage.
type Counter struct {
	Ctx    context.Context
	R      io.Reader
	Report func(sent int64) // may be nil

	sent int64
}

func (c *Counter) Read(p []byte) (int, error) {
	if err := c.Ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.R.Read(p)
	c.sent += int64(n)
	if n > 0 && c.Report != nil {
		c.Report(c.sent)
	}
	return n, err
}
