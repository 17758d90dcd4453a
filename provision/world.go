// Package provision is the hands: it connects, observes, locks, executes a
// plan step by step and keeps the journal. One file per kind of step, under
// the same name as in package plan.
//
// It decides nothing: what to do is the plan's, how a machine is reached is
// package host's. Nothing here reads arguments, environment or the clock; all
// of that comes in through [World].
package provision

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"quorate/kvserver"
	"quorate/pki"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision/host"
	"quorate/provision/redact"
)

// World is everything outside, as small doors. One World serves one cluster.
type World struct {
	// Connect opens the session with a member's host. It is called once per
	// member and bounded by ctx; retries while a host is being born are its business.
	Connect func(ctx context.Context, m *spec.Member) (host.Host, error)
	// Authority is the cluster's CA.
	Authority Authority
	// Binaries are the servers on the operator's side.
	Binaries Binaries
	// Admin is the client of the members' API; dial reaches a member through its host. Without a TLS
	// configuration, what dial gives speaks TLS with the member already.
	Admin func(members []Endpoint, t *tls.Config, dial Dial) Admin
	// Client names a client certificate of the spec's to ask the members with; "": none in particular.
	// See [Session.AskAs].
	Client string
	Clock  func() time.Time
	// Holder says who we are, for the lock; Since and Verb are filled in.
	Holder host.Holder
	// Runs is the folder of the journals on this side; "" keeps none.
	Runs string
	// Filter stands before what a journal keeps; nil knows no secrets.
	Filter *redact.Filter
	// Stamps remembers digests of large files on the hosts by their stamp, so
	// that observing need not read them again. A cache: losing it costs time only.
	Stamps Stamps
}

// Endpoint is where a member's API is: host:port, as seen from its own host.
type Endpoint struct {
	Name    string
	Address string
}

// Dial opens a connection to address from the named member's host.
type Dial func(ctx context.Context, member, network, address string) (net.Conn, error)

// Admin is etcd's admin side. Each call asks one member, through its host;
// nothing is retried here.
type Admin interface {
	// Members lists the members as a quorum sees them, through one member. It is a
	// linearizable read, so an answer also says that this member is healthy.
	Members(ctx context.Context, via string) ([]kvserver.Member, error)
	// MembersLocal lists the members as one member knows them, quorum or not; the answer may be old, and a learner gives none (kvserver.ErrIsLearner).
	MembersLocal(ctx context.Context, name string) ([]kvserver.Member, error)
	// Status is the member's own word; it answers without a quorum too.
	Status(ctx context.Context, name string) (kvserver.Status, error)
	// HashKV is the hash of a member's keys up to a revision, 0 for its newest; see kvserver.Hash. It reads the
	// whole database of that member, which applies no writes meanwhile.
	HashKV(ctx context.Context, name string, revision int64) (kvserver.Hash, error)
	// MoveLeader asks the leader to hand over to the member with that id.
	MoveLeader(ctx context.Context, leader string, to uint64) error
	// AddLearner, Promote, Remove and Update change the members, through one voter, and return all members as they are then.
	// What refuses a change is in package kvserver: see [kvserver.ErrTooFewStarted] and those beside it. An error that is
	// none of them leaves open whether it happened.
	AddLearner(ctx context.Context, via string, peerURLs []string) (kvserver.Member, []kvserver.Member, error)
	Promote(ctx context.Context, via string, id uint64) ([]kvserver.Member, error)
	Remove(ctx context.Context, via string, id uint64) ([]kvserver.Member, error)
	Update(ctx context.Context, via string, id uint64, peerURLs []string) ([]kvserver.Member, error)
	Upkeep
	Close() error
}

