package plan

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"quorate/plan/spec"
)

// sharedAccount is what members of every cluster ran as before each cluster had an account of its own.
const sharedAccount = "quorate"

// accountLimit is how many characters an account's name may have: systemd takes 31 (utmp's field).
const accountLimit = 31

// OwnAccount is the system account of a cluster that is formed anew, where the spec names none.
func OwnAccount(cluster string) string {
	name := sharedAccount + "-" + cluster
	if len(name) <= accountLimit {
		return name
	}
	tail := "-" + digest(cluster)[:6]
	return name[:accountLimit-len(tail)] + tail
}

// Accounts are those of which a plan has to know whether they are there.
func Accounts(c *spec.Cluster) []string {
	if c.Server.User != "" {
		return []string{c.Server.User}
	}
	return []string{sharedAccount, OwnAccount(c.Name)}
}

// accountName is spec's rule; a number is an owner without an account.
var accountName = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,30}$`)

func account(owner string) string {
	if owner == "root" || !accountName.MatchString(owner) {
		return ""
	}
	return owner
}

// account is the one that the cluster's members run as: the spec's; else the one that what there is of the
// cluster belongs to; else, for a cluster that is new, its own.
func (b *builder) account() string {
	if b.spec.Server.User != "" {
		return b.spec.Server.User
	}
	for _, of := range []func(*member) string{noted, b.dataOwner, keysOwner} {
		for _, m := range b.seen() {
			if a := of(m); a != "" {
				return a
			}
		}
	}
	if slices.ContainsFunc(b.seen(), func(m *member) bool { return m.host.Manifest != nil || b.holdsOurs(m) }) {
		return sharedAccount
	}
	return OwnAccount(b.spec.Name)
}

// holdsOurs reports whether a host holds data of this cluster's.
func (b *builder) holdsOurs(m *member) bool {
	return m.hasData() && (m.host.Manifest != nil || b.proven(m) || b.known(m))
}

// noted is what the manifest has; those of older versions have none.
func noted(m *member) string {
	if m.host.Manifest == nil {
		return ""
	}
	return m.host.Manifest.User
}

func (b *builder) dataOwner(m *member) string {
	if !b.holdsOurs(m) {
		return ""
	}
	return account(m.host.Files[m.layout.Data].Owner)
}

// keysOwner is the group of the folder of the keys: it is the account's whoever the owner is.
func keysOwner(m *member) string { return account(m.host.Files[m.layout.PKI].Group) }

// hasAccount reports whether the account is there: it is known, or something belongs to it.
func (b *builder) hasAccount(m *member) bool {
	return m.host.Accounts[b.user] || m.host.Files[m.layout.Data].Owner == b.user
}

// accountOf holds a member whose data belongs to another account than it would run as: whose data is
// is never changed.
func (b *builder) accountOf(m *member) {
	if local(m.Member) || !m.hasData() {
		return
	}
	is := cmp.Or(noted(m), b.dataOwner(m), keysOwner(m))
	if is == "" || is == b.user || b.dataOwner(m) == b.user {
		return
	}
	folders := []string{m.layout.Data, m.layout.PKI}
	if m.layout.WAL != "" {
		folders = slices.Insert(folders, 1, m.layout.WAL)
	}
	b.hold(Held{Reason: UserChange, Subject: m.Name, Blocks: !b.formed,
		Detail: fmt.Sprintf("its data belongs to the account %s, and it would run as %s", is, b.user),
		WayOut: fmt.Sprintf("put user = %q back into the spec; or, one member at a time: make the account %s there, stop %s, chown -R %s:%s %s, and apply",
			is, b.user, m.layout.Unit, b.user, b.user, strings.Join(folders, " "))})
	m.leave()
}
