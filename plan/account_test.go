package plan_test

import (
	"regexp"
	"strings"
	"testing"

	"quorate/plan"
)

func TestOwnAccount(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	useradd := regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,30}$`)
	long := strings.Repeat("a", 62)
	for _, cluster := range []string{"lab", "a", "twenty-three-characters", "twenty-three-characters-", "twenty-four-characters-x", long + "1", long + "2", "0-1"} {
		got := plan.OwnAccount(cluster)
		if !useradd.MatchString(got) || !strings.HasPrefix(got, "quorate-") {
			t.Errorf("cluster %q: %q is no account's name", cluster, got)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("clusters %q and %q have the account %q", cluster, other, got)
		}
		seen[got] = cluster
	}
	if got := plan.OwnAccount("twenty-three-characters"); got != "quorate-twenty-three-characters" {
		t.Errorf("a name that fits was cut: %q", got)
	}
}
