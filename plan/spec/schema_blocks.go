package spec

import hosts "quorate/kvserver/node" // a node is one of the spec's text here

// rootBlock is the schema of a whole spec. It is built anew at each call, so
// that nobody can change it for others.
func rootBlock() *block {
	return &block{
		blocks: []*block{variableBlock(), localsBlock(), clusterBlock()},
	}
}

func variableBlock() *block {
	return &block{
		name: "variable", label: "name", many: true,
		doc: "A value that is given from outside: --var, --var-file, QUORATE_VAR_<name>, or its default.",
		attrs: []*attribute{
			{name: "type", kind: kindType, unset: "any", example: "string", doc: "what values are allowed: string, number, bool, list(string), map(number), object({…}), …"},
			{name: "default", kind: kindAny, unset: "the variable must be given", example: `"lab"`, doc: "the value when none is given; it may call functions but refer to nothing"},
			{name: "description", kind: kindString, unset: "none", example: `"the domain of all hosts"`, doc: "for the reader"},
			{name: "sensitive", kind: kindBool, def: "false", doc: "never shown, and accepted only where nothing is shown: passwords and passphrases"},
		},
		blocks: []*block{{
			name: "validation", many: true,
			doc: "A rule of your own for the variable's value.",
			attrs: []*attribute{
				{name: "condition", kind: kindBool, required: true, example: "length(var.hosts) > 0", doc: "must be true; may refer to variables"},
				{name: "error_message", kind: kindString, required: true, example: `"give at least one host"`, doc: "what to say when it is not"},
			},
		}},
	}
}

func localsBlock() *block {
	return &block{
		name: "locals", many: true, free: true,
		doc: "Names for expressions; they may refer to variables and to one another.",
	}
}

func clusterBlock() *block {
	return &block{
		name: "cluster", label: "name", many: true,
		doc: "One etcd cluster. Its name labels paths, units and output: lower-case letters, digits and dashes.",
		attrs: []*attribute{
			{name: "protect", kind: kindBool, def: "false", doc: "no member is ever expelled"},
		},
		blocks: []*block{
			memberBlock(),
			connectionBlock("How the hosts are reached; a member's own connection block wins attribute by attribute."),
			serverBlock(), tlsBlock(), backupBlock(), clientBlock(), hostBlock(), dependentsBlock(),
		},
	}
}

func memberBlock() *block {
	return &block{
		name: "member", label: "name", many: true,
		doc: "One etcd member and its host. The name is etcd's member name.",
		attrs: []*attribute{
			{name: "address", kind: kindString, required: true, example: `"192.168.7.101"`, doc: "what clients and the other members dial: an IP address or a host name"},
			{name: "client_port", kind: kindNumber, def: "2379", min: 1, max: 65535, doc: "port for clients; the n-th local member gets 2379, 2389, 2399, …"},
			{name: "peer_port", kind: kindNumber, def: "2380", min: 1, max: 65535, doc: "port for the other members; the n-th local member gets 2380, 2390, 2400, …"},
			{name: "metrics_port", kind: kindNumber, def: "0", max: 65535, example: "2381", doc: "port on 127.0.0.1 for /metrics and /health over plain HTTP; 0 is off"},
			{name: "extra_sans", kind: kindStrings, def: "[]", example: `["etcd1.example.com"]`, doc: "further names and addresses for this member's server and peer certificates"},
			{name: "protect", kind: kindBool, def: "false", doc: "the member is never expelled"},
		},
		blocks: []*block{connectionBlock("How this member's host is reached, where it differs from the cluster's connection.")},
	}
}

