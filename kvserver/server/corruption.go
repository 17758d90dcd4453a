package server

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"go.etcd.io/etcd/pkg/v3/featuregate"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"
	"go.etcd.io/etcd/server/v3/features"

	"quorate/kvserver"
	"quorate/kvserver/datadir"
	"quorate/kvserver/probe"
)

// peerWait bounds one question to a peer that serves: a round trip and a
// handshake, on a network that is to carry heartbeats.
const peerWait = time.Second

// initialCheck switches etcd's initial corruption check off for this start
// unless every other member that has ever started serves now.
//
// The check compares the hash of this member's keys with its peers', before it
// serves. A peer that is starting too listens already and does not answer: two
// that check at one moment wait for each other until etcd's request timeout (5
// s and two election timeouts, one peer after another: 15 s were seen with three
// members after a power cut, and 1 s without the check). Where no peer serves
// there is nobody to compare with anyway. What is missed here the check of compacted
// hashes finds later.
//
// An unreadable member list changes nothing. A member without peers need not
// hash its keys for nobody.
func initialCheck(ctx context.Context, cfg *embed.Config) {
	gate, ok := cfg.ServerFeatureGate.(featuregate.MutableFeatureGate)
	if !ok || !gate.Enabled(features.InitialCorruptCheck) {
		return
	}
	lg := cfg.GetLogger()
	if yes, err := datadir.Initialised(cfg.Dir, cfg.WalDir); err == nil && !yes {
		return // etcd checks no member that is new
	}
	peers, err := peersOf(cfg)
	if err != nil {
		lg.Warn("cannot read who the peers are", zap.Error(err))
		return
	}
	silent := silentPeers(ctx, cfg, peers)
	if len(peers) > 0 && len(silent) == 0 {
		return
	}
	if err := gate.SetFromMap(map[string]bool{string(features.InitialCorruptCheck): false}); err != nil {
		lg.Warn("cannot switch the initial corruption check off", zap.Error(err))
		return
	}
	lg.Info("no initial corruption check at this start: not every peer serves", zap.Int("peers", len(peers)), zap.Strings("silent", silent))
}

// peersOf lists the other members that have started at some time.
func peersOf(cfg *embed.Config) ([]kvserver.InspectedMember, error) {
	_, self, err := datadir.Identity(cfg.Dir, cfg.WalDir)
	if err != nil {
		return nil, err
	}
	members, err := datadir.Members(cfg.Dir)
	return slices.DeleteFunc(members, func(m kvserver.InspectedMember) bool { return m.ID == kvserver.ID(self) || m.Name == "" }), err
}

// silentPeers names those that do not answer on their peer port, all asked at once.
func silentPeers(ctx context.Context, cfg *embed.Config, peers []kvserver.InspectedMember) []string {
	if len(peers) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, peerWait)
	defer cancel()
	transport, err := rafthttp.NewRoundTripper(cfg.PeerTLSInfo, peerWait)
	if err != nil {
		return []string{err.Error()} // etcd says it again, and ends
	}
	answers := make([]error, len(peers))
	var wait sync.WaitGroup
	for n, p := range peers {
		wait.Go(func() {
			for _, url := range p.PeerURLs {
				if answers[n] = probe.Greet(ctx, transport, url); answers[n] == nil {
					return
				}
			}
		})
	}
	wait.Wait()
	var silent []string
	for n, err := range answers {
		if err != nil {
			silent = append(silent, fmt.Sprintf("%s: %v", peers[n].Name, err))
		}
	}
	return silent
}
