// Package spec turns HCL into clusters: what the operator wants, decoded and
// validated, every value with its place in the source.
//
// It opens no file, reads no environment and knows no host: [Load] takes bytes
// and functions. It decides nothing about the world either; that is the
// business of package plan.
package spec

import (
	"encoding/json"
	"path"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// Spec is everything one folder (or file) of HCL asks for.
type Spec struct {
	// Clusters in the order of their names.
	Clusters []*Cluster

	secrets []string
}

// Secrets are the texts of all secrets and sensitive variables, so that they can be kept out of
// what others say.
func (s *Spec) Secrets() []string { return s.secrets }

// Cluster returns the cluster of that name, or nil.
func (s *Spec) Cluster(name string) *Cluster {
	for _, c := range s.Clusters {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Cluster is one cluster with every default filled in.
type Cluster struct {
	// Name labels the cluster in paths, units and output: a DNS label.
	Name string `json:"name"`
	// Dir is the folder that relative paths of the spec start from; slash
	// separated, "." when the loader was not told better.
	Dir     string    `json:"-"`
	Server  Server    `json:"server"`
	TLS     TLS       `json:"tls"`
	Backup  Backup    `json:"backup"`
	Members []*Member `json:"members"` // in source order; at least one
	Clients []*Client `json:"clients"` // in source order
	// Hosts are machines that are no members, in source order.
	Hosts []*Host `json:"hosts,omitempty"`
	// Dependents are stopped before a restore and started after it, in source order. They change nothing of the cluster, and are no part of [Digest].
	Dependents []*Dependents `json:"dependents,omitempty"`
	// Protect: none of the members may be expelled. It guards what is done to the cluster and changes nothing of it,
	// so it is no part of [Digest]: who takes it away to remove a member has not gone back to an earlier spec.
	Protect bool `json:"protect,omitempty"`
	// Range is the header of the cluster block.
	Range hcl.Range `json:"-"`

	// Connection is what the cluster's own block says, without anything that is one host's: see [Cluster.Outside]. Of local hosts, Root
	// is the folder that has the members' roots.
	Connection Connection `json:"-"`
}

// Outside is a member that this spec does not have, as far as it can be reached by what the cluster's own connection block
// says: etcd's name of it, and the address of its peers. A list of members is other people's word, so the
// host that it names is given no password, and is not connected unless its key is known already.
func (c *Cluster) Outside(name, address string, clientPort, peerPort int) *Member {
	conn := c.Connection
	if conn.Type == "local" {
		conn.Root = path.Join(conn.Root, name)
	} else {
		conn.Host, conn.Password, conn.SudoPassword = address, Secret{}, Secret{}
		conn.StrictHostKeyChecking = "yes"
		conn.ConnectTimeout, conn.WaitForHost = outsideTimeout, 0
	}
	return &Member{Name: name, Address: address, ClientPort: clientPort, PeerPort: peerPort, Connection: conn}
}

// outsideTimeout bounds the connection with a host that the spec does not have: it may be long gone, and
// nobody is to wait for it with each plan.
const outsideTimeout = 3 * time.Second

// Member returns the member of that name, or nil.
func (c *Cluster) Member(name string) *Member {
	for _, m := range c.Members {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// Machine is the member of that name, or the host block's as a member without ports, as which it is reached; nil: there is neither.
func (c *Cluster) Machine(name string) *Member {
	if m := c.Member(name); m != nil {
		return m
	}
	for _, h := range c.Hosts {
		if h.Name == name {
			return &Member{Name: h.Name, Address: h.Address, Connection: h.Connection, Range: h.Range, AddressRange: h.AddressRange}
		}
	}
	return nil
}

// Consumers are the machines that are no members and that something is installed on, in the order of their blocks.
func (c *Cluster) Consumers() []*Member {
	var out []*Member
	for _, h := range c.Hosts {
		if len(c.Installed(h.Name)) > 0 {
			out = append(out, c.Machine(h.Name))
		}
	}
	return out
}

// ClientsHere are those whose certificate lies on this side: nobody else puts it where it is used.
func (c *Cluster) ClientsHere() []*Client {
	return slices.DeleteFunc(slices.Clone(c.Clients), func(k *Client) bool { return len(k.Install) > 0 })
}

// Installation is one client on one machine.
type Installation struct {
	Client *Client
	*Install
}

// Installed is what is installed on the machine of that name, in source order.
func (c *Cluster) Installed(machine string) []Installation {
	var out []Installation
	for _, k := range c.Clients {
		for _, i := range k.Install {
			if slices.Contains(i.Hosts, machine) {
				out = append(out, Installation{k, i})
			}
		}
	}
	return out
}

// Server says what runs on the hosts. The attribute names are etcd's own.
type Server struct {
	// Etcd is an upstream release to run in place of kvserver, or nil.
	Etcd *Release `json:"etcd,omitempty"`
	// Binary is the folder or file to take kvserver from on the operator's
	// side; empty means beside the quorate executable.
	Binary string `json:"binary,omitempty"`
	// KVServerSHA256 are the sums that kvserver must have, by Go architecture: 64 hex digits, lower case.
	// Empty: any is taken. Otherwise none is taken for an architecture that is not in it.
	KVServerSHA256 map[string]string `json:"kvserver_sha256,omitempty"`
	// DataDir and WALDir are absolute paths on the host. WALDir empty means
	// inside DataDir.
	DataDir string `json:"data_dir"`
	WALDir  string `json:"wal_dir,omitempty"`
	// User is the system account that the member runs as; empty: the one that the cluster's data belongs to, or
	// for a new cluster its own.
	User string `json:"user,omitempty"`
	// QuotaBackendBytes bounds the database, in bytes (etcd: 2 GiB default, 8 GiB suggested maximum).
	QuotaBackendBytes int64 `json:"quota_backend_bytes"`
	// AutoCompactionMode is "periodic" or "revision".
	AutoCompactionMode string `json:"auto_compaction_mode"`
	// AutoCompactionRetention is a duration ("1h") or a count of revisions ("1000"); "0" is off.
	AutoCompactionRetention string `json:"auto_compaction_retention"`
	// SnapshotCount is the number of applied entries between raft snapshots.
	SnapshotCount int64 `json:"snapshot_count"`
	// MaxRequestBytes bounds one request, in bytes.
	MaxRequestBytes int64 `json:"max_request_bytes"`
	// HeartbeatInterval and ElectionTimeout are in milliseconds; election is at least 5 × heartbeat (etcd refuses less).
	HeartbeatInterval int64 `json:"heartbeat_interval"`
	ElectionTimeout   int64 `json:"election_timeout"`
	// LogLevel is debug, info, warn, error.
	LogLevel string `json:"log_level"`
	// ExtraOptions go into etcd's configuration file as they are: names as
	// etcd spells them with dashes, values bool, float64, string or list.
	ExtraOptions map[string]any `json:"extra_options,omitempty"`
}

// Release is an upstream etcd release: an archive or a bare binary.
type Release struct {
	// Version without the v, for example "3.6.11".
	Version string `json:"version"`
	// Sources by Go architecture ("amd64", "arm64").
	Sources map[string]Source `json:"sources"`
}

// Source is where one architecture's release comes from.
type Source struct {
	// URL is http(s), or a path on the operator's side (relative to Cluster.Dir).
	URL string `json:"url"`
	// SHA256 of the file at URL, 64 hex digits, lower case.
	SHA256 string `json:"sha256"`
}

// TLS says how certificates are made.
type TLS struct {
	// Dir holds the CA on the operator's side: ca.pem and ca-key.pem (or ca-key.pem.age). Default "pki/<cluster>".
	Dir string `json:"dir"`
	// KeyAlgorithm is "ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096" or "ed25519".
	KeyAlgorithm string `json:"key_algorithm"`
	// CALifetime, LeafLifetime and RenewBefore are durations; a leaf that
	// expires within RenewBefore is issued anew by an ordinary apply.
	CALifetime   time.Duration `json:"ca_lifetime"`
	LeafLifetime time.Duration `json:"leaf_lifetime"`
	RenewBefore  time.Duration `json:"renew_before"`
	// ExtraSANs are put into every member's server certificate.
	ExtraSANs []string `json:"extra_sans,omitempty"`
	// CACert and CAKey name the operator's own CA (PEM files); both or neither.
	CACert string `json:"ca_cert,omitempty"`
	CAKey  string `json:"ca_key,omitempty"`
	// Encryption of the CA key at rest, or nil for none.
	Encryption *Encryption `json:"encryption,omitempty"`
}

// Backup says where backups of the cluster are kept.
type Backup struct {
	// Dir is an absolute path on each member's host.
	Dir string `json:"dir"`
	// Keep is how many good backups of a folder stay when the others are removed; at least 1.
	Keep int `json:"keep"`
	// Schedule is how each host takes backups by itself; nil: none does.
	Schedule *Schedule `json:"schedule,omitempty"`
	// Encryption of backups, or nil for none.
	Encryption *Encryption `json:"encryption,omitempty"`
}

// Schedule is how hosts take backups by themselves.
type Schedule struct {
	Interval time.Duration `json:"interval"` // at least [ShortestInterval]
	// Copies is how many members take one each time: the healthy voters with the lowest ids; 1 to 7.
	Copies int `json:"copies"`
	// Prove says how often a host restores what it has taken: weekly, always or never.
	Prove string `json:"prove"`
	// TextfileDir is the folder on the hosts that Prometheus' node exporter reads; "" writes nothing there.
	TextfileDir string `json:"textfile_dir,omitempty"`
}

// ShortestInterval of backups: a small database takes seconds, and systemd's timers are meant for no less.
const ShortestInterval = time.Minute

// Encryption of the CA key, or of backups, with age: a passphrase, or recipients, maybe with the
// identity file that opens it again.
type Encryption struct {
	Passphrase   Secret   `json:"-"`
	Recipients   []string `json:"recipients,omitempty"`
	IdentityFile string   `json:"identity_file,omitempty"`
}

// Member is one etcd member and how its host is reached.
type Member struct {
	Name string `json:"name"`
	// Address is what peers and clients dial: an IP address or a host name.
	Address    string `json:"address"`
	ClientPort int    `json:"client_port"`
	PeerPort   int    `json:"peer_port"`
	// MetricsPort serves /metrics and /health over plain HTTP on 127.0.0.1; 0 is off.
	MetricsPort int        `json:"metrics_port,omitempty"`
	ExtraSANs   []string   `json:"extra_sans,omitempty"`
	Connection  Connection `json:"connection"`
	// Protect: the member may not be expelled. Like the cluster's it is no part of [Digest].
	Protect bool `json:"protect,omitempty"`
	// Range is the header of the member block; AddressRange its address.
	Range        hcl.Range `json:"-"`
	AddressRange hcl.Range `json:"-"`
}

// Connection says how a host is reached. The words are ssh_config's.
type Connection struct {
	// Type is "ssh" or "local".
	Type string `json:"type"`
	// Host to dial; default the member's address.
	Host string `json:"host,omitempty"`
	Port int    `json:"port,omitempty"`
	User string `json:"user,omitempty"`
	// IdentityFile are private key files, or the .pub of keys in the agent, tried in order; empty means ssh_config's or OpenSSH's defaults.
	IdentityFile []string `json:"identity_file,omitempty"`
	Passphrase   Secret   `json:"-"`
	Password     Secret   `json:"-"`
	// Agent says whether the agent at SSH_AUTH_SOCK is asked.
	Agent bool `json:"agent"`
	// SSHConfig is the ssh_config file to read; "none" reads none, empty means ~/.ssh/config and the system's.
	SSHConfig string `json:"ssh_config,omitempty"`
	// ProxyJump is a chain of bastions, "[user@]host[:port]", outermost first.
	ProxyJump []string `json:"proxy_jump,omitempty"`
	// KnownHostsFile default ~/.ssh/known_hosts.
	KnownHostsFile string `json:"known_hosts_file,omitempty"`
	// HostKeys pins keys in authorized_keys form ("ssh-ed25519 AAAA…") or as "SHA256:…" fingerprints; when set, known_hosts is not read.
	HostKeys []string `json:"host_keys,omitempty"`
	// StrictHostKeyChecking is "yes" or "accept-new" (first use is recorded); empty means ssh_config's, else "yes".
	StrictHostKeyChecking string `json:"strict_host_key_checking,omitempty"`
	// Sudo is "auto" (when the user is not root), "always" or "never".
	Sudo         string `json:"sudo,omitempty"`
	SudoPassword Secret `json:"-"`
	// ConnectTimeout bounds one attempt; WaitForHost bounds the retries while a host is being born.
	ConnectTimeout time.Duration `json:"-"`
	WaitForHost    time.Duration `json:"-"`
	// KeepAlive is the interval of keepalives.
	KeepAlive time.Duration `json:"-"`
	// Root is the folder that stands for "/" of a local host; default ".quorate/<cluster>/<member>" under Dir.
	Root string `json:"root,omitempty"`
}

// Client is a certificate for a consumer of the cluster such as kube-apiserver, written on the operator's side.
type Client struct {
	// Name becomes the common name unless CommonName says otherwise.
	Name         string   `json:"name"`
	CommonName   string   `json:"common_name"`
	Organization []string `json:"organization,omitempty"`
	// Dir receives <name>.pem, <name>-key.pem, ca.pem and <name>/endpoints; default "pki/<cluster>/clients".
	Dir string `json:"dir"`
	// Install says on which machines it is put. With it there is neither a key nor a certificate on this side.
	Install []*Install `json:"install,omitempty"`
	Range   hcl.Range  `json:"-"`
}

// Host is a machine that is no member: what consumers of the cluster need is installed on it, or dependents of it run there.
type Host struct {
	Name string `json:"name"`
	// Address is the machine's: an IP address or a host name.
	Address    string     `json:"address"`
	Connection Connection `json:"connection"`
	// Range is the header of the host block; AddressRange its address.
	Range        hcl.Range `json:"-"`
	AddressRange hcl.Range `json:"-"`
}

// Install has a client's key made, and its certificate, the CA and the endpoints put, on machines that use them.
type Install struct {
	// Hosts are names of host blocks or of members, in source order; at least one.
	Hosts []string `json:"hosts"`
	// Dir is an absolute path on each of them, for <client>.pem, <client>-key.pem, ca.pem and endpoints.
	Dir string `json:"dir"`
	// User and Group own what is put there.
	User  string `json:"user"`
	Group string `json:"group"`
	// Restart are the units there that are restarted when the endpoints or the CA have changed.
	Restart []string  `json:"restart,omitempty"`
	Range   hcl.Range `json:"-"`
}

// Secret is a value that never appears in output: it prints and marshals as
// "(sensitive)". Reveal is the only way to its text.
type Secret struct{ text string }

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the text; for the one call that needs it.
func (s Secret) Reveal() string { return s.text }

// Empty reports whether there is no secret.
func (s Secret) Empty() bool { return s.text == "" }

const sensitive = "(sensitive)"

func (s Secret) String() string               { return sensitive }
func (s Secret) GoString() string             { return sensitive }
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(sensitive) }