func connectionBlock(doc string) *block {
	return &block{
		name: "connection",
		doc:  doc,
		attrs: []*attribute{
			{name: "type", kind: kindString, def: `"ssh"`, oneOf: []string{"ssh", "local"}, doc: "ssh, or local for members on this machine without root"},
			{name: "host", kind: kindString, unset: "the member's address", example: `"etcd1.mgmt.example.com"`, doc: "host to dial, or its alias in ssh_config"},
			{name: "port", kind: kindNumber, unset: "ssh_config's, else 22", min: 1, max: 65535, example: "22", doc: "SSH port"},
			{name: "user", kind: kindString, unset: "ssh_config's, else your own", example: `"admin"`, doc: "login user"},
			{name: "identity_file", kind: kindStrings, unset: "ssh_config's, else OpenSSH's defaults", example: `["~/.ssh/id_ed25519"]`, doc: "private key files, or the .pub of keys in the agent, tried in order; one string is fine too"},
			{name: "passphrase", kind: kindSecret, unset: "none", example: `env("SSH_KEY_PASSPHRASE")`, doc: "opens encrypted identity files"},
			{name: "password", kind: kindSecret, unset: "none", example: `env("SSH_PASSWORD")`, doc: "login password"},
			{name: "agent", kind: kindBool, def: "true", doc: "ask the agent at SSH_AUTH_SOCK"},
			{name: "ssh_config", kind: kindString, unset: "~/.ssh/config, then /etc/ssh/ssh_config", example: `"none"`, doc: `the only ssh_config file to read; "none" reads none`},
			{name: "proxy_jump", kind: kindStrings, unset: "ssh_config's, else none", example: `["admin@bastion.example.com:22"]`, doc: "bastions on the way, outermost first"},
			{name: "known_hosts_file", kind: kindString, unset: "ssh_config's, else ~/.ssh/known_hosts", example: `"known_hosts"`, doc: "where host keys are looked up and recorded; the system's files are read as well; a line that cannot be read is passed over, as ssh does"},
			{name: "host_keys", kind: kindStrings, def: "[]", example: `["SHA256:uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s"]`, doc: "pinned host keys, or their SHA256 fingerprints; known_hosts is then not read"},
			{name: "strict_host_key_checking", kind: kindString, unset: "ssh_config's, else yes", example: `"accept-new"`, oneOf: []string{"yes", "accept-new"}, doc: "yes: only known keys; accept-new: an unknown host's key is recorded at first use, a changed one is refused"},
			{name: "sudo", kind: kindString, def: `"auto"`, oneOf: []string{"auto", "always", "never"}, doc: "auto: when the login user is not root"},
			{name: "sudo_password", kind: kindSecret, unset: "none", example: `env("SUDO_PASSWORD")`, doc: "for sudo that asks"},
			{name: "connect_timeout", kind: kindDuration, def: `"10s"`, doc: "bounds one attempt to connect and log in"},
			{name: "wait_for_host", kind: kindDuration, def: `"0s"`, doc: "how long to keep trying while a host is being born; 0s tries once"},
			{name: "keep_alive", kind: kindDuration, def: `"15s"`, doc: "interval of keepalives; 0s is off"},
			{name: "root", kind: kindString, def: `".quorate/<cluster>/<member>"`, doc: "local only: the folder that stands for / of this host; on the cluster's connection, the folder that holds each member's"},
		},
	}
}

func serverBlock() *block {
	return &block{
		name: "server",
		doc:  "What runs on the hosts. The names are etcd's own.",
		attrs: []*attribute{
			{name: "binary", kind: kindString, unset: "beside the quorate executable", example: `"./bin"`, doc: "file or folder to take kvserver from, on this side"},
			{name: "kvserver_sha256", kind: kindOptions, unset: "any is taken", example: `{ amd64 = "` + exampleSum + `" }`, doc: "SHA-256 that kvserver must have, for each architecture (amd64, arm64) among the hosts; another one is never pushed"},
			{name: "data_dir", kind: kindString, def: `"/var/lib/quorate/<cluster>"`, doc: "data directory on the host; it belongs to the member alone"},
			{name: "wal_dir", kind: kindString, unset: "inside data_dir", example: `"/var/lib/etcd-wal/<cluster>"`, doc: "directory of the write-ahead log, best on a disk of its own"},
			{name: "user", kind: kindString, unset: "quorate-<cluster>, or whose data is there already", example: `"etcd"`, doc: "system account that the member runs as, not root; made if missing"},
			{name: "quota_backend_bytes", kind: kindSize, def: `"8GiB"`, doc: "how large the database may grow before writes stop"},
			{name: "auto_compaction_mode", kind: kindString, def: `"periodic"`, oneOf: []string{"periodic", "revision"}, doc: "compact history by age or by number of revisions"},
			{name: "auto_compaction_retention", kind: kindString, def: `"1h"`, doc: `how much history to keep: a duration ("1h") in periodic mode, a count ("10000") in revision mode; "0" is off`},
			{name: "snapshot_count", kind: kindNumber, def: "10000", min: 1, max: 10_000_000, doc: "applied entries between raft snapshots"},
			{name: "max_request_bytes", kind: kindSize, def: `"1.5MiB"`, doc: "largest request"},
			{name: "heartbeat_interval", kind: kindNumber, def: "100", min: 1, max: 10_000, doc: "milliseconds; about the round trip between members"},
			{name: "election_timeout", kind: kindNumber, def: "1000", min: 5, max: 50_000, doc: "milliseconds; at least 5 × heartbeat_interval, better 10 ×"},
			{name: "log_level", kind: kindString, def: `"info"`, oneOf: []string{"debug", "info", "warn", "error"}, doc: "how much the member logs"},
			{name: "extra_options", kind: kindOptions, def: "{}", example: `{ max-txn-ops = 512 }`, doc: "further options for etcd's configuration file, spelled as etcd does, with dashes"},
		},
		blocks: []*block{{
			name: "etcd",
			doc:  "An upstream etcd release to serve in place of kvserver.",
			attrs: []*attribute{
				{name: "version", kind: kindString, required: true, example: `"3.6.11"`, doc: "its version: 3.4 to 3.7"},
			},
			blocks: []*block{{
				name: "source", label: "arch", many: true,
				doc: "Where the release for one architecture (amd64, arm64) comes from.",
				attrs: []*attribute{
					{name: "url", kind: kindString, required: true, example: `"https://example.com/etcd-v3.6.11-linux-amd64.tar.gz"`, doc: "http(s) URL, or a path on this side: a release archive or a bare etcd binary"},
					{name: "sha256", kind: kindString, required: true, example: `"` + exampleSum + `"`, doc: "SHA-256 of that file, 64 hex digits"},
				},
			}},
		}},
	}
}

