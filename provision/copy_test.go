package provision_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quorate/plan/spec"
	"quorate/provision"
	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// copied is one run that copies a file of a machine here.
func (f *fetching) copied(ctx context.Context, machine, path, to string) error {
	s := provision.Open(provision.World{Connect: func(ctx context.Context, m *spec.Member) (host.Host, error) {
		return f.world.Dial(ctx, f.at[m.Address])
	}}, f.cluster)
	defer s.Close()
	last := int64(-1)
	return s.Copy(ctx, machine, path, to, func(got, total int64) {
		if got < last || got > total {
			f.t.Errorf("%d of %d bytes after %d", got, total, last)
		}
		last = got
	})
}

// TestCopyAFile: it comes from a member's machine, or a host block's that nothing else connects with; whatever goes wrong leaves nothing.
func TestCopyAFile(t *testing.T) {
	t.Parallel()
	f := newFetching(t, 300_001)
	f.cluster.Hosts = []*spec.Host{{Name: "admin", Address: f.cluster.Members[2].Address, Connection: f.cluster.Members[2].Connection}}
	f.world.Machine("etcd3").WriteFile(remoteFile, []byte("the admin's"), 0o600)
	dir := t.TempDir()
	for machine, want := range map[string][]byte{"etcd1": f.content, "admin": []byte("the admin's")} {
		to := filepath.Join(dir, machine)
		must(t, f.copied(t.Context(), machine, remoteFile, to))
		info, err := os.Stat(to)
		must(t, err)
		if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, want) || info.Mode() != 0o600 {
			t.Errorf("%s: %d bytes, mode %s, %v", machine, len(got), info.Mode(), err)
		}
	}

	gone := filepath.Join(dir, "gone")
	for name, c := range map[string]struct {
		machine, path, to, want string
		is                      error
	}{
		"no such file":  {"etcd2", remoteFile, gone, `cannot fetch /var/lib/backups/a b.db of host "etcd2": there is no such file`, fs.ErrNotExist},
		"a folder":      {"etcd1", filepath.Dir(remoteFile), gone, `cannot fetch /var/lib/backups of host "etcd1": `, nil},
		"no such host":  {"etcd9", remoteFile, gone, `the spec has no such host`, nil},
		"there already": {"etcd1", remoteFile, filepath.Join(dir, "etcd1"), "file exists", fs.ErrExist},
	} {
		err := f.copied(t.Context(), c.machine, c.path, c.to)
		if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something is left, %v", name, err)
		}
	}
	f.machine.CutDownloadAfter(60_000)
	if err := f.copied(t.Context(), "etcd1", remoteFile, gone); !errors.Is(err, hosttest.ErrCut) {
		t.Errorf("cut: %v", err)
	}
	if _, err := os.Lstat(gone); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("cut: something is left, %v", err)
	}
}
