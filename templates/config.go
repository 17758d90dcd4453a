package templates

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"quorate/kvserver/node"
	"quorate/kvserver/node/etcdoption"
)

// ConfigParams is what one member runs with. Zero numbers and empty strings
// leave etcd's own default in place, unless the field says otherwise.
type ConfigParams struct {
	Cluster string // for the comment at the top only
	// Version of the etcd that will read it ("3.7.3"): options are spelled as it spells them.
	// Empty leaves out what is not spelled the same in all of 3.4 to 3.7.
	Version string
	Name    string // the member's name
	// Address is what peers and clients dial: an IP address or a host name.
	Address    string
	ClientPort int
	PeerPort   int
	// MetricsPort serves /metrics and /health over plain HTTP on 127.0.0.1; 0 is off.
	MetricsPort int

	DataDir string
	WALDir  string // where etcd keeps its WAL; empty: inside DataDir

	// Certificates, as paths on the host. Server is for the client port, Peer
	// for both ends of the peer port; both demand certificates of TrustedCA.
	ServerCert, ServerKey string
	PeerCert, PeerKey     string
	TrustedCA             string
	// PeerName is the common name without which a certificate is no peer's, in whatever CA it is signed by;
	// empty: every certificate of TrustedCA is one. See [TakesPeerName].
	PeerName string
	// TLSMinVersion is "TLS1.2" (the default) or "TLS1.3".
	TLSMinVersion string

	QuotaBackendBytes       int64
	AutoCompactionMode      string
	AutoCompactionRetention string
	SnapshotCount           int64
	MaxRequestBytes         int64
	HeartbeatInterval       int64 // milliseconds
	ElectionTimeout         int64 // milliseconds
	LogLevel                string

	// ExtraOptions are merged last: names as etcd spells them in its
	// configuration file, values bool, number, string or list. What is set
	// above, and what package etcdoption calls managed or harmful, is refused.
	ExtraOptions map[string]any
}

// Config renders etcd's own YAML configuration file for etcd 3.4 to 3.7 (all
// keys exist in 3.4 but tls-min-version, which an older etcd passes over).
// It names nobody but the member itself: the other members are in the
// bootstrap file. initial-advertise-peer-urls is here nevertheless, since etcd
// wants it in the same breath as listen-peer-urls and it is about this member
// only; a member with a WAL does not read it.
func Config(p ConfigParams) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("cannot write the configuration of member %q: %w", p.Name, err)
	}
	security := func(cert, key string) map[string]any {
		return map[string]any{
			"cert-file":        cert,
			"key-file":         key,
			"client-cert-auth": true,
			"trusted-ca-file":  p.TrustedCA,
		}
	}
	peer := security(p.PeerCert, p.PeerKey)
	if p.PeerName != "" {
		peer["allowed-cn"] = []string{p.PeerName}
	}
	s := map[string]any{
		"name":                        p.Name,
		"data-dir":                    p.DataDir,
		"listen-peer-urls":            listen(p, "peer"),
		"listen-client-urls":          listen(p, "client"),
		"initial-advertise-peer-urls": node.URL("https", p.Address, p.PeerPort),
		"advertise-client-urls":       node.URL("https", p.Address, p.ClientPort),
		"client-transport-security":   security(p.ServerCert, p.ServerKey),
		"peer-transport-security":     peer,
		"tls-min-version":             cmp.Or(p.TLSMinVersion, "TLS1.2"),
		"strict-reconfig-check":       true,
		"pre-vote":                    true,  // off by default in 3.4
		"logger":                      "zap", // capnslog by default in 3.4
	}
	for key, v := range map[string]any{
		"wal-dir":                   p.WALDir,
		"auto-compaction-mode":      p.AutoCompactionMode,
		"auto-compaction-retention": p.AutoCompactionRetention,
		"log-level":                 p.LogLevel,
		"quota-backend-bytes":       p.QuotaBackendBytes,
		"snapshot-count":            p.SnapshotCount,
		"max-request-bytes":         p.MaxRequestBytes,
		"heartbeat-interval":        p.HeartbeatInterval,
		"election-timeout":          p.ElectionTimeout,
	} {
		if v != "" && v != int64(0) {
			s[key] = v
		}
	}
	if p.MetricsPort != 0 {
		s["listen-metrics-urls"] = "http://127.0.0.1:" + strconv.Itoa(p.MetricsPort)
	}
	maps.Copy(s, corruptionChecks(p.Version))
	for key, v := range p.ExtraOptions {
		value, err := plain(v)
		if err != nil {
			return nil, fmt.Errorf("cannot write the configuration of member %q: extra option %q: %w", p.Name, key, err)
		}
		if ours, ok := s[key].(string); ok && key == "feature-gates" {
			value = mergeGates(ours, fmt.Sprint(value))
		}
		s[key] = value
	}
	return marshal([]string{
		fmt.Sprintf("etcd member %s of cluster %s: what it runs with.", p.Name, p.Cluster),
		"Written by quorate; the next apply puts it back. How the member first finds",
		"its cluster is in the bootstrap file, read only while the data directory is empty.",
	}, s)
}