// exampleSum is the SHA-256 of nothing.
const exampleSum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func tlsBlock() *block {
	return &block{
		name: "tls",
		doc:  "How certificates are made.",
		attrs: []*attribute{
			{name: "dir", kind: kindString, def: `"pki/<cluster>"`, doc: "folder of the CA on this side: ca.pem and ca-key.pem, or ca-key.pem.age"},
			{name: "key_algorithm", kind: kindString, def: `"ecdsa-p256"`, oneOf: hosts.KeyAlgorithms(), doc: "of the CA's and all other new keys"},
			{name: "ca_lifetime", kind: kindDuration, def: `"3650d"`, doc: "how long a new CA is good for"},
			{name: "leaf_lifetime", kind: kindDuration, def: `"365d"`, doc: "how long the members' and clients' certificates are good for"},
			{name: "renew_before", kind: kindDuration, def: `"30d"`, doc: "an apply renews what expires within this time"},
			{name: "extra_sans", kind: kindStrings, def: "[]", example: `["etcd.example.com"]`, doc: "further names and addresses for every member's server certificate"},
			{name: "ca_cert", kind: kindString, unset: "a CA is made", example: `"ca/ca.pem"`, doc: "your own CA's certificate (PEM); with ca_key"},
			{name: "ca_key", kind: kindString, unset: "a CA is made", example: `"ca/ca-key.pem"`, doc: "your own CA's private key (PEM); with ca_cert"},
		},
		blocks: []*block{encryptionBlock("key", "Keeps the CA's private key encrypted with age: by a passphrase, or for recipients.", "; required with recipients")},
	}
}

// encryptionBlock says how a thing is encrypted with age.
func encryptionBlock(thing, doc, identity string) *block {
	return &block{
		name: "encryption",
		doc:  doc,
		attrs: []*attribute{
			{name: "passphrase", kind: kindSecret, unset: "none", example: `env("PASSPHRASE")`, doc: "encrypts and opens the " + thing},
			{name: "recipients", kind: kindStrings, unset: "none", example: `["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudlsmlyqgegz9s"]`, doc: "age or SSH public keys that the " + thing + " is encrypted for"},
			{name: "identity_file", kind: kindString, unset: "none", example: `"~/.config/age/key.txt"`, doc: "age or SSH private key file that opens it" + identity},
		},
	}
}

