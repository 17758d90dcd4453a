// Package etcdoption knows the names in etcd's configuration file: which ones
// quorate decides itself, which ones are gone, and which ones there are. etcd
// ignores a name that it does not know, so a mistyped one would pass in silence.
package etcdoption

import (
	"sort"
	"strings"
)

// Builtin is the minor version (3.x) of the etcd inside kvserver.
const Builtin = 7

// Verdict is what there is to say about a name.
type Verdict int

// The verdicts, and what the word beside them is.
const (
	Fine       Verdict = iota
	Managed            // set by quorate; the spec's own words for it, or ""
	Harmful            // would cost data or the cluster; how
	Gone               // removed in or before this version; what to do
	Misspelled         // the right spelling
	Unknown
)

// Judge looks at the name of an option for etcd 3.minor.
func Judge(name string, minor int) (Verdict, string) {
	if word, ok := managed[name]; ok {
		return Managed, word
	}
	switch name {
	case "unsafe-no-fsync":
		return Harmful, "it loses acknowledged writes when a host stops"
	case "force-new-cluster":
		return Harmful, "it makes a new cluster out of one member at every start"
	}
	if managedByPrefix(name) {
		return Managed, ""
	}
	if strings.HasPrefix(name, "experimental-") {
		if minor >= 7 {
			return Gone, "etcd 3.7 has no experimental options; most have the same name without \"experimental-\", some became feature-gates."
		}
		return Fine, ""
	}
	if last, ok := lastMinor[name]; ok {
		if minor > last {
			return Gone, "Remove it."
		}
		return Fine, ""
	}
	if known[name] {
		return Fine, ""
	}
	dashed := strings.ToLower(strings.Trim(strings.ReplaceAll(name, "_", "-"), "-"))
	if _, ok := managed[dashed]; dashed != name && (ok || known[dashed] || managedByPrefix(dashed)) {
		return Misspelled, dashed
	}
	return Unknown, ""
}

// managedByPrefix catches the names that come in groups.
func managedByPrefix(name string) bool {
	for _, p := range []string{"initial-", "discovery", "listen-", "advertise-"} {
		if strings.HasPrefix(name, p) && name != "initial-election-tick-advance" {
			return true
		}
	}
	return false
}

// Names lists the options that may be set, sorted.
func Names() []string {
	var names []string
	for n := range known {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// managed are the options that quorate sets, with the spec's words for them.
var managed = map[string]string{
	"name":                           "the name of the member block",
	"data-dir":                       "data_dir in the server block",
	"wal-dir":                        "wal_dir in the server block",
	"snapshot-count":                 "snapshot_count in the server block",
	"heartbeat-interval":             "heartbeat_interval in the server block",
	"election-timeout":               "election_timeout in the server block",
	"quota-backend-bytes":            "quota_backend_bytes in the server block",
	"max-request-bytes":              "max_request_bytes in the server block",
	"auto-compaction-mode":           "auto_compaction_mode in the server block",
	"auto-compaction-retention":      "auto_compaction_retention in the server block",
	"log-level":                      "log_level in the server block",
	"listen-client-urls":             "address and client_port of the member",
	"advertise-client-urls":          "address and client_port of the member",
	"listen-peer-urls":               "address and peer_port of the member",
	"initial-advertise-peer-urls":    "address and peer_port of the member",
	"listen-metrics-urls":            "metrics_port of the member",
	"listen-client-http-urls":        "",
	"grpc-additional-server-options": "", // Go values, not for files
	"initial-cluster":                "",
	"initial-cluster-state":          "",
	"initial-cluster-token":          "",
	"client-transport-security":      "the tls block",
	"peer-transport-security":        "the tls block",
	"self-signed-cert-validity":      "the tls block",
	"strict-reconfig-check":          "",
	"log-outputs":                    "",
	"logger":                         "",
	"config-file":                    "",
	"cert-file":                      "the tls block",
	"key-file":                       "the tls block",
	"trusted-ca-file":                "the tls block",
	"client-cert-auth":               "the tls block",
	"auto-tls":                       "the tls block",
	"peer-cert-file":                 "the tls block",
	"peer-key-file":                  "the tls block",
	"peer-trusted-ca-file":           "the tls block",
	"peer-client-cert-auth":          "the tls block",
	"peer-auto-tls":                  "the tls block",
	"client-crl-file":                "the tls block",
	"peer-crl-file":                  "the tls block",
	"peer-cert-allowed-cn":           "the tls block",
	"peer-cert-allowed-hostname":     "the tls block",
	"client-cert-allowed-hostname":   "the tls block",
}

// lastMinor are options that were removed, with the last 3.x that had them
// (etcd's upgrade guides to 3.5, 3.6 and 3.7).
var lastMinor = map[string]int{
	"debug":                  4,
	"log-package-levels":     4,
	"enable-v2":              5,
	"proxy":                  5,
	"proxy-failure-wait":     5,
	"proxy-refresh-interval": 5,
	"proxy-dial-timeout":     5,
	"proxy-write-timeout":    5,
	"proxy-read-timeout":     5,
}

// known are the other names in etcd 3.7's configuration file; a test compares
// them with its embed.Config.
var known = set(
	"snapshot-catchup-entries", "max-snapshots", "max-wals", "initial-election-tick-advance",
	"backend-batch-interval", "backend-batch-limit", "backend-bbolt-freelist-type",
	"max-txn-ops", "max-concurrent-streams", "cipher-suites", "tls-min-version", "tls-max-version",
	"grpc-keepalive-min-time", "grpc-keepalive-interval", "grpc-keepalive-timeout", "socket-options", "pre-vote",
	"auth-token", "bcrypt-cost", "auth-token-ttl", "corrupt-check-time", "compact-hash-check-time",
	"compaction-batch-limit", "compaction-sleep-interval", "watch-progress-notify-interval",
	"warning-apply-duration", "bootstrap-defrag-threshold-megabytes", "warning-unary-request-duration",
	"max-learners", "enable-pprof", "metrics",
	"enable-distributed-tracing", "distributed-tracing-address", "distributed-tracing-service-name",
	"distributed-tracing-instance-id", "distributed-tracing-sampling-rate",
	"log-format", "enable-log-rotation", "log-rotation-config-json",
	"enable-grpc-gateway", "downgrade-check-time", "memory-mlock", "v2-deprecation",
	"cors", "host-whitelist", "feature-gates",
)

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}
