package etcdoption

import (
	"crypto/tls"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/client/pkg/v3/tlsutil"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/features"
)

// TestKnownIsWhatEtcdKnows compares our names with embed.Config's own.
func TestKnownIsWhatEtcdKnows(t *testing.T) {
	t.Parallel()
	if v := version.Version; !strings.HasPrefix(v, "3.7.") || Builtin != 7 {
		t.Fatalf("the etcd inside is %s, and Builtin is %d", v, Builtin)
	}
	theirs := map[string]Kind{}
	typ := reflect.TypeFor[embed.Config]()
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		switch k := f.Type.Kind(); {
		case f.Type == reflect.TypeFor[time.Duration]():
			theirs[name] = Duration
		case k == reflect.String:
			theirs[name] = Text
		case k == reflect.Bool:
			theirs[name] = Bool
		case k >= reflect.Uint && k <= reflect.Uint64:
			theirs[name] = Uint
		case k >= reflect.Int && k <= reflect.Int64:
			theirs[name] = Int
		case f.Type == reflect.TypeFor[[]string]():
			theirs[name] = List
		default:
			theirs[name] = Block
		}
	}
	// Options that embed reads through an unexported struct.
	for _, n := range []string{"listen-peer-urls", "listen-client-urls", "listen-client-http-urls", "initial-advertise-peer-urls",
		"advertise-client-urls", "cors", "host-whitelist", "feature-gates"} {
		theirs[n] = Text
	}
	theirs["client-transport-security"], theirs["peer-transport-security"] = Block, Block
	for n, kind := range theirs {
		if e, ok := find(n, Builtin); !ok || e.kind != kind {
			t.Errorf("etcd knows %q (kind %d), and we have %+v", n, kind, e)
		}
	}
	for _, e := range entries {
		if _, ok := theirs[e.name]; has(e.minors, Builtin) && !ok {
			t.Errorf("we know %q, and etcd does not", e.name)
		}
	}
	for gate := range features.DefaultEtcdServerFeatureGates {
		if !has(gateMinors[string(gate)], Builtin) {
			t.Errorf("etcd knows the gate %q, and we do not", gate)
		}
	}
	if got, want := len(Gates(Builtin)), len(features.DefaultEtcdServerFeatureGates)+2; got != want {
		t.Errorf("we know %d gates, and etcd with AllAlpha and AllBeta %d", got, want)
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		minor int
		want  Verdict
	}{
		{"name", 7, Managed}, {"initial-cluster", 7, Managed}, {"initial-anything", 7, Managed}, {"discovery-token", 7, Managed},
		{"initial-election-tick-advance", 7, Fine}, {"max-txn-ops", 7, Fine},
		{"experimental-warning-apply-duration", 6, Fine}, {"experimental-warning-apply-duration", 7, Gone},
		{"experimental-initial-corrupt-check", 5, Fine}, {"experimental-initial-corrupt-check", 6, Managed}, {"experimental-initial-corrupt-check", 7, Gone},
		{"experimental-enable-lease-checkpoint", 6, Fine}, {"experimental-enable-lease-checkpoint", 7, Gone},
		{"feature-gates", 5, TooNew}, {"log-format", 5, TooNew}, {"proxy", 5, Harmful}, {"socket-options", 7, Managed},
		{"experimental-anything", 6, Unknown},
		{"unsafe-no-fsync", 7, Harmful}, {"force-new-cluster", 5, Harmful},
		{"enable-v2", 5, Fine}, {"enable-v2", 6, Gone}, {"debug", 5, Gone},
		{"max_txn_ops", 7, Misspelled}, {"--max-txn-ops", 7, Misspelled}, {"data_dir", 7, Misspelled},
		{"max-txn-opps", 7, Unknown},
	} {
		if got, _ := Judge(tt.name, tt.minor); got != tt.want {
			t.Errorf("Judge(%q, %d) = %v, want %v", tt.name, tt.minor, got, tt.want)
		}
	}
	if names := Names(Builtin); !sort.StringsAreSorted(names) || len(names) < 30 {
		t.Errorf("Names() = %v", names)
	}
}

