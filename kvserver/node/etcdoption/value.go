package etcdoption

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// gateMinors are the feature gates and the 3.x that have them (features/etcd_features.go
// of 3.6.0 to 3.6.16 and 3.7.0 to 3.7.3). A gate that etcd does not know is an error at its start.
// AllAlpha and AllBeta switch all of a stage (pkg/featuregate).
var gateMinors = map[string]string{
	"AllAlpha":                     "67",
	"AllBeta":                      "67",
	"StopGRPCServiceOnDefrag":      "67",
	"TxnModeWriteWithSharedBuffer": "67",
	"InitialCorruptCheck":          "67",
	"CompactHashCheck":             "67",
	"LeaseCheckpoint":              "67",
	"LeaseCheckpointPersist":       "67",
	"SetMemberLocalAddr":           "67",
	"FastLeaseKeepAlive":           "7",
	"PriorityRequest":              "7",
}

// choices are the options with a few values.
var choices = map[string][]string{
	"metrics":                     {"basic", "extensive"},
	"log-format":                  {"json", "console"},
	"backend-bbolt-freelist-type": {"array", "map"},
	"tls-min-version":             {"TLS1.2", "TLS1.3"},
	"tls-max-version":             {"TLS1.2", "TLS1.3"},
	"v2-deprecation":              {"not-yet", "write-only", "write-only-skip-check", "write-only-drop-data", "gone"},
	"experimental-backend-bbolt-freelist-type": {"array", "map"},
}

// Value gives the value as etcd 3.minor's configuration file wants it (a
// duration written with a unit becomes nanoseconds). v is a bool, a float64, a
// string or a list of these. Otherwise cause says what is wrong with it
// (following "it "), and wayOut what to write.
func Value(name string, minor int, v any) (out any, cause, wayOut string) {
	e, ok := find(name, minor)
	if !ok {
		return v, "", "" // Judge has said so
	}
	switch e.kind {
	case Bool:
		if _, ok := v.(bool); !ok {
			return v, "wants true or false", fmt.Sprintf("Write %s = true, without quotes.", name)
		}
	case Uint, Int:
		cause, wayOut = number(e, v)
	case Duration:
		return durationValue(name, v)
	case List:
		list, ok := v.([]any)
		for _, x := range list {
			_, text := x.(string)
			ok = ok && text
		}
		if !ok {
			return v, "wants a list of strings", fmt.Sprintf("For example: %s = [\"…\"]", name)
		}
		if name == "cipher-suites" {
			cause, wayOut = suites(list)
		}
	case Block:
		return v, "is a map in etcd's configuration, which extra_options cannot hold", "Remove it."
	case Text:
		s, ok := v.(string)
		if !ok {
			return v, "wants a string", fmt.Sprintf("Write it in quotes: %s = \"…\"", name)
		}
		cause, wayOut = text(name, minor, s)
	}
	return v, cause, wayOut
}

func number(e entry, v any) (cause, wayOut string) {
	lowest, highest := 0.0, float64(1<<53)
	switch {
	case e.name == "bcrypt-cost":
		lowest, highest = 4, 31
	case e.name == "max-concurrent-streams":
		highest = math.MaxUint32
	case strings.HasSuffix(e.name, "distributed-tracing-sampling-rate"):
		highest = 1e6 // per million
	case e.kind == Int:
		lowest = -highest
	}
	f, ok := v.(float64)
	switch {
	case !ok:
		return "wants a whole number", fmt.Sprintf("Write a number without quotes, as in %s = 16", e.name)
	case f != math.Trunc(f):
		return "wants a whole number", "Round it."
	case f < lowest || f > highest:
		return fmt.Sprintf("goes from %.0f to %.0f", lowest, highest), "Write a number within."
	}
	return "", ""
}

// durationValue takes "10s" and etcd's own nanoseconds; below a millisecond
// the unit was forgotten.
func durationValue(name string, v any) (out any, cause, wayOut string) {
	way := fmt.Sprintf("For example: %s = \"10s\"", name)
	ns := 0.0
	switch v := v.(type) {
	case string:
		d, err := time.ParseDuration(v)
		if err != nil {
			return v, "wants a duration", way
		}
		ns = float64(d)
	case float64:
		ns = v
	default:
		return v, "wants a duration", way
	}
	switch {
	case ns < 0 || ns != math.Trunc(ns) || ns > 1<<53:
		return v, "wants a duration that is not negative and below 100 days", way
	case ns != 0 && ns < float64(time.Millisecond):
		return v, "is a duration, and a number alone is nanoseconds to etcd", fmt.Sprintf("Add the unit: %s = \"%.0fs\"", name, math.Max(ns, 1))
	case ns == 0 && strings.HasSuffix(name, "compact-hash-check-time"):
		return v, "cannot be zero; etcd does not start with it", way
	}
	return ns, "", ""
}

func text(name string, minor int, s string) (cause, wayOut string) {
	if of := choices[name]; of != nil && !slices.Contains(of, s) {
		return fmt.Sprintf("is one of %s", strings.Join(of, ", ")), fmt.Sprintf("For example: %s = %q", name, of[0])
	}
	switch name {
	case "auth-token":
		return authToken(s)
	case "feature-gates":
		return gates(s, minor)
	case "cors":
		return origins(s)
	}
	return "", ""
}