func backupBlock() *block {
	return &block{
		name: "backup",
		doc:  "With this block hosts take backups by themselves. It says how often, and where these and others are kept, and how many.",
		attrs: []*attribute{
			{name: "dir", kind: kindString, def: `"/var/backups/quorate/<cluster>"`, doc: "folder on each member's host; root's, readable by nobody else"},
			{name: "keep", kind: kindNumber, def: "14", min: 1, max: 10_000, doc: "how many good backups of each folder stay; older ones are removed once a new one is good, and by backup prune"},
			{name: "interval", kind: kindDuration, def: `"12h"`, doc: "how often hosts take backups by themselves, at least 1m; 0s is never"},
			{name: "copies", kind: kindNumber, def: "2", min: 1, max: 7, doc: "how many members do so each time: the healthy voters with the lowest ids"},
			{name: "prove", kind: kindString, def: `"weekly"`, oneOf: []string{"weekly", "always", "never"}, doc: "how often a host restores one that it has just taken, and starts a server on it"},
			{name: "textfile_dir", kind: kindString, unset: "none", example: `"/var/lib/prometheus/node-exporter"`, doc: "folder on the hosts, which is there, for a file of numbers that Prometheus' node exporter reads"},
		},
		blocks: []*block{encryptionBlock("backup", "Encrypts backups with age, on the host, before anything of them is kept: by a passphrase, or for recipients.", "; only for verifying and restoring on this side")},
	}
}

func hostBlock() *block {
	return &block{
		name: "host", label: "name", many: true,
		doc: "A machine that is no member, for the install blocks of clients, and for dependents.",
		attrs: []*attribute{
			{name: "address", kind: kindString, required: true, example: `"192.168.7.111"`, doc: "its IP address or host name"},
		},
		blocks: []*block{connectionBlock("How the machine is reached, where it differs from the cluster's connection.")},
	}
}

func dependentsBlock() *block {
	return &block{
		name: "dependents", label: "name", many: true,
		doc: "Services that cannot go on without the cluster: stopped before a restore, and started after it.",
		attrs: []*attribute{
			{name: "preset", kind: kindString, unset: "none", example: `"kubeasz"`, oneOf: []string{"kubeasz", "kubeadm"}, doc: "what a Kubernetes of this kind runs beside etcd; an attribute that is given takes the place of the preset's"},
			{name: "hosts", kind: kindStrings, unset: "all host blocks and members that are reached over SSH", example: `["control1", "worker1"]`, doc: "the machines: names of host blocks or of members; what one does not have is passed over there"},
			{name: "units", kind: kindStrings, unset: "the preset's", example: `["kube-apiserver"]`, doc: "systemd units, in the order in which they are stopped, and started"},
			{name: "manifests", kind: kindStrings, unset: "the preset's", example: `["/etc/kubernetes/manifests/kube-apiserver.yaml"]`, doc: "static pods' files, moved away in this order before any unit is stopped, and back after all are started; the kubelet, which ends the pods, has to run"},
			{name: "processes", kind: kindStrings, unset: "called like the units and manifests", example: `["kube-apiserver"]`, doc: "names of which no process may be left when all of it is stopped"},
			{name: "ports", kind: kindPorts, unset: "the preset's", example: "[6443, 10257, 10259]", doc: "TCP ports on which nobody may listen then; those that somebody listened on before are waited for afterwards"},
			{name: "timeout", kind: kindDuration, def: `"2m"`, doc: "how long each unit or pod may take to end, and to come back"},
		},
	}
}

func clientBlock() *block {
	return &block{
		name: "client", label: "name", many: true,
		doc: "A client certificate for a consumer such as kube-apiserver, written on this side.",
		attrs: []*attribute{
			{name: "common_name", kind: kindString, unset: "the block's name", example: `"kube-apiserver-etcd-client"`, doc: "common name: the user name that etcd sees; not `quorate-peer`, which is the members' own"},
			{name: "organization", kind: kindStrings, def: "[]", example: `["system:masters"]`, doc: "organizations of the subject"},
			{name: "dir", kind: kindString, unset: "clients inside the folder of tls", example: `"pki/<cluster>/clients"`, doc: "folder for <name>.pem, <name>-key.pem and ca.pem, and for <name>/endpoints"},
		},
		blocks: []*block{{
			name: "install", many: true,
			doc: "Puts the client where it is used; its key is made there.",
			attrs: []*attribute{
				{name: "hosts", kind: kindStrings, required: true, example: `["control1", "control2"]`, doc: "the machines: names of host blocks or of members"},
				{name: "dir", kind: kindString, required: true, example: `"/etc/kubernetes/pki/etcd"`, doc: "folder there for <name>.pem, <name>-key.pem, ca.pem and endpoints; of this client alone, made if missing"},
				{name: "owner", kind: kindString, def: `"root"`, example: `"kube:kube"`, doc: "whose they are: a user of that machine, or user:group; without a group it is the one called like the user"},
				{name: "restart", kind: kindStrings, def: "[]", example: `["kube-apiserver"]`, doc: "systemd units there that are restarted when the endpoints or the CA have changed, one machine after another"},
			},
		}},
	}
}
