package node

// Common names that quorate gives to certificates of its own, so that etcd can tell them apart.
const (
	// PeerName is that of every member's peer certificate, and of no other: who shows another one
	// is no peer (etcd's peer-transport-security: allowed-cn).
	PeerName = "quorate-peer"
	// OperatorName is that of what quorate asks members with: a host's own client certificate and
	// that of a run. Where etcd's authentication is on, it is the user that needs the role root.
	OperatorName = "quorate"
)