func TestValue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		value any
		want  any // nil: refused
	}{
		{"max-txn-ops", 512.0, 512.0}, {"max-txn-ops", "lots", nil}, {"max-txn-ops", -1.0, nil}, {"max-txn-ops", 1.5, nil},
		{"pre-vote", true, true}, {"pre-vote", "true", nil},
		{"metrics", "extensive", "extensive"}, {"metrics", "all", nil}, {"log-format", "yaml", nil}, {"log-format", "console", "console"},
		{"cors", 1.0, nil}, {"cors", "https://example.com", nil}, {"cors", "https://example.com:443,*", "https://example.com:443,*"}, {"cors", "example.com:1", nil}, {"max-concurrent-streams", 1e10, nil}, {"bcrypt-cost", 3.0, nil},
		{"grpc-keepalive-interval", "10s", 1e10}, {"grpc-keepalive-interval", 1e10, 1e10}, {"grpc-keepalive-interval", 10.0, nil},
		{"grpc-keepalive-interval", "10 s", nil}, {"grpc-keepalive-interval", true, nil}, {"compact-hash-check-time", "0s", nil},
		{"auth-token", "simple", "simple"}, {"auth-token", "jwt", nil}, {"auth-token", "jwt,sign-method=RS256", nil}, {"auth-token", "paseto", nil},
		{"auth-token", "jwt,priv-key=/k,sign-method=RS256,ttl=1h", "jwt,priv-key=/k,sign-method=RS256,ttl=1h"},
		{"auth-token", "jwt,priv-key=/k,sign-method=RS256,ttl=long", nil},
		{"feature-gates", "LeaseCheckpoint=true", "LeaseCheckpoint=true"}, {"feature-gates", "LeaseCheckpont=true", nil},
		{"feature-gates", "LeaseCheckpoint", nil}, {"feature-gates", "LeaseCheckpointPersist=true", nil},
		{"feature-gates", "AllAlpha=true", "AllAlpha=true"}, {"feature-gates", "AllAlpha=true,LeaseCheckpoint=false", nil},
		{"tls-min-version", "1.2", nil}, {"cipher-suites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", nil},
		{"cipher-suites", []any{"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"}, nil}, {"cipher-suites", []any{"AES"}, nil}, {"cipher-suites", []any{1.0}, nil},
	} {
		got, cause, wayOut := Value(tt.name, Builtin, tt.value)
		switch {
		case tt.want == nil && (cause == "" || wayOut == ""):
			t.Errorf("%s = %v: %q, way out %q", tt.name, tt.value, cause, wayOut)
		case tt.want != nil && (cause != "" || got != tt.want):
			t.Errorf("%s = %v: %v, %s", tt.name, tt.value, got, cause)
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ecdsa, rsa := []any{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}, []any{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}
	for i, tt := range []struct {
		lowest, highest any
		suites          []any
		key, subject    string
	}{
		{nil, nil, nil, "ecdsa-p256", ""},
		{"TLS1.3", "TLS1.2", nil, "ecdsa-p256", "tls-max-version"},
		{"TLS1.3", nil, ecdsa, "ecdsa-p256", "cipher-suites"},
		{nil, "TLS1.2", ecdsa, "ecdsa-p256", ""}, {nil, "TLS1.2", ecdsa, "ed25519", ""},
		{nil, "TLS1.2", ecdsa, "rsa-2048", "cipher-suites"}, {nil, "TLS1.2", rsa, "ecdsa-p384", "cipher-suites"},
		{nil, nil, rsa, "ecdsa-p256", ""},
	} {
		subject, cause, wayOut := TLS(map[string]any{"tls-min-version": tt.lowest, "tls-max-version": tt.highest, "cipher-suites": tt.suites}, tt.key)
		if subject != tt.subject || (cause == "") != (subject == "") || (wayOut == "") != (subject == "") {
			t.Errorf("%d: %q, %q, %q", i, subject, cause, wayOut)
		}
	}
}

func TestCipherSuites(t *testing.T) {
	t.Parallel()
	for _, c := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if !slices.Contains(cipherSuites, c.Name) {
			t.Errorf("crypto/tls knows %q, and we do not", c.Name)
		}
	}
	for _, name := range cipherSuites {
		if _, ok := tlsutil.GetCipherSuite(name); !ok {
			t.Errorf("we know %q, and etcd does not", name)
		}
	}
}

// TestEtcdJudgesAlike: what Value takes etcd's own reading of the file takes,
// and what etcd refuses there Value refuses.
func TestEtcdJudgesAlike(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		value any
	}{
		{"max-txn-ops", 512.0}, {"max-txn-ops", "lots"}, {"max-txn-ops", -1.0}, {"pre-vote", true}, {"pre-vote", "yes"},
		{"grpc-keepalive-interval", "10s"}, {"compact-hash-check-time", "30s"}, {"compact-hash-check-time", 0.0},
		{"feature-gates", "LeaseCheckpoint=true"}, {"feature-gates", "LeaseCheckpont=true"}, {"feature-gates", "LeaseCheckpointPersist=true"},
		{"feature-gates", "AllAlpha=true"}, {"log-format", "console"}, {"log-format", "yaml"},
		{"tls-min-version", "TLS1.3"}, {"tls-min-version", "1.3"}, {"cipher-suites", []any{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}},
	} {
		v, cause, _ := Value(tt.name, Builtin, tt.value)
		if f, ok := v.(float64); ok {
			v = int64(f)
		}
		text, err := json.Marshal(map[string]any{tt.name: v})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "etcd.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := embed.ConfigFromFile(path); (err == nil) != (cause == "") {
			t.Errorf("%s: we say %q, and etcd %v", text, cause, err)
		}
	}
}