func (p ConfigParams) check() error {
	var errs []error
	refuse := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	for _, t := range []struct{ what, text string }{{"cluster name", p.Cluster}, {"name", p.Name}, {"address", p.Address}} {
		if err := oneLine(t.what, t.text); err != nil {
			errs = append(errs, err)
		} else if t.text == "" {
			refuse("%s is missing", t.what)
		}
	}
	errs = append(errs, absolutes([]hostPath{
		{"data directory", p.DataDir, false},
		{"server certificate", p.ServerCert, false}, {"server key", p.ServerKey, false},
		{"peer certificate", p.PeerCert, false}, {"peer key", p.PeerKey, false},
		{"trusted CA", p.TrustedCA, false}, {"WAL directory", p.WALDir, true},
	}))
	for _, t := range []struct {
		what        string
		port, least int
	}{{"client port", p.ClientPort, 1}, {"peer port", p.PeerPort, 1}, {"metrics port", p.MetricsPort, 0}} {
		if t.port < t.least || t.port > 65535 {
			refuse("%s %d is not a port", t.what, t.port)
		}
	}
	if p.PeerName != "" && !TakesPeerName(p.Version) {
		refuse("etcd %s does not take the name of peers from its configuration file", p.Version)
	}
	minor := etcdoption.Builtin
	if p.Version != "" {
		_, minor, _ = release(p.Version)
	}
	for _, key := range slices.Sorted(maps.Keys(p.ExtraOptions)) {
		switch verdict, why := etcdoption.Judge(key, minor); verdict {
		case etcdoption.Managed:
			refuse("extra option %q is not for you to set: it comes from %s", key, cmp.Or(why, "the cluster itself"))
		case etcdoption.Harmful:
			refuse("extra option %q is not for you to set: %s", key, why)
		}
	}
	return errors.Join(errs...)
}

// listen is etcd's comma-separated list of URLs.
func listen(p ConfigParams, what string) string {
	var urls []string
	for _, l := range node.Listeners(p.Address, p.ClientPort, p.PeerPort, p.MetricsPort) {
		for _, h := range l.Hosts {
			if l.What == what {
				urls = append(urls, node.URL("https", h, l.Port))
			}
		}
	}
	return strings.Join(urls, ",")
}

// TakesPeerName reports whether an etcd of that version reads allowed-cn from its configuration file: a list,
// since 3.5.15 (in 3.5.14 it is one name; before, and in 3.4, there is a flag only: embed/config.go, securityConfig).
func TakesPeerName(version string) bool {
	major, minor, patch := release(version)
	return major == 3 && (minor > 5 || minor == 5 && patch >= 15)
}

// AsksPeerName reports whether a configuration rendered by [Config] has its member refuse peers of another name.
func AsksPeerName(config []byte) bool { return bytes.Contains(config, []byte("allowed-cn:")) }

// ClientAddresses are the addresses (host:port) that a configuration rendered
// by [Config] has its member advertise to clients; none if it says none.
func ClientAddresses(config []byte) []string { return addresses(config, "advertise-client-urls:") }

// PeerAddresses are those at which the member of a configuration is to be found by its peers (host:port), as [Config]
// writes them. Empty: it names none.
func PeerAddresses(config []byte) []string { return addresses(config, "initial-advertise-peer-urls:") }

func addresses(config []byte, key string) []string {
	var out []string
	for line := range strings.Lines(string(config)) {
		urls, ok := strings.CutPrefix(strings.TrimSpace(line), key)
		if !ok {
			continue
		}
		for u := range strings.SplitSeq(strings.Trim(strings.TrimSpace(urls), `"`), ",") {
			_, at, _ := strings.Cut(u, "://")
			if at != "" {
				out = append(out, at)
			}
		}
	}
	return out
}
