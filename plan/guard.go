package plan

// guard names a rule that keeps a plan from doing harm. The judge switches each
// of them off in turn, to see that somebody else would notice (see the tests).
type guard string

// The guards, and what each of them says.
const (
	guardLost      guard = "data-lost"      // who may have acknowledged something does not start with an empty disk
	guardServing   guard = "not-serving"    // "no changes" is said of members that serve
	guardQuorum    guard = "quorum"         // a voter is taken away only while all are known to be healthy
	guardExclusive guard = "exclusive"      // one step that touches voters waits for the one before
	guardCanary    guard = "canary"         // what is new reaches the second host once the first member serves with it
	guardHolder    guard = "holder-first"   // whose host has what is new already is restarted before all others
	guardAlone     guard = "holder-is-down" // nobody else gets what is new while it waits for that restart
	guardLeader    guard = "leader-last"    // who leads is restarted after all others
	guardLate      guard = "stage-late"     // other addresses and folders reach a host once the member before it has moved

	guardAdd      guard = "add-needs-voters" // who joins is added only while etcd takes it
	guardDead     guard = "dead-first"       // who is dead is expelled before others join
	guardLiving   guard = "living-last"      // who serves is expelled after others have joined
	guardWaits    guard = "expel-waits"      // ... and not while one of them cannot
	guardExpel    guard = "expel-quorum"     // nobody is expelled whom the membership needs
	guardExisting guard = "existing"         // who joins never starts a cluster of its own
	guardRemoved  guard = "removed-data"     // the data of a member that was removed is never started
)

// guards are all of them; the judge has a row for each.
var guards = []guard{guardLost, guardServing, guardQuorum, guardExclusive, guardCanary, guardHolder, guardAlone, guardLeader, guardLate,
	guardAdd, guardDead, guardLiving, guardWaits, guardExpel, guardExisting, guardRemoved}

// stands reports whether a guard does: always, but in a test that has switched it off.
func (b *builder) stands(g guard) bool { return b.opt.without != g }
