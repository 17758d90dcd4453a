package plan

import (
	"fmt"
	"slices"
	"strings"

	"quorate/kvserver"
	"quorate/pki"
	"quorate/plan/spec"
)

// identify finds out which cluster this is and how far it is: who has data,
// whose it is, whether the cluster has ever served. Everything that could make
// a second cluster beside a living one, or start a member that forgot what it
// acknowledged, is held here.
func (b *builder) identify() {
	seen := b.seen()
	b.voters(seen)
	var data, running, touched bool
	tokens := map[string][]string{}
	for _, m := range seen {
		h := b.obs.Hosts[m.Name]
		data = data || h.hasData() && (h.Manifest != nil || b.proven(m))
		running = running || h.Unit.Running()
		if h.Manifest != nil {
			touched = true
			b.formed = b.formed || h.Manifest.Formed
			tokens[h.Manifest.Token] = append(tokens[h.Manifest.Token], m.Name)
		} else if h.hasData() && b.proven(m) {
			b.formed = true // nobody can say how far it had come: the careful reading
		}
	}
	live := len(b.obs.Cluster.Members) > 0
	// etcd starts at revision 1: a higher one was written by a client, so the cluster has served
	// even if the run that made it was cut before it could note that down.
	for _, s := range b.obs.Cluster.Status {
		b.formed = b.formed || s.Revision > 1
	}
	switch {
	case b.formed && (live || running):
		b.plan.Situation = Running
	case b.formed:
		b.plan.Situation = Stopped
	case data || live || running || touched:
		b.plan.Situation = Forming
	default:
		b.plan.Situation = Absent
	}
	if b.plan.Situation == Absent {
		b.plan.Before, b.now = Voters{}, Voters{}
	}
	b.plan.Token = b.opt.Token
	b.identity(seen, tokens)
	b.acting = slices.Clone(seen)
	if b.formed {
		b.membership()
	}
	for _, m := range slices.Clone(b.acting) {
		b.dataOf(m)
	}
	b.authority(seen, data)
}

// seen lists the members whose hosts could be looked at and holds the others.
func (b *builder) seen() []*spec.Member {
	var out []*spec.Member
	for _, m := range b.spec.Members {
		h := b.obs.Hosts[m.Name]
		if h.Problem == "" {
			out = append(out, m)
			continue
		}
		b.hold(Held{
			Reason: HostUnreachable, Subject: m.Name, Detail: h.Problem, Blocks: !b.opt.SkipUnreachable,
			WayOut: "mend the connection and run again; or go on with the hosts that answer: --skip-unreachable",
		})
	}
	return out
}

// voters counts who votes and who answers. Before there is a member list the
// spec's members count as the voters to be.
func (b *builder) voters(seen []*spec.Member) {
	v := Voters{Total: len(b.spec.Members)}
	if len(b.obs.Cluster.Members) > 0 {
		v.Total = 0
		for _, m := range b.obs.Cluster.Members {
			if !m.Learner {
				v.Total++
			}
		}
	}
	for _, m := range seen {
		if b.obs.Cluster.Healthy[m.Name] && !b.obs.Cluster.Status[m.Name].Learner {
			v.Healthy++
		}
	}
	b.plan.Before, b.now = v, v
}

// identity holds everything when hosts disagree about which cluster they belong to.
func (b *builder) identity(seen []*spec.Member, tokens map[string][]string) {
	switch len(tokens) {
	case 0:
	case 1:
		b.plan.Token = sortedKeys(tokens)[0]
	default:
		var says []string
		for _, t := range sortedKeys(tokens) {
			says = append(says, fmt.Sprintf("%s: token %s", strings.Join(tokens[t], ", "), or(t, "none")))
		}
		b.hold(Held{Reason: Identity, Subject: b.spec.Name, Blocks: true,
			Detail: "the hosts took part in different bootstraps: " + strings.Join(says, "; "),
			WayOut: "find out which hosts hold the cluster you mean (manifest.json under /etc/quorate) and take the others out of the spec, or move their configuration and data aside"})
	}
	for _, m := range seen {
		man := b.obs.Hosts[m.Name].Manifest
		if man != nil && (man.Member != m.Name || man.Cluster != b.spec.Name) {
			b.hold(Held{Reason: Identity, Subject: m.Name, Blocks: true,
				Detail: fmt.Sprintf("the host says it is member %q of cluster %q", man.Member, man.Cluster),
				WayOut: "correct the address or the name in the spec"})
		}
	}
}

// membership compares the formed cluster's members with the spec's.
func (b *builder) membership() {
	listed := map[string]kvserver.Member{}
	for _, m := range b.obs.Cluster.Members {
		listed[b.named(m)] = m
	}
	live := len(b.obs.Cluster.Members) > 0
	for _, m := range b.spec.Members {
		in, ok := listed[m.Name]
		delete(listed, m.Name)
		peer := URL("https", m.Address, m.PeerPort)
		h := b.obs.Hosts[m.Name]
		switch {
		case live && !ok, !live && h.Problem == "" && h.Manifest == nil && !h.hasData():
			b.hold(Held{Reason: Membership, Subject: m.Name,
				Detail: fmt.Sprintf("the spec has member %q, the cluster has not", m.Name),
				WayOut: "this version does not add members to a cluster that has formed: take it out of the spec"})
			b.leave(m.Name)
		case live && !slices.Contains(in.PeerURLs, peer):
			b.hold(Held{Reason: Membership, Subject: m.Name,
				Detail: fmt.Sprintf("the cluster knows its peer URL as %s, the spec says %s", strings.Join(in.PeerURLs, ", "), peer),
				WayOut: "this version does not move members: put the former address and peer port back into the spec"})
			b.leave(m.Name)
		case live && in.Learner:
			b.note("%s is a learner: it does not vote", m.Name)
		}
	}
	for _, n := range sortedKeys(listed) {
		b.hold(Held{Reason: Membership, Subject: n,
			Detail: fmt.Sprintf("the cluster has member %q (%s), the spec has not", n, strings.Join(listed[n].PeerURLs, ", ")),
			WayOut: "this version does not remove members: put it back into the spec"})
	}
}

