package plan

import (
	"strings"
	"time"

	"quorate/kvserver/node"
)

// KindReach finds out whether the hosts reach each other.
const KindReach Kind = "reach"

// Reach has every host listen where its member will and dial the others, all at
// the same time, before any member is started: a firewall, a missing route or
// an address that leads elsewhere is named with both ends, in seconds. Holds
// afterwards: every member reaches every other one on its peer port.
type Reach struct {
	quiet
	Members []ReachMember `json:"members"`
	Wait    time.Duration `json:"wait"`
}

// ReachMember is one end.
type ReachMember struct {
	Member  string `json:"member"`
	Helper  string `json:"helper"`  // kvserver on its host
	Listen  string `json:"listen"`  // host:port
	Address string `json:"address"` // host:port that the others dial
}

// Kind of the step.
func (*Reach) Kind() Kind { return KindReach }

// Phase of the step: kvserver is there, and nobody has been started.
func (*Reach) Phase() Phase { return PhaseSign }

// Hosts are all of them.
func (a *Reach) Hosts() []string {
	return texts(a.Members, func(m ReachMember) string { return m.Member })
}

// Describe has nothing to add to the title.
func (*Reach) Describe() Description { return Description{Sign: New} }

// reachWait bounds the probe: hosts begin within a second of one another, and a
// connection that is not there after three retransmissions (1, 2 and 4 s) is not coming.
const reachWait = 7 * time.Second

// reach is planned before a bootstrap of several members, as long as none of them runs.
func (b *builder) reach() {
	if b.plan.Situation != Absent && b.plan.Situation != Forming || len(b.members) < 2 {
		return
	}
	a := &Reach{Wait: reachWait}
	for _, m := range b.members {
		if m.host.Unit.Running() || m.ails == nil {
			return // its port is its own, or it is not to be started
		}
		peer := node.Listeners(m.Address, 0, m.PeerPort, 0)[0]
		a.Members = append(a.Members, ReachMember{Member: m.Name, Helper: m.layout.KVServer,
			Listen: node.HostPort(peer.Hosts[0], m.PeerPort), Address: node.HostPort(m.Address, m.PeerPort)})
	}
	who := strings.Join(a.Hosts(), ", ")
	b.add(draft{subject: strings.Join(a.Hosts(), ","), Step: Step{Title: "see that " + who + " reach each other", Action: a}})
}
