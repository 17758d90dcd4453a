package posix

import (
	"context"
	"io"
)

// counter reads r until ctx ends and reports the bytes read so far.
type counter struct {
	ctx    context.Context
	r      io.Reader
	report func(sent int64) // may be nil

	sent int64
}

func (c *counter) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.sent += int64(n)
	if n > 0 && c.report != nil {
		c.report(c.sent)
	}
	return n, err
}
