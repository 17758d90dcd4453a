package restore

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"quorate/kvserver"
)

// The parts of the work that say how far they are.
const (
	CheckPart   = "check"
	RestorePart = "restore"
	CopyPart    = "copy"
	WritePart   = "write"
)

// often is how seldom progress is told: what draws it need not be faster.
const often = 200 * time.Millisecond

// reading is a reader that ends with its context and tells how far it is.
type reading struct {
	r        io.Reader
	ctx      context.Context
	done, of int64
	part     string
	progress func(kvserver.RestoreProgress)
	told     time.Time
}

func (r *reading) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.r.Read(p)
	r.done += int64(n)
	if now := time.Now(); r.progress != nil && n > 0 && (r.done == r.of || now.Sub(r.told) >= often) {
		r.told = now
		r.progress(kvserver.RestoreProgress{Part: r.part, Done: r.done, Of: r.of})
	}
	return n, err
}

// watchFile tells how a file grows that somebody else writes. The function that it gives ends that, after which
// progress is not called any more.
func watchFile(ctx context.Context, path, part string, of int64, progress func(kvserver.RestoreProgress)) (end func()) {
	if progress == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(often)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if info, err := os.Stat(path); err == nil {
				progress(kvserver.RestoreProgress{Part: part, Done: min(info.Size(), of), Of: of})
			}
		}
	})
	return func() { cancel(); watching.Wait() }
}

// logger passes on what etcd warns of. What etcd would end the process with
// panics in place of that, after which whoever called may clean up.
func logger(w io.Writer) *zap.Logger {
	if w == nil {
		w = io.Discard
	}
	encoder := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), zap.WarnLevel), zap.WithFatalHook(zapcore.WriteThenPanic))
}
