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
	if word, ok := managedAs(name); ok {
		return Managed, word
	}
	switch name {
	case "unsafe-no-fsync":
		return Harmful, "it loses acknowledged writes when a host stops"
	case "force-new-cluster":
		return Harmful, "it makes a new cluster out of one member at every start"
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
	if _, ok := managedAs(dashed); dashed != name && (ok || minorsOf(dashed) != "") {
		return Misspelled, dashed
	}
	return Unknown, ""
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

// managedAs gives the spec's words for an option that quorate sets, or "" where it has none.
func managedAs(name string) (word string, ok bool) {
	switch {
	case slices.Contains(serverOptions, name):
		return strings.ReplaceAll(name, "-", "_") + " in the server block", true
	case slices.Contains(tlsOptions, name):
		return "the tls block", true
	}
	if word, ok := managed[name]; ok {
		return word, true
	}
	for _, p := range []string{"initial-", "discovery", "listen-", "advertise-"} {
		if strings.HasPrefix(name, p) && name != "initial-election-tick-advance" {
			return "", true
		}
	}
	return "", false
}

// serverOptions are what the server block has under the same name, with underscores.
var serverOptions = []string{
	"data-dir", "wal-dir", "snapshot-count", "heartbeat-interval", "election-timeout", "quota-backend-bytes",
	"max-request-bytes", "auto-compaction-mode", "auto-compaction-retention", "log-level",
}

// tlsOptions are what follows from the tls block, by the names of the file and those of the command line.
var tlsOptions = []string{
	"client-transport-security", "peer-transport-security", "self-signed-cert-validity",
	"cert-file", "key-file", "trusted-ca-file", "client-cert-auth", "auto-tls", "client-crl-file", "client-cert-allowed-hostname",
	"peer-cert-file", "peer-key-file", "peer-trusted-ca-file", "peer-client-cert-auth", "peer-auto-tls", "peer-crl-file",
	"peer-cert-allowed-cn", "peer-cert-allowed-hostname",
}

// managed are the other options that quorate sets, with the spec's words for them.
var managed = map[string]string{
	"name":                           "the name of the member block",
	"listen-client-urls":             "address and client_port of the member",
	"advertise-client-urls":          "address and client_port of the member",
	"listen-peer-urls":               "address and peer_port of the member",
	"initial-advertise-peer-urls":    "address and peer_port of the member",
	"listen-metrics-urls":            "metrics_port of the member",
	"grpc-additional-server-options": "", // Go values, not for files
	"strict-reconfig-check":          "",
	"log-outputs":                    "",
	"log-output":                     "",
	"enable-log-rotation":            "", // wants a log file, and members log to standard error
	"log-rotation-config-json":       "",
	"logger":                         "",
	"config-file":                    "",
}
