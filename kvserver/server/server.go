// Package server serves etcd: it is a small frame around etcd's own embed
// package, with etcd's configuration file, API, data directory and log. What
// the frame adds: bootstrap-time settings live in a file of their own and
// count only while there is no member; the process carries in its environment
// the digest of what it was started with; ready is told to the service manager
// only once the member serves; whoever stops the leader moves the leadership
// away first, and ends what clients have open for ever; and etcd's initial corruption check is left out where it could
// only wait for peers that start at the same moment.
//
// It changes nothing about how etcd serves.
package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.uber.org/zap"
	"google.golang.org/grpc"

	"go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/embed"
)

// Config turns settings (etcd's YAML) into etcd's configuration, as the etcd
// command does it for --config-file. Where etcd panics at a value (a bad cors),
// this is an error; at a bad listen URL etcd ends the process itself.
func Config(settings []byte) (cfg *embed.Config, err error) {
	defer func() {
		if r := recover(); r != nil {
			cfg, err = nil, fmt.Errorf("cannot use the configuration: %v", r)
		}
	}()
	// embed reads a path; the path of a pipe leaves nothing behind.
	r, err := pipeOf(settings)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	path := fdPath(r)
	cfg, err = embed.ConfigFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot use the configuration: %s", strings.ReplaceAll(err.Error(), path, "configuration file"))
	}
	// The two lines that etcdmain has on top of embed.
	cfg.V2Deprecation = config.V2DeprDefault
	if cfg.WarningUnaryRequestDuration == 0 {
		cfg.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration
	}
	return cfg, nil
}

// Serve runs the member until ctx ends (then it returns nil after a clean
// stop), until it is removed from its cluster (nil too: there is nothing to
// restart), or until it fails. notify receives the lines of sd_notify(3).
//
// A stop hands leadership over before clients are turned away, so that writes
// go on elsewhere within a heartbeat, not after an election timeout.
func Serve(ctx context.Context, cfg *embed.Config, notify func(string)) error {
	cfg.SetupGlobalLoggers()
	lg := cfg.GetLogger()
	defer lg.Sync()
	notify("STATUS=starting etcd " + version.Version)
	initialCheck(ctx, cfg)
	clients := endable(cfg)

	type started struct {
		e   *embed.Etcd
		err error
	}
	start := make(chan started, 1)
	go func() {
		e, err := embed.StartEtcd(cfg)
		start <- started{e, err}
	}()
	var e *embed.Etcd
	select {
	case s := <-start:
		if s.err != nil {
			return fmt.Errorf("cannot start member %q: %w", cfg.Name, s.err)
		}
		e = s.e
	case <-ctx.Done():
		// It may be asking peers who do not answer; nothing has been served yet.
		lg.Info("stopped while starting")
		return nil
	}

	notify("STATUS=waiting for the cluster (needs a quorum of members)")
	select {
	case <-e.Server.ReadyNotify():
		notify("READY=1\nSTATUS=serving")
		lg.Info("serving; told the service manager")
	case <-ctx.Done():
	case <-e.Server.StopNotify():
	case <-e.Err():
	}

	closes := func() {
		clients.stop()
		e.Close()
	}
	select {
	case <-ctx.Done():
		notify("STOPPING=1\nSTATUS=handing over and stopping")
		select {
		case <-e.Server.ReadyNotify():
		default:
			// Close waits for the client listeners, which wait for ready or this.
			e.Server.HardStop()
		}
		if err := e.Server.TryTransferLeadershipOnShutdown(); err != nil {
			lg.Warn("leadership was not handed over", zap.Error(err))
		}
		closes()
		return nil
	case <-e.Server.StopNotify():
		cluster, ok := e.Server.Cluster().(interface{ IsIDRemoved(types.ID) bool })
		removed := ok && cluster.IsIDRemoved(e.Server.MemberID())
		closes()
		if removed {
			lg.Warn("this member was removed from its cluster; its data is of no further use", zap.String("data-dir", cfg.Dir))
			return nil
		}
		return fmt.Errorf("member %q stopped on an error of its own: see its log", cfg.Name)
	case err := <-e.Err():
		closes()
		if err == nil {
			err = errors.New("a listener ended")
		}
		return fmt.Errorf("member %q failed: %w", cfg.Name, err)
	}
}

// quiet switches gRPC's own tracing off, as the etcd command does. It sets a
// variable of gRPC's and belongs at the start of a process that serves.
func quiet() { grpc.EnableTracing = false }

func fdPath(f *os.File) string { return fmt.Sprintf("/dev/fd/%d", f.Fd()) }

// pipeOf returns the reading end of a pipe that holds content.
func pipeOf(content []byte) (*os.File, error) {
	// Pipes take 64 KiB on Linux and on macOS without a reader (pipe(7)); a
	// configuration is a hundredth of it.
	const most = 64 << 10
	if len(content) > most {
		return nil, fmt.Errorf("the configuration is %d bytes long, more than %d", len(content), most)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = w.Write(content)
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}