// Upkeep is what looks after the members' databases.
type Upkeep interface {
	// Compact drops the history before a revision on all members, and returns once the one that is asked has deleted what that
	// frees. Where it is compacted already, kvserver.ErrCompacted comes as late.
	Compact(ctx context.Context, via string, revision int64) error
	// Compacted is the revision up to which the keys are compacted, 0 for never.
	Compacted(ctx context.Context, via string) (int64, error)
	// Defragment has a member write its database anew. It takes as long as that does, and goes on when ctx ends.
	Defragment(ctx context.Context, name string) error
	// Alarms lists those that stand, as a quorum sees them.
	Alarms(ctx context.Context, via string) ([]kvserver.Alarm, error)
	// Disarm ends one, whether its cause is gone or not.
	Disarm(ctx context.Context, via string, a kvserver.Alarm) error
	// TryWrite is nil if a write through that member is taken, and leaves no trace; kvserver.ErrNoSpace where NOSPACE refuses it.
	TryWrite(ctx context.Context, via string) error
}

// Authority is the CA and what is signed with it, on the operator's side.
type Authority interface {
	// Look says what is there, without opening the key. A problem with the CA
	// is in the answer; an error means that it could not be looked at.
	Look() (plan.CA, error)
	// Try finds out, without the key, whether what a CA that is there will sign would be taken; the error says what it lacks.
	Try(requests []pki.Request) error
	// Create makes the CA. One that is there already is left alone.
	Create(a *plan.CreateCA) error
	// Encrypt encrypts a plain CA key where the spec wants that, and says whether it had to.
	Encrypt() (changed bool, err error)
	// Sign signs the public key of a CSR as asked, if it is of that algorithm. Opens the key, once.
	Sign(ctx context.Context, csr []byte, algorithm string, r pki.Request) (pem []byte, c pki.Certificate, err error)
	// Parse says what a certificate says; its Issuer is set if ca, which Look gave, signed it.
	Parse(pem []byte, ca plan.CA) (pki.Certificate, error)
	// Operator gives a TLS configuration with a fresh client certificate of that lifetime, whose key is
	// in memory only. Opens the CA's key, once.
	Operator(ctx context.Context, lifetime time.Duration) (*tls.Config, error)
	// Ready reports whether Operator would neither ask anybody nor decrypt anything: the key lies
	// there plain, or has been opened already.
	Ready() bool
	// ClientTLS is the TLS configuration of a client certificate on this side. It does not touch the CA's key.
	ClientTLS(name string) (*tls.Config, error)
	// LookClient and IssueClient are about the client certificates on this side.
	LookClient(c *spec.Client) (plan.ClientFiles, error)
	IssueClient(ctx context.Context, a *plan.IssueClient) error
	// WriteEndpoints writes a file that says where the members serve, and says whether that changed anything.
	WriteEndpoints(path, content string) (changed bool, err error)
	// Recorded is what an earlier run noted down of the cluster; nil: nothing. Remember
	// notes it down, and says whether that changed anything.
	Recorded() (*plan.Recorded, error)
	Remember(path string, r *plan.Recorded) (changed bool, err error)
	// Forget moves a folder aside, and deletes files, and folders that are empty then. What is not there is fine.
	Forget(a *plan.Forget) error
}

// Binaries finds server binaries on the operator's side.
type Binaries interface {
	// Find gives the binaries that a platform ("linux/amd64") needs, by name. An error names what is missing and where it was looked for.
	// Of a release that is not on this side yet it gives the archive and no blob: it fetches nothing.
	Find(platform string) (map[string]Source, error)
	// Fetch fetches the spec's release of etcd for a platform, if it is not on this side yet, and
	// gives it. progress hears of the bytes got, of all (0: unknown). It does not try again.
	Fetch(ctx context.Context, platform string, progress func(got, all int64)) (Source, error)
}

// Source is a binary and what it says it is.
type Source struct {
	Blob    host.Blob // nil: Archive is yet to be fetched
	Version string    // of etcd
	Archive plan.Archive
	// Problem says why there is nothing to fetch; "" if that can be tried, or need not.
	Problem string
}

// Stamps is a memory of digests.
type Stamps interface {
	// Known gives the stamp and digest last seen at a path of a member's host; empty if none.
	Known(member, path string) (stamp, digest string)
	// Seen notes what was seen.
	Seen(member, path, stamp, digest string)
	// Save keeps it for the next run.
	Save() error
}