// named is the name of a listed member; one that never started has none and
// is matched by its peer URL.
func (b *builder) named(m kvserver.Member) string {
	if m.Name != "" {
		return m.Name
	}
	for _, s := range b.spec.Members {
		if slices.Contains(m.PeerURLs, URL("https", s.Address, s.PeerPort)) {
			return s.Name
		}
	}
	return fmt.Sprintf("unstarted member %x", m.ID)
}

// dataOf holds a member whose data directory is not what it must be. The
// first rule of the house: never a "new" bootstrap where data or a cluster is.
func (b *builder) dataOf(m *spec.Member) {
	h, l := b.obs.Hosts[m.Name], b.layout[m.Name]
	healthy := b.obs.Cluster.Healthy[m.Name]
	stop := func(r Reason, detail, out string) {
		b.hold(Held{Reason: r, Subject: m.Name, Detail: detail, WayOut: out, Blocks: !b.formed})
		b.leave(m.Name)
	}
	switch {
	case h.hasData() && h.Manifest == nil && !healthy && !b.proven(m):
		stop(DataExists, fmt.Sprintf("%s holds the data of an etcd member that cluster %q did not make", l.dataPaths(), b.spec.Name),
			"check whose data it is; move it aside, or give this cluster another data_dir")
	case b.formed && h.Manifest != nil && (h.Manifest.DataDir != l.Data || h.Manifest.WALDir != l.WAL):
		stop(DataMoved, fmt.Sprintf("the member's data is in %s, the spec says %s", strings.TrimSpace(h.Manifest.DataDir+" "+h.Manifest.WALDir), l.dataPaths()),
			"put the former data_dir and wal_dir back into the spec")
	case b.formed && !healthy && (!h.Data.Member || l.WAL != "" && !h.WAL.Member):
		stop(DataLost, fmt.Sprintf("the cluster has formed with this member, and %s is empty: started as new it would have forgotten what it acknowledged", l.dataPaths()),
			"put its data back if it was moved; this version does not replace members")
	case !b.formed && h.hasData() && b.bootstrapDiffers(m):
		stop(Membership, "a bootstrap with another list of members was begun here, and data is there already",
			"put the former members back into the spec and apply; or `quorate destroy` what was begun")
	}
}

// proven reports whether the host carries this member's own certificate from
// the CA at hand: then its data is this cluster's, also without a manifest.
func (b *builder) proven(m *spec.Member) bool {
	if !b.obs.CA.Exists {
		return false
	}
	for _, p := range []pki.Profile{pki.Server, pki.Peer, pki.Client} {
		c, ok := b.obs.Hosts[m.Name].Certificates[b.layout[m.Name].Cert(string(p))]
		if ok && c.Issuer == b.obs.CA.Cert.Fingerprint && c.Subject == m.Name {
			return true
		}
	}
	return false
}

// bootstrapDiffers reports whether the bootstrap file that this host's data was begun with is another one.
func (b *builder) bootstrapDiffers(m *spec.Member) bool {
	d, err := b.desire(m)
	f := b.obs.Hosts[m.Name].Files[b.layout[m.Name].Bootstrap]
	return err == nil && f.Exists && f.Content != d.bootstrap.Content
}

// authority holds everything when the CA at hand is not the cluster's.
func (b *builder) authority(seen []*spec.Member, data bool) {
	ca := b.obs.CA
	if ca.Problem != "" {
		b.hold(Held{Reason: CAProblem, Subject: b.spec.Name, Detail: ca.Problem, Blocks: true,
			WayOut: "mend the CA's files in " + b.spec.TLS.Dir})
		return
	}
	if !ca.Exists && (b.formed || data) {
		b.hold(Held{Reason: CAMissing, Subject: b.spec.Name, Blocks: true,
			Detail: fmt.Sprintf("the cluster is there, its CA is not in %s; a new one would lock every member and client out", b.spec.TLS.Dir),
			WayOut: "put ca.pem and ca-key.pem of this cluster back into " + b.spec.TLS.Dir})
		return
	}
	if !b.formed && !data {
		return
	}
	for _, m := range seen {
		on, ok := b.obs.Hosts[m.Name].Certificates[b.layout[m.Name].CA]
		if ok && on.Fingerprint != ca.Cert.Fingerprint {
			b.hold(Held{Reason: CAMismatch, Subject: m.Name, Blocks: true,
				Detail: fmt.Sprintf("the host trusts the CA %s, the one at hand is %s", short(on.Fingerprint), short(ca.Cert.Fingerprint)),
				WayOut: "put the CA of this cluster back into " + b.spec.TLS.Dir + "; this version does not rotate CAs"})
		}
	}
}

func (h *Host) hasData() bool { return h.Data.Member || h.WAL.Member }

func (l Layout) dataPaths() string {
	if l.WAL == "" {
		return l.Data
	}
	return l.Data + " (WAL " + l.WAL + ")"
}
