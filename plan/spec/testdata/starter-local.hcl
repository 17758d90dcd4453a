# One etcd cluster. Everything that is commented out shows its default: to change
# something, take the first # away from its block. docs/spec.md has every block
# and attribute.

cluster "laptop" {
  connection {
    type = "local"
  }

  member "etcd1" { address = "127.0.0.1" }
  member "etcd2" { address = "127.0.0.1" }
  member "etcd3" { address = "127.0.0.1" }

  ## One etcd member and its host. The name is etcd's member name.
  # # member "etcd1" {
  # #   address = "192.168.7.101" # what clients and the other members dial: an IP address or a host name
  # #   client_port = 2379        # port for clients; the n-th local member gets 2379, 2389, 2399, …
  # #   peer_port = 2380          # port for the other members; the n-th local member gets 2380, 2390, 2400, …
  # #   metrics_port = 0          # port on 127.0.0.1 for /metrics and /health over plain HTTP; 0 is off
  # #   extra_sans = []           # further names and addresses for this member's server and peer certificates
  # #   protect = false           # the member is never expelled
  # # }

  ## What runs on the hosts. The names are etcd's own.
  # server {
  #   # binary = "./bin"                     # file or folder to take kvserver from, on this side; default: beside the quorate executable
  #   # kvserver_sha256 = { amd64 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" } # SHA-256 that kvserver must have, for each architecture (amd64, arm64) among the hosts; another one is never pushed; default: any is taken
  #   data_dir = "/var/lib/quorate/laptop"   # data directory on the host; it belongs to the member alone
  #   # wal_dir = "/var/lib/etcd-wal/laptop" # directory of the write-ahead log, best on a disk of its own; default: inside data_dir
  #   # user = "etcd"                        # system account that the member runs as, not root; made if missing; default: quorate-<cluster>, or whose data is there already
  #   quota_backend_bytes = "8GiB"           # how large the database may grow before writes stop
  #   auto_compaction_mode = "periodic"      # compact history by age or by number of revisions
  #   auto_compaction_retention = "1h"       # how much history to keep: a duration ("1h") in periodic mode, a count ("10000") in revision mode; "0" is off
  #   snapshot_count = 10000                 # applied entries between raft snapshots
  #   max_request_bytes = "1.5MiB"           # largest request
  #   heartbeat_interval = 100               # milliseconds; about the round trip between members
  #   election_timeout = 1000                # milliseconds; at least 5 × heartbeat_interval, better 10 ×
  #   log_level = "info"                     # how much the member logs
  #   extra_options = {}                     # further options for etcd's configuration file, spelled as etcd does, with dashes
  #   ## An upstream etcd release to serve in place of kvserver.
  #   # etcd {
  #   #   version = "3.6.11" # its version: 3.4 to 3.7
  #   #   ## Where the release for one architecture (amd64, arm64) comes from.
  #   #   # source "amd64" {
  #   #   #   url = "https://example.com/etcd-v3.6.11-linux-amd64.tar.gz" # http(s) URL, or a path on this side: a release archive or a bare etcd binary
  #   #   #   sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" # SHA-256 of that file, 64 hex digits
  #   #   # }
  #   # }
  # }

  ## How certificates are made.
  # tls {
  #   dir = "pki/laptop"           # folder of the CA on this side: ca.pem and ca-key.pem, or ca-key.pem.age
  #   key_algorithm = "ecdsa-p256" # of the CA's and all other new keys
  #   ca_lifetime = "3650d"        # how long a new CA is good for
  #   leaf_lifetime = "365d"       # how long the members' and clients' certificates are good for
  #   renew_before = "30d"         # an apply renews what expires within this time
  #   extra_sans = []              # further names and addresses for every member's server certificate
  #   # ca_cert = "ca/ca.pem"      # your own CA's certificate (PEM); with ca_key; default: a CA is made
  #   # ca_key = "ca/ca-key.pem"   # your own CA's private key (PEM); with ca_cert; default: a CA is made
  #   ## Keeps the CA's private key encrypted with age: by a passphrase, or for recipients.
  #   # encryption {
  #   #   # passphrase = env("PASSPHRASE") # encrypts and opens the key; default: none
  #   #   # recipients = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudlsmlyqgegz9s"] # age or SSH public keys that the key is encrypted for; default: none
  #   #   # identity_file = "~/.config/age/key.txt" # age or SSH private key file that opens it; required with recipients; default: none
  #   # }
  # }

  ## With this block hosts take backups by themselves. It says how often, and where these and others are kept, and how many.
  # backup {
  #   dir = "/var/backups/quorate/laptop" # folder on each member's host; root's, readable by nobody else
  #   keep = 14                           # how many good backups of each folder stay; older ones are removed once a new one is good, and by backup prune
  #   interval = "12h"                    # how often hosts take backups by themselves, at least 1m; 0s is never
  #   copies = 2                          # how many members do so each time: the healthy voters with the lowest ids
  #   prove = "weekly"                    # how often a host restores one that it has just taken, and starts a server on it
  #   # textfile_dir = "/var/lib/prometheus/node-exporter" # folder on the hosts, which is there, for a file of numbers that Prometheus' node exporter reads; default: none
  #   ## Encrypts backups with age, on the host, before anything of them is kept: by a passphrase, or for recipients.
  #   # encryption {
  #   #   # passphrase = env("PASSPHRASE") # encrypts and opens the backup; default: none
  #   #   # recipients = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudlsmlyqgegz9s"] # age or SSH public keys that the backup is encrypted for; default: none
  #   #   # identity_file = "~/.config/age/key.txt" # age or SSH private key file that opens it; only for verifying and restoring on this side; default: none
  #   # }
  # }

  ## A client certificate for a consumer such as kube-apiserver, written on this side.
  # client "app" {
  #   # common_name = "kube-apiserver-etcd-client" # common name: the user name that etcd sees; not `quorate-peer`, which is the members' own; default: the block's name
  #   organization = []            # organizations of the subject
  #   # dir = "pki/laptop/clients" # folder for <name>.pem, <name>-key.pem and ca.pem, and for <name>/endpoints; default: clients inside the folder of tls
  #   ## Puts the client where it is used; its key is made there.
  #   # install {
  #   #   hosts = ["control1", "control2"] # the machines: names of host blocks or of members
  #   #   dir = "/etc/kubernetes/pki/etcd" # folder there for <name>.pem, <name>-key.pem, ca.pem and endpoints; of this client alone, made if missing
  #   #   owner = "root"                   # whose they are: a user of that machine, or user:group; without a group it is the one called like the user
  #   #   restart = []                     # systemd units there that are restarted when the endpoints or the CA have changed, one machine after another
  #   # }
  # }

  ## A machine that is no member, for the install blocks of clients, and for dependents.
  # # host "control1" {
  # #   address = "192.168.7.111" # its IP address or host name
  # # }

  ## Services that cannot go on without the cluster: stopped before a restore, and started after it.
  # # dependents "kubernetes" {
  # #   # preset = "kubeasz"              # what a Kubernetes of this kind runs beside etcd; an attribute that is given takes the place of the preset's; default: none
  # #   # hosts = ["control1", "worker1"] # the machines: names of host blocks or of members; what one does not have is passed over there; default: all host blocks and members that are reached over SSH
  # #   # units = ["kube-apiserver"]      # systemd units, in the order in which they are stopped, and started; default: the preset's
  # #   # manifests = ["/etc/kubernetes/manifests/kube-apiserver.yaml"] # static pods' files, moved away in this order before any unit is stopped, and back after all are started; the kubelet, which ends the pods, has to run; default: the preset's
  # #   # processes = ["kube-apiserver"]  # names of which no process may be left when all of it is stopped; default: called like the units and manifests
  # #   # ports = [6443, 10257, 10259]    # TCP ports on which nobody may listen then; those that somebody listened on before are waited for afterwards; default: the preset's
  # #   timeout = "2m"                    # how long each unit or pod may take to end, and to come back
  # # }
}
