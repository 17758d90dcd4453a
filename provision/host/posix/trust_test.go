package posix

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// somebody is a user who is neither root nor anybody who runs tests.
const somebody = 54321

// TestHostileFolders: root works by path only where nobody else could have put something else in the
// way: neither links, nor folders that others own or may write to. What the link leads to stays as it was.
func TestHostileFolders(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to make what belongs to others")
	}
	each(t, func(t *testing.T, s shell, root string) {
		h := New(&s, options(root))
		defer h.Close()
		at := func(parts ...string) string { return filepath.Join(append([]string{root}, parts...)...) }
		victim := at("victim")
		for _, err := range []error{
			os.Mkdir(at("private"), 0o700), os.WriteFile(at("private", "shadow"), []byte("secret"), 0o600), os.Mkdir(victim, 0o755),
			os.WriteFile(filepath.Join(victim, "there"), nil, 0o644),
			os.Mkdir(at("theirs"), 0o755), os.Chown(at("theirs"), somebody, somebody), os.Symlink(victim, at("theirs", "link")), os.Mkdir(at("theirs", "dir"), 0o755),
			os.Mkdir(at("everybodys"), 0o755), os.Chmod(at("everybodys"), 0o777), os.Mkdir(at("everybodys", "dir"), 0o755),
			os.Mkdir(at("groups"), 0o755), os.Chown(at("groups"), 0, somebody), os.Chmod(at("groups"), 0o775),
			os.Symlink(victim, at("foreign")), os.Lchown(at("foreign"), somebody, somebody),
			os.Symlink(at("theirs", "dir"), at("detour")),
			os.Symlink(victim, at("own")),
			os.Mkdir(at("sticky"), 0o755), os.Chmod(at("sticky"), 0o777|os.ModeSticky), os.Symlink(at("private", "shadow"), at("sticky", "lock")), os.Lchown(at("sticky", "lock"), somebody, somebody),
			os.WriteFile(at("sticky", "lock2"), nil, 0o666), os.Chown(at("sticky", "lock2"), somebody, somebody),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		ctx := t.Context()
		write := func(f host.File) func(context.Context) error {
			return func(ctx context.Context) error {
				_, err := h.Write(ctx, host.WriteRequest{Files: []host.File{f}})
				return err
			}
		}
		lock := func(path string) func(context.Context) error {
			return func(ctx context.Context) error {
				unlock, err := h.Lock(ctx, host.LockRequest{Path: path})
				if err == nil {
					return unlock()
				}
				return err
			}
		}
		const theirs, everybodys, mine = "belongs to somebody else", "others may write to", ""
		for what, tt := range map[string]struct {
			do   func(context.Context) error
			want string
		}{
			"a file in another's folder":       {write(host.File{Path: at("theirs", "f"), Mode: 0o600}), theirs},
			"a file below another's folder":    {write(host.File{Path: at("theirs", "dir", "f"), Mode: 0o600}), theirs},
			"a folder in another's":            {write(host.File{Path: at("theirs", "dir"), Dir: true, Mode: 0o700}), theirs},
			"a folder that is another's link":  {write(host.File{Path: at("theirs", "link"), Dir: true, Mode: 0o700, Owner: "nobody"}), theirs},
			"a file where everybody may write": {write(host.File{Path: at("everybodys", "f"), Mode: 0o600}), everybodys},
			"a folder where everybody may":     {write(host.File{Path: at("everybodys", "dir"), Dir: true, Mode: 0o700}), everybodys},
			"a file where a group may write":   {write(host.File{Path: at("groups", "f"), Mode: 0o600}), everybodys},
			"through a link of another's":      {write(host.File{Path: at("foreign", "f"), Mode: 0o600}), theirs},
			"through our link to another's":    {write(host.File{Path: at("detour", "f"), Mode: 0o600}), theirs},
			"through our link":                 {write(host.File{Path: at("own", "f"), Mode: 0o600}), mine},
			"a lock that is a link":            {lock(at("sticky", "lock")), "no lock file of ours"},
			"a lock that another made":         {lock(at("sticky", "lock2")), "no lock file of ours"},
			"a lock in another's folder":       {lock(at("theirs", "lock")), theirs},
			"a lock":                           {lock(at("run", "quorate", "lab", "lock")), mine},
			"removed in another's folder": {func(ctx context.Context) error {
				_, err := h.Remove(ctx, host.RemoveRequest{Files: []string{at("theirs", "dir", "f")}})
				return err
			}, theirs},
			"a tree in another's folder": {func(ctx context.Context) error {
				_, err := h.Remove(ctx, host.RemoveRequest{Entries: []host.Entries{{Dir: at("theirs", "link"), Names: []string{"there"}}}})
				return err
			}, theirs},
			"aside in another's folder": {func(ctx context.Context) error {
				_, err := h.Aside(ctx, host.AsideRequest{Dir: at("theirs", "link"), Name: "x"})
				return err
			}, theirs},
		} {
			switch err := tt.do(ctx); {
			case tt.want == "" && err != nil:
				t.Errorf("%s: %v", what, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%s: %v, want %q", what, err, tt.want)
			}
		}
		// What is refused here, a look shows beforehand.
		if err := os.Symlink(at("nowhere"), at("dangling")); err != nil {
			t.Fatal(err)
		}
		exposed := map[string]host.Exposure{
			at("theirs"): {Path: at("theirs"), Owner: "54321"}, at("everybodys"): {Path: at("everybodys")}, at("groups"): {Path: at("groups")},
			at("foreign"): {Path: at("foreign"), Owner: "54321"}, at("detour"): {Path: at("theirs"), Owner: "54321"}, at("dangling"): {Path: at("dangling"), Nowhere: true},
			at("own"): {}, at("sticky"): {}, victim: {}, at("private"): {}, at("private", "shadow"): {}, at("nowhere"): {},
		}
		var q host.Query
		for p := range exposed {
			q.Files = append(q.Files, host.FileQuery{Path: p})
		}
		l, err := h.Look(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for p, want := range exposed {
			if got := l.Files[p].Exposed; got != want {
				t.Errorf("%s is exposed by %+v, want %+v", p, got, want)
			}
		}
		if text, err := os.ReadFile(at("private", "shadow")); err != nil || string(text) != "secret" {
			t.Errorf("the file behind the link holds %q (%v)", text, err)
		}
		if _, err := os.Stat(filepath.Join(victim, "there")); err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(victim); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("the folder behind the link: %v %v", info.Mode(), err)
		}
		if info, err := os.Stat(at("run", "quorate", "lab")); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the lock's folder: %v %v", info, err)
		}
	})
}

