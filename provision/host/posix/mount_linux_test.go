package posix

import (
	"os"
	"path/filepath"
	"slices"
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
