// Package etcdoption knows the names in etcd's configuration file: which ones
// quorate decides itself, which ones are gone, and which ones there are. etcd
// ignores a name that it does not know, so a mistyped one would pass in silence.
package etcdoption

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
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
	TooNew             // not yet there in this version; what to do
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
	if e, ok := find(name, minor); ok {
		switch {
		case e.kind == Block:
			return Managed, ""
		case minor == 6 && (gateOf[name] == "InitialCorruptCheck" || gateOf[name] == "CompactHashCheck"):
			// quorate writes the gate, and etcd 3.6 does not start with both.
			return Managed, fmt.Sprintf("feature-gates = \"%s=true\" (or false)", gateOf[name])
		}
		return Fine, ""
	}
	if minors := minorsOf(name); minors != "" {
		if minor < int(minors[0]-'0') {
			return TooNew, fmt.Sprintf("It is there since etcd 3.%c. Remove it.", minors[0])
		}
		return Gone, replacement(name, minor)
	}
	if strings.HasPrefix(name, "proxy") {
		return Harmful, "it makes etcd a proxy, and is gone since etcd 3.6"
	}
	dashed := strings.ToLower(strings.Trim(strings.ReplaceAll(name, "_", "-"), "-"))
	if _, ok := managed[dashed]; dashed != name && (ok || minorsOf(dashed) != "" || managedByPrefix(dashed)) {
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

// Names lists the options that may be set for etcd 3.minor, sorted.
func Names(minor int) []string {
	var names []string
	for _, e := range entries {
		if v, _ := Judge(e.name, minor); v == Fine {
			names = append(names, e.name)
		}
	}
	sort.Strings(names)
	return slices.Compact(names)
}

// find is the option as etcd 3.minor has it.
func find(name string, minor int) (entry, bool) {
	for _, e := range entries {
		if e.name == name && has(e.minors, minor) {
			return e, true
		}
	}
	return entry{}, false
}

func has(minors string, minor int) bool { return strings.Contains(minors, strconv.Itoa(minor)) }

// minorsOf is the 3.x that have the option, in order; "" if none has.
func minorsOf(name string) string {
	for _, e := range entries {
		if e.name == name {
			return e.minors
		}
	}
	return ""
}

// gateOf are the experimental options that became feature gates in 3.6.
var gateOf = map[string]string{
	"experimental-initial-corrupt-check":             "InitialCorruptCheck",
	"experimental-compact-hash-check-enabled":        "CompactHashCheck",
	"experimental-enable-lease-checkpoint":           "LeaseCheckpoint",
	"experimental-enable-lease-checkpoint-persist":   "LeaseCheckpointPersist",
	"experimental-stop-grpc-service-on-defrag":       "StopGRPCServiceOnDefrag",
	"experimental-txn-mode-write-with-shared-buffer": "TxnModeWriteWithSharedBuffer",
}

// replacement says what to write in place of an option that is gone.
func replacement(name string, minor int) string {
	if g := gateOf[name]; g != "" {
		return fmt.Sprintf("Write feature-gates = \"%s=true\" (or false).", g)
	}
	now := strings.TrimPrefix(name, "experimental-")
	if now == "snapshot-catch-up-entries" {
		now = "snapshot-catchup-entries"
	}
	if _, ok := find(now, minor); ok && now != name {
		return fmt.Sprintf("Write %q.", now)
	}
	return "Remove it."
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
	"log-output":                     "",
	"enable-log-rotation":            "", // wants a log file, and members log to standard error
	"log-rotation-config-json":       "",
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