// TestAsideInAMembersFolder: a folder that a service account owns is worked in by root. While that
// goes on it is root's, a link in the place of what is made there is refused, and it is given back.
func TestAsideInAMembersFolder(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to make what belongs to others")
	}
	each(t, func(t *testing.T, s shell, root string) {
		h := New(&s, options(root))
		defer h.Close()
		data, victim := filepath.Join(root, "data"), filepath.Join(root, "victim")
		for _, err := range []error{os.Mkdir(victim, 0o755), os.Mkdir(data, 0o700), os.Mkdir(filepath.Join(data, "member"), 0o700),
			os.Symlink(victim, filepath.Join(data, ".aside")), os.Chown(data, somebody, somebody)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		r := host.AsideRequest{Dir: data, Name: "now", Only: []string{"member"}}
		if _, err := h.Aside(t.Context(), r); err == nil || !strings.Contains(err.Error(), "is no folder") {
			t.Errorf("through a link: %v", err)
		}
		if left, _ := os.ReadDir(victim); len(left) > 0 {
			t.Errorf("something came through the link: %v", left)
		}
		owner := func(path string) uint32 {
			t.Helper()
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			return uid(info)
		}
		if got := owner(data); got != somebody {
			t.Errorf("after a refusal the folder belongs to %d", got)
		}
		if err := os.Remove(filepath.Join(data, ".aside")); err != nil {
			t.Fatal(err)
		}
		if a, err := h.Aside(t.Context(), r); err != nil || len(a.Moved) != 1 {
			t.Fatalf("%v %v", a, err)
		}
		for _, p := range []string{data, filepath.Join(data, ".aside"), filepath.Join(data, ".aside", "now")} {
			if got := owner(p); got != somebody {
				t.Errorf("%s belongs to %d", p, got)
			}
		}
	})
}

// TestMoveInAMembersFolder: both folders are a service account's, who could put links there; what comes of it
// belongs to whom it did.
func TestMoveInAMembersFolder(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to make what belongs to others")
	}
	each(t, func(t *testing.T, s shell, root string) {
		h := New(&s, options(root))
		defer h.Close()
		far := hosttest.Shm(t)
		if far == "" {
			t.Skip("there is one file system only")
		}
		from, to, victim := filepath.Join(root, "from"), filepath.Join(far, "to"), filepath.Join(root, "victim")
		for _, err := range []error{os.Mkdir(victim, 0o755), os.Mkdir(to, 0o700), os.Mkdir(from, 0o700), os.Mkdir(filepath.Join(from, "member"), 0o700),
			os.WriteFile(filepath.Join(from, "member", "f"), []byte("log"), 0o600), os.Symlink(victim, filepath.Join(from, ".aside")),
			os.Symlink(victim, filepath.Join(to, ".member.quorate-copy")), os.Chown(filepath.Join(from, "member"), somebody, somebody),
			os.Chown(filepath.Join(from, "member", "f"), somebody, somebody), os.Chown(from, somebody, somebody), os.Chown(to, somebody, somebody)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		owners := func(paths ...string) {
			t.Helper()
			for _, p := range paths {
				info, err := os.Lstat(p)
				if err != nil {
					t.Fatal(err)
				}
				if got := uid(info); got != somebody {
					t.Errorf("%s belongs to %d", p, got)
				}
			}
		}
		r := host.MoveRequest{From: host.Tree{Dir: from, Name: "member"}, To: host.Tree{Dir: to, Name: "member"}, Keep: "now"}
		if _, err := h.Move(t.Context(), r); err == nil || !strings.Contains(err.Error(), "is no folder") {
			t.Errorf("through a link: %v", err)
		}
		if left, _ := os.ReadDir(victim); len(left) > 0 {
			t.Errorf("something came through a link: %v", left)
		}
		owners(from, to, filepath.Join(from, "member"))
		if err := os.Remove(filepath.Join(from, ".aside")); err != nil {
			t.Fatal(err)
		}
		if m, err := h.Move(t.Context(), r); err != nil || m.How != host.Copied {
			t.Fatalf("%v %v", m, err)
		}
		owners(from, to, filepath.Join(to, "member"), filepath.Join(to, "member", "f"), filepath.Join(from, ".aside"),
			filepath.Join(from, ".aside", "now"), filepath.Join(from, ".aside", "now", "member", "f"))
	})
}

func uid(info os.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }
