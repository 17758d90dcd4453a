package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver"
	servererrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"go.etcd.io/etcd/server/v3/features"
)

// engine is etcd's server on a data directory of our own, with nobody
// listening: it has no client port and no peer port, and reaches nobody, so that nothing comes to
// it but what the directory holds.
type engine struct{ *etcdserver.EtcdServer }

// nowhere is an address that no machine has (RFC 5737, TEST-NET-1). The
// server calls the other members of its list from it, which the kernel refuses
// before a packet is sent: a member of the old cluster that still runs hears nothing of this.
const nowhere = "192.0.2.1"

// How time goes for an engine, in milliseconds a tick.
const (
	// usual lets a single member make itself leader within two seconds.
	usual = 100
	// standing lets nobody become leader, so that nothing is proposed, no lease
	// expires, and what is applied is what the log holds.
	standing = 3_600_000
)

// openEngine starts the server.
func openEngine(dataDir string, tick uint, log io.Writer) (engine, error) {
	return startEngine(engineConfig(dataDir, tick, logger(log)))
}

func engineConfig(dataDir string, tick uint, l *zap.Logger) config.ServerConfig {
	return config.ServerConfig{
		Name: "nobody", DataDir: dataDir, Logger: l,
		TickMs: tick, ElectionTicks: 10, PreVote: true,
		SnapshotCount: etcdserver.DefaultSnapshotCount, SnapshotCatchUpEntries: etcdserver.DefaultSnapshotCatchUpEntries,
		BackendFreelistType: bolt.FreelistMapType,
		QuotaBackendBytes:   -1, // what was acknowledged was within one already
		MaxLearners:         1000,
		MaxRequestBytes:     embed.DefaultMaxRequestBytes, // with none it proposes its name again and again
		BcryptCost:          uint(bcrypt.DefaultCost),

		WarningApplyDuration: time.Minute, WarningUnaryRequestDuration: time.Minute,
		CompactHashCheckTime: time.Hour,
		UnsafeNoFsync:        true, // the directory is removed afterwards, whatever comes
		PeerTLSInfo:          transport.TLSInfo{LocalAddr: nowhere},
		ServerFeatureGate:    features.NewDefaultServerFeatureGate("nobody", l),
	}
}

// startEngine makes errors of panics at the start; later ones, in goroutines of etcd's own, end the process,
// which leaves what the directory was made from as it was.
func startEngine(c config.ServerConfig) (e engine, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("etcd does not start on it: %v", p)
		}
	}()
	s, err := etcdserver.NewServer(c)
	if err != nil {
		return engine{}, fmt.Errorf("etcd does not start on it: %w", err)
	}
	s.Start()
	return engine{s}, nil
}

// leads waits until a single member has made itself leader and a quorum, which it is, has confirmed that.
func (e engine) leads(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, electionBound)
	defer cancel()
	for {
		err := e.LinearizableReadNotify(ctx)
		if errors.Is(err, servererrors.ErrLeaderChanged) { // who asked before there was one is told that there is a new one
			continue
		}
		if err != nil {
			return fmt.Errorf("etcd does not become its own leader: %w", err)
		}
		return nil
	}
}

// electionBound is how long a single member may take to make itself leader: two election
// timeouts, which are two seconds, on a machine that has thirty times as much to do.
const electionBound = time.Minute

// applies waits until everything up to an index has been applied. There is no limit but the context's: how long it takes is the log's.
func (e engine) applies(ctx context.Context, index uint64) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for e.AppliedIndex() < index {
		select {
		case <-e.StopNotify():
			return fmt.Errorf("etcd stopped by itself at index %d of %d: the log says that this member was removed, or cannot be applied", e.AppliedIndex(), index)
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("etcd has applied the log up to index %d of %d", e.AppliedIndex(), index), ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}
