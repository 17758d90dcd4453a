package posix

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"quorate/provision/host"
)

// mounted puts an empty tmpfs at a folder; it needs root's rights.
func mounted(t *testing.T, dir string, flags uintptr) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, "size=4m"); err != nil {
		t.Skipf("this machine mounts nothing: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

func TestMounts(t *testing.T) {
	each(t, func(t *testing.T, s shell, root string) {
		data, odd, bound := filepath.Join(root, "data"), filepath.Join(root, "a b"), filepath.Join(root, "bound")
		mounted(t, data, syscall.MS_NOEXEC)
		mounted(t, odd, syscall.MS_RDONLY)
		if err := os.MkdirAll(filepath.Join(root, "source", "member"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(bound, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount(filepath.Join(root, "source"), bound, "", syscall.MS_BIND, ""); err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(bound, syscall.MNT_DETACH) })
		h := New(&s, options(root))
		q := host.Query{Space: []string{data + "/deep", odd, root}, Dirs: []host.DirQuery{{Path: data}, {Path: odd}, {Path: bound}, {Path: root}}}
		l, err := h.Look(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for p, want := range map[string]host.MountState{
			data + "/deep": {Known: true, Point: data, Type: "tmpfs", NoExec: true},
			odd:            {Known: true, Point: odd, Type: "tmpfs", ReadOnly: true},
		} {
			if l.Mounts[p] != want {
				t.Errorf("%s: %+v, want %+v", p, l.Mounts[p], want)
			}
		}
		for p, want := range map[string]bool{data: true, odd: true, bound: true, root: false} {
			if l.Dirs[p].MountPoint != want {
				t.Errorf("%s: %+v", p, l.Dirs[p])
			}
		}

		// What is in a mount point can be moved aside.
		if err := os.MkdirAll(data+"/member/wal", 0o700); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{data, bound} {
			a, err := h.Aside(t.Context(), host.AsideRequest{Dir: dir, Name: "x"})
			if err != nil || a.Path != dir+"/.aside/x" || !slices.Equal(a.Moved, []string{"member"}) {
				t.Errorf("%s: %+v, %v", dir, a, err)
			}
		}
		// One file system, mounted twice: nothing can be renamed from one to the other, whatever their numbers say.
		from := host.Tree{Dir: bound, Name: "tree"}
		for i, to := range []host.Tree{{Dir: filepath.Join(root, "source"), Name: "moved"}, {Dir: data, Name: "tree"}} {
			if err := os.MkdirAll(filepath.Join(from.Path(), "deep"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(from.Path(), "deep", "f"), []byte("log"), 0o600); err != nil {
				t.Fatal(err)
			}
			m, err := h.Move(t.Context(), host.MoveRequest{From: from, To: to, Keep: string(rune('a' + i))})
			if err != nil || m.How != host.Copied || m.Aside != bound+"/.aside/"+string(rune('a'+i))+"/tree" {
				t.Errorf("to %s: %+v, %v", to.Path(), m, err)
			}
			if got, err := os.ReadFile(filepath.Join(to.Path(), "deep", "f")); err != nil || string(got) != "log" {
				t.Errorf("%q, %v", got, err)
			}
			left, err := os.ReadDir(to.Dir)
			if err != nil || slices.ContainsFunc(left, func(e os.DirEntry) bool { return strings.Contains(e.Name(), "quorate") }) {
				t.Errorf("left are %v, %v", left, err)
			}
		}
		// What does not fit is not begun, and what has a mount point in it is not moved.
		if err := os.MkdirAll(filepath.Join(root, "large", "tree"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "large", "tree", "f"), make([]byte, 5<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, try := range []bool{true, false} {
			r := host.MoveRequest{From: host.Tree{Dir: filepath.Join(root, "large"), Name: "tree"}, To: host.Tree{Dir: data, Name: "large"}, Keep: "k", Try: try}
			if m, err := h.Move(t.Context(), r); err == nil || !strings.Contains(err.Error(), "MiB free") {
				t.Errorf("%+v, %v", m, err)
			}
			r = host.MoveRequest{From: host.Tree{Dir: root, Name: "large"}, To: host.Tree{Dir: root, Name: "elsewhere"}, Keep: "k", Try: try}
			if try {
				mounted(t, filepath.Join(root, "large", "inner"), 0)
			}
			if m, err := h.Move(t.Context(), r); err == nil || !strings.Contains(err.Error(), "is a mount point") {
				t.Errorf("%+v, %v", m, err)
			}
		}
		// An entry that is one stops it before anything is moved.
		outer := filepath.Join(root, "outer")
		mounted(t, filepath.Join(outer, "inner"), 0)
		if err := os.Mkdir(filepath.Join(outer, "a"), 0o700); err != nil {
			t.Fatal(err)
		}
		if a, err := h.Aside(t.Context(), host.AsideRequest{Dir: outer, Name: "x"}); err == nil {
			t.Errorf("%+v", a)
		}
		if left, _ := os.ReadDir(outer); len(left) != 2 {
			t.Errorf("a refused request moved something: %v", left)
		}
		// A mount point that was to go if it is empty stays, without error.
		if gone, err := h.Remove(t.Context(), host.RemoveRequest{Files: []string{filepath.Join(outer, "inner")}}); err != nil || len(gone) > 0 {
			t.Errorf("%q, %v", gone, err)
		}
	})
}
