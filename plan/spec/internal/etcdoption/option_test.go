package etcdoption

import (
	"reflect"
	"sort"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/server/v3/embed"

	"quorate/templates"
)

// TestKnownIsWhatEtcdKnows compares our names with embed.Config's own.
func TestKnownIsWhatEtcdKnows(t *testing.T) {
	t.Parallel()
	if v := version.Version; !strings.HasPrefix(v, "3.7.") || Builtin != 7 {
		t.Fatalf("the etcd inside is %s, and Builtin is %d", v, Builtin)
	}
	theirs := map[string]bool{}
	typ := reflect.TypeFor[embed.Config]()
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			theirs[name] = true
		}
	}
	// Options that embed reads through an unexported struct.
	for _, n := range []string{"listen-peer-urls", "listen-client-urls", "listen-client-http-urls", "initial-advertise-peer-urls",
		"advertise-client-urls", "cors", "host-whitelist", "client-transport-security", "peer-transport-security", "feature-gates"} {
		theirs[n] = true
	}
	for n := range theirs {
		if v, _ := Judge(n, Builtin); v == Unknown || v == Misspelled || v == Gone {
			t.Errorf("etcd knows %q, and we do not", n)
		}
	}
	for n := range known {
		if !theirs[n] {
			t.Errorf("we know %q, and etcd does not", n)
		}
	}
}

// TestRefusesWhatTemplatesRefuse: a spec that loads can be rendered.
func TestRefusesWhatTemplatesRefuse(t *testing.T) {
	t.Parallel()
	names := append(Names(), "unsafe-no-fsync", "force-new-cluster", "discovery", "discovery-srv", "discovery-endpoints")
	for n := range managed {
		names = append(names, n)
	}
	refused := 0
	for _, n := range names {
		if templates.Reserved(n) == "" {
			continue
		}
		refused++
		if v, _ := Judge(n, Builtin); v != Managed && v != Harmful {
			t.Errorf("templates refuses %q, and Judge says %v", n, v)
		}
	}
	if refused < 10 {
		t.Errorf("templates refuses only %d of these", refused)
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
		{"unsafe-no-fsync", 7, Harmful}, {"force-new-cluster", 5, Harmful},
		{"enable-v2", 5, Fine}, {"enable-v2", 6, Gone}, {"debug", 5, Gone},
		{"max_txn_ops", 7, Misspelled}, {"--max-txn-ops", 7, Misspelled}, {"data_dir", 7, Misspelled},
		{"max-txn-opps", 7, Unknown},
	} {
		if got, _ := Judge(tt.name, tt.minor); got != tt.want {
			t.Errorf("Judge(%q, %d) = %v, want %v", tt.name, tt.minor, got, tt.want)
		}
	}
	if names := Names(); !sort.StringsAreSorted(names) || len(names) < 40 {
		t.Errorf("Names() = %v", names)
	}
}
