package plan

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/plan/spec"
)

// Place is where a client lies on a machine that uses it.
type Place struct {
	Dir, Cert, Key, CA, Endpoints string
	// Pending is there from before what a unit is restarted for is written until that unit has come back: a run that
	// is cut in between leaves it to the next one.
	Pending string
}

// PlaceOf places an installed client's files.
func PlaceOf(l Layout, i spec.Installation) Place {
	dir := path.Join(l.Root+"/", i.Dir)
	return Place{
		Dir: dir, Cert: path.Join(dir, i.Client.Name+".pem"), Key: path.Join(dir, i.Client.Name+"-key.pem"),
		CA: path.Join(dir, "ca.pem"), Endpoints: path.Join(dir, "endpoints"), Pending: path.Join(dir, "restart-pending"),
	}
}

// Way lists the folders that must not be exchanged for what is written there, up to "/".
func (p Place) Way() []string {
	var out []string
	for d := p.Dir; d != "/" && d != "."; d = path.Dir(d) {
		out = append(out, d)
	}
	return out
}

// HelperWay is [Layout.Way] for a machine that has kvserver and the lock, and no member.
func (l Layout) HelperWay() []string {
	var out []string
	for _, p := range []string{l.KVServer, l.Lock} {
		for d := path.Dir(p); d != "/"; d = path.Dir(d) {
			out = append(out, d)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// machines are the members and the other machines that something is installed on.
func (b *builder) machines() []*member { return slices.Concat(b.members, b.others) }

// endpoints are the client URLs of those that vote, or will when what is planned so far is done, in the spec's order: who
// leaves is not among them, nor who has not been promoted. While nobody can say who votes it is the spec's members, see [builder.line].
func (b *builder) endpoints() []string {
	var out []string
	for _, m := range b.members {
		if b.formed && b.census.Known {
			l, in := b.now.Of(m.Name)
			if !in || l.Learner {
				continue
			}
		}
		out = append(out, node.URL("https", m.Address, m.ClientPort))
	}
	return out
}

// tellConsumers has all who use the cluster told where it serves. They are told last, when whoever joins has been promoted and
// whoever moves has moved; but before a member is expelled that serves, so that nobody is given the
// address of somebody who does not serve, nor left with none but the leaving one's.
func (b *builder) tellConsumers() {
	first := len(b.steps)
	var after []string // exclusive steps that they are told after
	var leaving []int  // expulsions that they are told before
	for i, s := range b.steps {
		if a, expels := s.Action.(*Expel); expels && a.Answers {
			leaving = append(leaving, i)
		} else if s.Action.Exclusive() && len(leaving) == 0 {
			after = append(after, s.ID)
		}
	}
	late := len(leaving) == 0
	if b.plan.Endpoints = b.endpoints(); len(b.plan.Endpoints) == 0 {
		return
	}
	b.tellThisSide(after, late)
	b.installs(after, late)
	for _, s := range b.steps[first:] {
		for _, i := range leaving {
			if s.Kind == KindEndpoints || s.Kind == KindInstall {
				b.steps[i].after = append(b.steps[i].after, s.ID)
			}
		}
	}
}

// onlyThere are, for each member outside the spec that may serve, the addresses that are connected with it and with
// nobody who stays, as far as the hosts could be looked at. The members' own hosts are left out, through which this
// tool comes too; so are machines on which this plan restarts what is connected, with other endpoints.
func (b *builder) onlyThere() map[string][]string {
	own := map[string]bool{}
	stays := map[string]bool{}
	belongs := func(m *spec.Member, h *Host) {
		if m != nil {
			own[m.Address] = true
		}
		if h != nil {
			for _, a := range h.Addresses {
				own[a] = true
			}
		}
	}
	for _, m := range b.members {
		belongs(m.Member, m.host)
		for _, a := range m.host.Consumers {
			stays[a] = true
		}
	}
	for _, id := range sortedKeys(b.obs.Cluster.Strangers) {
		s := b.obs.Cluster.Strangers[id]
		belongs(s.Member, s.Host)
	}
	out := map[string][]string{}
	for _, id := range sortedKeys(b.obs.Cluster.Strangers) {
		s := b.obs.Cluster.Strangers[id]
		if s.Host == nil {
			continue
		}
		l := b.listedAs(id)
		alone := slices.DeleteFunc(slices.Clone(s.Host.Consumers), func(a string) bool {
			ip, err := netip.ParseAddr(a)
			return err != nil || ip.IsLoopback() || own[a] || stays[a] || b.restartsFor(a, l)
		})
		if len(alone) > 0 {
			out[kvserver.ID(id)] = alone
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// listedAs is the listed member of an id.
func (b *builder) listedAs(id uint64) Listed {
	for _, l := range b.census.Membership.Members() {
		if l.ID == id {
			return l
		}
	}
	return Listed{}
}

// restartsFor reports whether a machine that has this address is told that a member has left, and has units that are
// restarted for that.
func (b *builder) restartsFor(address string, l Listed) bool {
	for _, m := range b.others {
		if m.Address != address && !slices.Contains(m.host.Addresses, address) || len(b.unfitConsumer(m)) > 0 {
			continue
		}
		for _, i := range b.spec.Installed(m.Name) {
			had := strings.Split(strings.TrimSpace(string(m.host.Files[PlaceOf(m.layout, i).Endpoints].Content)), ",")
			if len(i.Restart) > 0 && slices.ContainsFunc(l.ClientURLs, func(u string) bool { return slices.Contains(had, u) }) {
				return true
			}
		}
	}
	return false
}

// usedAlone reports whether somebody is connected with a member that leaves and with none that stays, and nobody has
// said that this may be.
func (b *builder) usedAlone(l Listed) bool {
	return len(b.consumers[kvserver.ID(l.ID)]) > 0 && !slices.Contains(b.opt.Accept, ConsumersConnected)
}

// some are the first of many.
func some(all []string) string {
	const most = 10
	text := strings.Join(all[:min(most, len(all))], ", ")
	if len(all) > most {
		text += fmt.Sprintf(" and %d more", len(all)-most)
	}
	return text
}

// installed are the clients that lie, or are put by this plan, on machines, as cluster.json has them.
func (b *builder) installed() []RecordedInstall {
	var out []RecordedInstall
	for _, m := range b.machines() {
		for _, i := range b.spec.Installed(m.Name) {
			id := InstallID(i.Client.Name, m.Name)
			if b.oursAt(m, i) || slices.ContainsFunc(b.steps, func(s draft) bool { return s.ID == id }) {
				out = append(out, recordedInstall(m, i))
			}
		}
	}
	return out
}

func recordedInstall(m *member, i spec.Installation) RecordedInstall {
	return RecordedInstall{Client: i.Client.Name, Host: m.Name, Dir: PlaceOf(m.layout, i).Dir}
}

// noteLeftInstalls names what was put on machines and is not in the spec any more: it stays, since somebody may use it.
func (b *builder) noteLeftInstalls() {
	if b.obs.Recorded == nil {
		return
	}
	wanted := map[RecordedInstall]bool{}
	for _, m := range b.machines() {
		for _, i := range b.spec.Installed(m.Name) {
			wanted[recordedInstall(m, i)] = true
		}
	}
	for _, was := range b.obs.Recorded.Installed {
		if !wanted[was] {
			b.note("client %s is not to be on %s any more: what lies in %s there stays, and is not kept up; remove it once nobody uses it", was.Client, was.Host, was.Dir)
		}
	}
}
