package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/crypto/bcrypt"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/config"
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

// usual is how long a tick of an engine is, in milliseconds: a single member makes itself leader within two seconds.
const usual = 100

// openEngine starts the server. Its panics at the start are errors; later ones, in goroutines of
// its own, end the process, which leaves what it was made from as it was.
func openEngine(dataDir string, tick uint, log io.Writer) (e engine, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("etcd does not start on it: %v", p)
		}
	}()
	l := logger(log)
	s, err := etcdserver.NewServer(config.ServerConfig{
		Name: "nobody", DataDir: dataDir, Logger: l,
		TickMs: tick, ElectionTicks: 10, PreVote: true,
		SnapshotCount: etcdserver.DefaultSnapshotCount, SnapshotCatchUpEntries: etcdserver.DefaultSnapshotCatchUpEntries,
		BackendFreelistType:  bolt.FreelistMapType,
		QuotaBackendBytes:    -1, // what was acknowledged was within one already
		MaxLearners:          1000,
		BcryptCost:           uint(bcrypt.DefaultCost),
		WarningApplyDuration: time.Minute, WarningUnaryRequestDuration: time.Minute,
		CompactHashCheckTime: time.Hour,
		UnsafeNoFsync:        true, // the directory is removed afterwards, whatever comes
		PeerTLSInfo:          transport.TLSInfo{LocalAddr: nowhere},
		ServerFeatureGate:    features.NewDefaultServerFeatureGate("nobody", l),
	})
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
