package plan

import (
	"slices"
	"strings"
	"time"

	"quorate/kvserver/node"
	"quorate/plan/spec"
	"quorate/templates"
)

// KindPeers sees that members know each other by name.
const KindPeers Kind = "peers"

// Looks reports whether a step of the kind only looks at hosts, which needs no lock on them.
func (k Kind) Looks() bool { return k == KindPeers }

// Peers has every host shake hands anew with the other members, with the certificate that its own
// member shows them: what is about to be demanded of peers (allowed-cn) is true of all of them, at
// both ends, before the first member demands it. Holds afterwards: it is. Nothing is changed.
type Peers struct {
	quiet
	CommonName string        `json:"common_name"`
	Members    []PeersMember `json:"members"`
	Wait       time.Duration `json:"wait"`
}

// PeersMember is one end; paths are on its host.
type PeersMember struct {
	Member  string `json:"member"`
	Helper  string `json:"helper"`  // kvserver
	Address string `json:"address"` // host:port that the others dial
	CA      string `json:"ca"`
	Cert    string `json:"cert"`
	Key     string `json:"key"`
}

// Kind of the step.
func (*Peers) Kind() Kind { return KindPeers }

// Phase of the step: before what it is about is written.
func (*Peers) Phase() Phase { return PhaseStage }

// Hosts are all of them.
func (a *Peers) Hosts() []string {
	return texts(a.Members, func(m PeersMember) string { return m.Member })
}

// Describe has nothing to add to the title.
func (*Peers) Describe() Description { return Description{Sign: Changed} }

// peersByName decides whether members are to refuse peers whose certificate has another common name
// than [node.PeerName]: a client's certificate, which the same CA signs, is no peer's then. Three
// gates, and never two in one plan: all peer certificates get that name, which needs no restart; new
// handshakes show it at both ends (see peers); only then the configuration rolls. What has passed them stays.
// A cluster that has not formed passes at once: its first certificates have the name.
func (b *builder) peersByName() bool {
	asks := func(m *member) bool { return templates.AsksPeerName(m.host.Files[m.layout.EtcdYAML].Content) }
	if !b.formed || slices.ContainsFunc(b.members, asks) {
		return true
	}
	for _, m := range b.members {
		if m.host.Problem != "" || !m.healthy() || len(b.lacking(m)) > 0 || m.host.Certificates[m.layout.Cert("peer")].Subject != node.PeerName {
			return false
		}
	}
	return true
}

// peerName is what a member's configuration demands of its peers; "" for nothing.
func (b *builder) peerName(m *member) string {
	if b.byName && templates.TakesPeerName(b.serving(m).Version) {
		return node.PeerName
	}
	return ""
}

// peersNote says of whom it is not demanded, and what is missing.
func (b *builder) peersNote() {
	old := slices.DeleteFunc(b.acting(), func(m *member) bool {
		v := b.serving(m).Version
		return v == "" || templates.TakesPeerName(v)
	})
	switch {
	case len(old) > 0:
		b.note("%s: %s: its etcd cannot be told by its configuration file to know peers by name (3.5.15 and newer can)", strings.Join(memberNames(old), ", "), PeersOpen)
	case !b.byName:
		b.note("%s, until all members show peer certificates of their own kind: once they do, the next apply has members refuse all others", PeersOpen)
	}
}

// PeersOpen is what it means for a member to take every certificate of the CA for a peer's.
const PeersOpen = "whoever has a client certificate of this cluster can pass for a member on the peer port, past etcd's own authentication"

// PeersByAnyName are the members whose configuration takes every certificate of the CA for a
// peer's, as far as their hosts were seen.
func PeersByAnyName(c *spec.Cluster, o *Observed) []string {
	var out []string
	for _, m := range c.Members {
		if h := o.Hosts[m.Name]; h != nil {
			if f := h.Files[LayoutOf(c, m).EtcdYAML]; f.Exists && !templates.AsksPeerName(f.Content) {
				out = append(out, m.Name)
			}
		}
	}
	return out
}

// peersWait bounds the handshakes: all members serve.
const peersWait = 10 * time.Second

// peers is planned before the first member is told to know its peers by name.
func (b *builder) peers() {
	if !b.formed {
		return // the first start is the proof: whoever is not let in does not start
	}
	var writes []int
	for i, s := range b.steps {
		f, ok := s.Action.(*Files)
		if ok && slices.ContainsFunc(f.Files, func(w WriteFile) bool { return b.demands(s.Member, w) }) {
			writes = append(writes, i)
		}
	}
	a := &Peers{CommonName: node.PeerName, Wait: peersWait}
	for _, m := range b.members {
		if m.healthy() && m.host.Problem == "" {
			a.Members = append(a.Members, PeersMember{Member: m.Name, Helper: m.layout.KVServer, Address: m.peerAddress(),
				CA: m.layout.CA, Cert: m.layout.Cert("peer"), Key: m.layout.Key("peer")})
		}
	}
	if len(writes) == 0 || len(a.Members) < 2 {
		return
	}
	who := strings.Join(a.Hosts(), ",")
	b.add(draft{subject: who, Step: Step{Title: "see that " + strings.ReplaceAll(who, ",", ", ") + " know each other by name", Action: a}})
	id := b.steps[len(b.steps)-1].ID
	for _, i := range writes {
		b.steps[i].after = append(b.steps[i].after, id)
	}
}

// demands reports whether a file is a configuration that is the first on its host to demand peers' names. One without
// data has no former one that its peers could miss.
func (b *builder) demands(name string, f WriteFile) bool {
	m := b.called(name)
	return m != nil && m.hasData() && f.Path == m.layout.EtcdYAML && templates.AsksPeerName([]byte(f.Content)) && !templates.AsksPeerName(m.host.Files[f.Path].Content)
}
