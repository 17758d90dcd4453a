package templates

import (
	"strings"
	"testing"
)

// TestCorruptionChecks: each version gets the spelling it knows, and no other:
// an older etcd passes over what it does not know, and an unknown gate ends a newer one.
func TestCorruptionChecks(t *testing.T) {
	t.Parallel()
	for version, want := range map[string][]string{
		"":           {},
		"3.4.45":     {"experimental-initial-corrupt-check: true"},
		"3.5.4":      {"experimental-initial-corrupt-check: true"},
		"3.5.33":     {"experimental-initial-corrupt-check: true", "experimental-compact-hash-check-enabled: true"},
		"v3.6.13":    {"feature-gates: InitialCorruptCheck=true,CompactHashCheck=true"},
		"3.7.0-rc.1": {"feature-gates: InitialCorruptCheck=true,CompactHashCheck=true"},
	} {
		p := config()
		p.Version = version
		b, err := Config(p)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, "orrupt") || strings.Contains(line, "hash-check") {
				got = append(got, strings.TrimSpace(line))
			}
		}
		for _, w := range want {
			if !strings.Contains(string(b), w) {
				t.Errorf("%s: no %q in %q", version, w, got)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %q, not %q", version, got, want)
		}
	}
	p := config()
	p.Version = "3.7.3"
	p.ExtraOptions = map[string]any{"feature-gates": "InitialCorruptCheck=false,LeaseCheckpoint=true"}
	b, err := Config(p)
	if err != nil || !strings.Contains(string(b), "feature-gates: InitialCorruptCheck=false,LeaseCheckpoint=true,CompactHashCheck=true\n") {
		t.Errorf("the operator's word does not win, or the rest is lost: %v\n%s", err, b)
	}
}