// origins are "*" or URLs as etcd reads all of its URLs (client/pkg/types,
// NewURLs); the port that browsers leave out has to be there, or etcd panics.
func origins(s string) (cause, wayOut string) {
	const way = `For example: cors = "https://dashboard.example.com:443", or "*"`
	for one := range strings.SplitSeq(s, ",") {
		if one = strings.TrimSpace(one); one == "*" || one == "" {
			continue
		}
		u, err := url.Parse(one)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" || u.Hostname() == "" || u.Port() == "" {
			return fmt.Sprintf("has %q, where etcd wants http(s)://HOST:PORT", one), way
		}
	}
	return "", ""
}

func authToken(s string) (cause, wayOut string) {
	const way = `For example: auth-token = "jwt,pub-key=/etc/etcd/jwt.pub,priv-key=/etc/etcd/jwt.key,sign-method=RS256", or "simple"`
	methods := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256", "HS384", "HS512", "EdDSA"}
	kind, rest, _ := strings.Cut(s, ",")
	options := map[string]string{}
	for pair := range strings.SplitSeq(rest, ",") {
		if rest == "" {
			break
		}
		key, value, ok := strings.Cut(pair, "=")
		if _, twice := options[key]; !ok || twice || strings.Contains(value, "=") {
			return fmt.Sprintf("has %q, where NAME=VALUE is wanted, each name once", pair), way
		}
		options[key] = value
	}
	switch {
	case kind == "simple":
	case kind != "jwt":
		return `is "simple" or "jwt" with its options`, way
	case !slices.Contains(methods, options["sign-method"]):
		return "wants a sign-method with jwt: one of " + strings.Join(methods, ", "), way
	case options["pub-key"] == "" && options["priv-key"] == "":
		return "wants pub-key or priv-key with jwt, a path on the hosts", way
	}
	if ttl := options["ttl"]; kind == "jwt" && ttl != "" {
		if _, err := time.ParseDuration(ttl); err != nil {
			return fmt.Sprintf("has a ttl %q that is no duration", ttl), way
		}
	}
	return "", ""
}

func gates(s string, minor int) (cause, wayOut string) {
	on := map[string]bool{}
	for g := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(g), "=")
		name = strings.TrimSpace(name)
		b, err := strconv.ParseBool(strings.TrimSpace(value))
		if err != nil {
			return fmt.Sprintf("has %q, where NAME=true or NAME=false is wanted", g), `For example: feature-gates = "LeaseCheckpoint=true"`
		}
		if !has(gateMinors[name], minor) {
			return fmt.Sprintf("names %q, and etcd 3.%d has no such gate and does not start with it", name, minor), "It has: " + strings.Join(Gates(minor), ", ") + "."
		}
		on[name] = b
	}
	alpha := func(name string) bool {
		if b, said := on[name]; said {
			return b
		}
		return on["AllAlpha"]
	}
	if alpha("LeaseCheckpointPersist") && !alpha("LeaseCheckpoint") {
		return "switches LeaseCheckpointPersist on without LeaseCheckpoint; etcd does not start with it", `Write "LeaseCheckpoint=true,LeaseCheckpointPersist=true".`
	}
	return "", ""
}

// Gates are the feature gates of etcd 3.minor, sorted.
func Gates(minor int) []string {
	var names []string
	for n, minors := range gateMinors {
		if has(minors, minor) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// required are the suites of which HTTP/2 demands one of every list that
// speaks TLS 1.2; Go's server does not start without.
var required = []string{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}

func suites(list []any) (cause, wayOut string) {
	http2 := false
	for _, x := range list {
		if !slices.Contains(cipherSuites, x.(string)) {
			return fmt.Sprintf("has %q, which Go's TLS does not know; etcd does not start with it", x), "Take names of Go's crypto/tls, such as " + required[0] + "."
		}
		http2 = http2 || slices.Contains(required, x.(string))
	}
	if len(list) > 0 && !http2 {
		return "has no suite that HTTP/2 demands; etcd does not start with it", "Add " + strings.Join(required, " or ") + "."
	}
	return "", ""
}

// TLS looks at the TLS options together, all as [Value] has accepted them:
// cause is "" if a member with such keys (see the spec's key_algorithm) can be
// talked to. subject is the option to point at.
func TLS(options map[string]any, keyAlgorithm string) (subject, cause, wayOut string) {
	lowest, _ := options["tls-min-version"].(string)
	highest, _ := options["tls-max-version"].(string)
	list, _ := options["cipher-suites"].([]any)
	switch {
	case lowest == "TLS1.3" && highest == "TLS1.2":
		return "tls-max-version", "is below tls-min-version; etcd does not start with it", "Remove tls-max-version."
	case lowest == "TLS1.3" && len(list) > 0:
		return "cipher-suites", "cannot be chosen with TLS 1.3 alone; etcd does not start with it", `Remove cipher-suites, or write tls-min-version = "TLS1.2".`
	case highest != "TLS1.2" || len(list) == 0 || keyAlgorithm == "":
		return "", "", ""
	}
	family := "_ECDSA_"
	if strings.HasPrefix(keyAlgorithm, "rsa") {
		family = "_RSA_"
	}
	for _, x := range list {
		if s, _ := x.(string); strings.Contains(s, family) {
			return "", "", ""
		}
	}
	return "cipher-suites", fmt.Sprintf("has no suite for the members' keys (%s), and tls-max-version keeps TLS 1.3 away: nobody could connect", keyAlgorithm),
		"Add TLS_ECDHE" + family + "WITH_AES_128_GCM_SHA256, or remove tls-max-version."
}
