package server

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Options of one serving process.
type Options struct {
	Files Files
	// Etcd is an upstream etcd binary to become; empty serves here.
	Etcd string
	// Check tries the configuration and serves nothing: see [Check].
	Check bool
	Stdin io.Reader
	// Argv and Environ are the process's own.
	Argv, Environ []string
	// Log takes what is to be said before etcd's own log begins.
	Log io.Writer
}

// Run is `kvserver serve`. It runs twice in one process: the first stage reads
// the files, and becomes (execs) the second, which serves exactly what was
// read; or an upstream etcd. SIGTERM and SIGINT stop it cleanly; a second one
// ends it at once.
func Run(o Options) error {
	if o.Files.Config == "" {
		return errors.New("serve wants --config-file FILE")
	}
	if o.Check {
		quiet()
		return Check(o.Files, o.Etcd, o.Stdin)
	}
	notify := func(lines string) { _, _ = daemon.SdNotify(false, lines) } // nobody listening is fine
	settings, err := second(o.Environ, os.Getpid())
	if err != nil {
		return err
	}
	if settings == nil {
		loaded, err := Load(o.Files)
		if err != nil {
			return err
		}
		if err := rejoins(loaded); err != nil {
			return err
		}
		Report(loaded, o.Etcd != "", o.Log)
		return become(loaded, o.Argv, o.Environ, o.Etcd, notify)
	}
	quiet()
	cfg, err := Config(settings)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop)
	return Serve(ctx, cfg, notify)
}
