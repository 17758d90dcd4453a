package stories

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quorate/test/lab"
)

// keptOn are the names in a host's folder of backups, but for the lock.
func (s *stage) keptOn(h *lab.Host) []string {
	s.Helper()
	return strings.Fields(s.shell(h, "cd /var/backups/quorate/lab 2>/dev/null && ls -A | grep -v '^.lock$' || true"))
}

// A backup of real hosts: without the CA's key, by a login with sudo, root's alone; what goes wrong leaves
// nothing; who takes it needs to be told what etcd's authentication wants. Nobody is restarted for any of it.
func TestBackupOfRealHosts(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec(fmt.Sprintf(`connection {
    user          = %q
    sudo_password = env("SUDO_PASSWORD")
  }`, lab.UserSudoPW))
	env := "SUDO_PASSWORD=" + s.Password()
	s.must(env, "apply", "-y")
	before := s.pids(unit)
	s.must(env, "ctl", "--", "put", "/name", "xin")

	// The CA's key is not needed.
	key := filepath.Join(s.dir, "pki/lab/ca-key.pem")
	s.check(os.Rename(key, key+".away"))
	r := s.must(env, "backup", "--json")
	var taken struct {
		Name   string `json:"name"`
		Backup struct {
			Member   string `json:"member"`
			Keys     int    `json:"keys"`
			Compared struct {
				Result string `json:"result"`
			} `json:"compared"`
		} `json:"backup"`
		Places []struct {
			Where string `json:"where"`
		} `json:"places"`
	}
	s.check(json.Unmarshal([]byte(r.stdout), &taken))
	if taken.Backup.Keys != 1 || taken.Backup.Compared.Result != "agreed" || len(taken.Places) != 2 {
		t.Fatal(r)
	}
	if b, err := os.ReadFile(filepath.Join(s.dir, "backups/lab", taken.Name+".json")); err != nil || strings.Contains(string(b), s.Password()) {
		t.Errorf("%v\n%s", err, b)
	}
	s.must(env, "backup", "verify", "latest")
	s.must(env, "backup", "verify", "latest", "--local")
	s.check(os.Rename(key+".away", key))
	for _, h := range s.Hosts() {
		if names := s.keptOn(h); h.Name() == taken.Backup.Member {
			got := s.shell(h, "stat -c '%U:%G %a' /var/backups/quorate/lab /var/backups/quorate/lab/"+taken.Name)
			if len(names) != 2 || strings.Join(strings.Fields(got), " ") != "root:root 700 root:root 600" {
				t.Errorf("%s: %v, %s", h.Name(), names, got)
			}
		} else if len(names) > 0 {
			t.Errorf("%s: %v", h.Name(), names)
		}
	}

	// No room: said with the numbers, and nothing stays.
	full := s.Host(2)
	if full.Name() == taken.Backup.Member {
		full = s.Host(1)
	}
	s.shell(full, "mkdir -p /var/backups/quorate/lab && mount -t tmpfs -o size=1m,mode=0700 small /var/backups/quorate/lab")
	s.refused(failed, []string{"cannot take a backup of member", "has room for", "are needed"}, env, "backup", "--member", full.Name())
	if names := s.keptOn(full); len(names) > 0 {
		t.Errorf("left on a full disk: %v", names)
	}
	s.shell(full, "umount /var/backups/quorate/lab")

	// A folder that somebody else could exchange is not written to.
	s.shell(full, "rm -rf /var/backups/quorate && mkdir -p /var/backups/quorate && chmod 0777 /var/backups/quorate")
	s.refused(failed, []string{"others may write to /var/backups/quorate"}, env, "backup", "--member", full.Name())
	s.shell(full, "rmdir /var/backups/quorate")

	// With etcd's authentication on the hosts' client needs a role, and is told so.
	for _, args := range [][]string{{"user", "add", "root", "--no-password"}, {"user", "grant-role", "root", "root"}, {"auth", "enable"}} {
		s.must(append([]string{env, "ctl", "--"}, args...)...)
	}
	s.refused(failed, []string{"authentication is on", "quorate ctl user add quorate --no-password && quorate ctl user grant-role quorate root"}, env, "backup")
	if names := s.keptOn(full); len(names) > 0 {
		t.Errorf("refused, and there is %v", names)
	}
	if got := restarted(before, s.pids(unit)); len(got) > 0 {
		t.Errorf("restarted: %v", got)
	}
	// Two clusters keep theirs apart, and a prune leaves what is none of it.
	s.shell(s.Host(0), "mkdir -p /var/backups/quorate/lab && touch /var/backups/quorate/lab/lab-2-20261130T210000Z-etcd1.db.zst /var/backups/quorate/lab/notes")
	s.must(env, "backup", "prune", "--keep", "1", "-y")
	if got := strings.Join(s.keptOn(s.Host(0)), " "); !strings.Contains(got, "lab-2-20261130T210000Z-etcd1.db.zst") || !strings.Contains(got, "notes") {
		t.Errorf("pruned to %s", got)
	}
	s.must(env, "destroy", "-y")
	for _, h := range s.Hosts() {
		if h.Name() == taken.Backup.Member && len(s.keptOn(h)) < 2 {
			t.Errorf("destroyed, and of the backups is left %v", s.keptOn(h))
		}
	}
}
