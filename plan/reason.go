package plan

// Reason names why something is held. docs/held.md is made from this file: a constant's comment says there what its
// reason means, the comment above its group how much it holds, and Acceptable which may be passed over.
type Reason string

// About one host: holds what belongs to that host. Until the cluster has formed it holds everything, since a bootstrap needs every host.
const (
	HostUnreachable  Reason = "host-unreachable"  // no look at the host could be had; it holds a whole destroy
	Platform         Reason = "platform"          // not Linux, an unknown architecture, no systemd
	Privilege        Reason = "privilege"         // neither root nor sudo
	OneSession       Reason = "one-session"       // the host's SSH server allows one session at a time
	ToolMissing      Reason = "tool-missing"      // the host lacks a program the tool needs
	UnsafeFolder     Reason = "unsafe-folder"     // others may exchange a folder on the way to what root writes
	MountUnusable    Reason = "mount-unusable"    // a file system is read-only, or runs no binaries
	BinaryMissing    Reason = "binary-missing"    // this side has no binary for the host's architecture, or another one than the spec pins
	DiskFull         Reason = "disk-full"         // not enough free space
	PortTaken        Reason = "port-taken"        // somebody else listens on a member's port
	ClockSkew        Reason = "clock-skew"        // the host's clock is off by too much for certificates
	Masked           Reason = "masked"            // the administrator has forbidden the unit
	AddressMissing   Reason = "address-missing"   // no interface of the host has the member's address
	FolderInUse      Reason = "folder-in-use"     // a folder that the spec names holds something that is not ours
	DataExists       Reason = "data-exists"       // data of a member that this cluster did not make, or data in two places
	DataMoved        Reason = "data-moved"        // the data lies elsewhere than the spec says, and cannot be moved now
	UserChange       Reason = "user-change"       // the data belongs to another account than the spec's
	BootstrapDiffers Reason = "bootstrap-differs" // the host's data was begun with another list of members
)

// Which cluster this is: holds everything, as nobody can say whose data would be touched.
const (
	Identity          Reason = "identity"           // hosts took part in different bootstraps, or belong to another member or cluster
	ClusterGone       Reason = "cluster-gone"       // a cluster of this name was formed, and no host knows it
	ListsDiffer       Reason = "lists-differ"       // members of one cluster give different member lists
	SameName          Reason = "same-name"          // the cluster lists two members of one name
	IDMismatch        Reason = "id-mismatch"        // a member's id is listed as another member of the spec
	CAMissing         Reason = "ca-missing"         // a cluster is there, its CA is not
	CAMismatch        Reason = "ca-mismatch"        // the CA at hand is not the one the hosts trust
	CAProblem         Reason = "ca-problem"         // the CA cannot be used as it is
	RestoreUnfinished Reason = "restore-unfinished" // a restore was begun and neither finished nor undone; its own verb goes on
	SpecBehind        Reason = "spec-behind"        // the spec is one that was applied before and has been replaced since
)

// Which cluster a part of it belongs to: holds that member's host; everything, where it is not clear which cluster is meant.
const (
	OtherCluster Reason = "other-cluster" // members serve, or hold the data of, different clusters
)

// Members and their quorum: holds the changes that it names, and what depends on them; the other steps are done.
const (
	AddNeedsVoters     Reason = "add-needs-voters"    // too few voters are healthy for etcd to take a new member
	ExpelWaits         Reason = "expel-waits"         // a member that serves goes only once what is to join has joined
	MajorityRemoved    Reason = "majority-removed"    // more voters would be expelled at once than may be meant
	Protected          Reason = "protected"           // the member is not to be expelled
	AddressTaken       Reason = "address-taken"       // the cluster lists another member at the peer URL that one is to have
	AddressesMoved     Reason = "addresses-moved"     // nobody serves, and the members know each other at other addresses than the spec's; everything
	ConsumersConnected Reason = "consumers-connected" // somebody uses a member that is to be expelled, and no other
	Renamed            Reason = "renamed"             // a member may not have the name that the spec gives it; while nobody serves who could say whose it is: everything
	RemovedMember      Reason = "removed-member"      // a host holds the data of an id that the cluster does not list
	DataLost           Reason = "data-lost"           // a member of a formed cluster without its data directory
	MajorityLost       Reason = "majority-lost"       // too many disks or voters are lost for a quorum
	Quorum             Reason = "quorum"              // too few voters are known to be healthy for it; a bootstrap that lacks hosts: everything
	ClusterUnknown     Reason = "cluster-unknown"     // members run, or could be running, and could not be asked
	NotServing         Reason = "not-serving"         // a member does not serve, and starting it would not help
	Corrupt            Reason = "corrupt"             // the alarm CORRUPT stands
	NoSpace            Reason = "no-space"            // the alarm NOSPACE stands
	VersionChange      Reason = "version-change"      // another minor version than the one running
)

// About a restore: holds everything, before anything is touched.
const (
	NotSetUp        Reason = "not-set-up"       // a host lacks what a member runs from, which apply puts there
	SnapshotNewer   Reason = "snapshot-newer"   // the snapshot is of a newer etcd than the server that is to read it
	SnapshotCorrupt Reason = "snapshot-corrupt" // an alarm stands in the snapshot that says not to trust it
	OverQuota       Reason = "over-quota"       // the snapshot is larger than the members' databases may get, or NOSPACE stands in it and it leaves no room
	Auth            Reason = "auth"             // the snapshot has authentication enabled, and no user that quorate could be
	QuorumServes    Reason = "quorum-serves"    // a recovery is asked for, and a quorum of the members serves
	OldMembers      Reason = "old-members"      // members that the spec does not have serve on with the old data
	Dependents      Reason = "dependents"       // who depends on the cluster runs, and could not be stopped as the spec says
)

// Acceptable are the reasons that may be passed over by name: where going on
// loses nothing that cannot be had back.
func Acceptable() []Reason { return []Reason{SpecBehind, MajorityRemoved, ConsumersConnected} }
