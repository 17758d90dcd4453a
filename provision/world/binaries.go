package world

import (
	"cmp"
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	etcd "go.etcd.io/etcd/api/v3/version"

	"quorate/plan/spec"
	"quorate/provision"
	"quorate/provision/host"
)

// binaries is provision.Binaries: kvserver from this side's disk, and an
// upstream etcd from where the spec says.
type binaries struct {
	cluster *spec.Cluster
	env     Environment

	mu    sync.Mutex
	found map[string]map[string]provision.Source
}

func newBinaries(c *spec.Cluster, e Environment) *binaries {
	return &binaries{cluster: c, env: e, found: map[string]map[string]provision.Source{}}
}

// Find implements provision.Binaries.
func (b *binaries) Find(platform string) (map[string]provision.Source, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if got := b.found[platform]; got != nil {
		return got, nil
	}
	_, src, err := b.own(platform)
	if err != nil {
		return nil, err
	}
	got := map[string]provision.Source{"kvserver": src}
	if b.cluster.Server.Etcd != nil {
		if got["etcd"], err = b.upstream(platform); err != nil {
			return nil, err
		}
	}
	b.found[platform] = got
	return got, nil
}

// own is kvserver for a platform, as the spec pins it.
func (b *binaries) own(platform string) (path string, src provision.Source, err error) {
	if path, err = b.kvserver(platform); err != nil {
		return "", src, err
	}
	if src, err = b.source(path); err != nil {
		return "", src, err
	}
	return path, src, b.pinned(platform, path, src.Blob.Digest())
}

// kvserver looks for the server binary of a platform: under its full name
// first, then under the plain one if its header says that it fits.
func (b *binaries) kvserver(platform string) (string, error) {
	place := cmp.Or(within(b.cluster, b.cluster.Server.Binary), filepath.Dir(b.env.Executable))
	st, err := os.Stat(place)
	if err != nil {
		return "", fmt.Errorf("cannot look for kvserver: %w", err)
	}
	candidates := []string{place}
	if st.IsDir() {
		candidates = []string{
			filepath.Join(place, "kvserver-"+strings.ReplaceAll(platform, "/", "-")),
			filepath.Join(place, "kvserver"),
		}
	}
	var why []string
	for _, c := range candidates {
		is, err := platformOf(c)
		switch {
		case err == nil && is == platform:
			return c, nil
		case err == nil:
			why = append(why, fmt.Sprintf("%s is for %s", c, is))
		case errors.Is(err, fs.ErrNotExist):
			why = append(why, c+" does not exist")
		default:
			why = append(why, fmt.Sprintf("%s: %v", c, err))
		}
	}
	return "", fmt.Errorf("there is no kvserver for %s: %s", platform, strings.Join(why, ", "))
}

// pinned compares the digest of kvserver with the spec's, if that names any. What is pushed later has
// the digest that was compared: the host checks it.
func (b *binaries) pinned(platform, path, digest string) error {
	pins := b.cluster.Server.KVServerSHA256
	_, arch, _ := strings.Cut(platform, "/")
	switch want, ok := pins[arch]; {
	case len(pins) == 0 || ok && want == digest:
		return nil
	case !ok:
		return fmt.Errorf("the spec pins kvserver (server: kvserver_sha256) and has no sha256 of one for %s: that of %s is %s", arch, path, digest)
	default:
		return fmt.Errorf("kvserver at %s is not the one that the spec pins (server: kvserver_sha256): its sha256 is %s and not %s", path, digest, want)
	}
}

func (b *binaries) source(path string) (provision.Source, error) {
	blob, err := host.FileBlob(path, filepath.Join(b.env.CacheDir, "blobs"))
	if err != nil {
		return provision.Source{}, err
	}
	return provision.Source{Blob: blob, Version: etcdVersion(path)}, nil
}

// etcdVersion is the version of the etcd server in a Go binary; that of this
// program where the binary does not tell.
func etcdVersion(path string) string { return cmp.Or(builtVersion(path), etcd.Version) }

// builtVersion reads the version of the etcd server module from a binary's
// build information; "" if it is not there (a development tree, no Go binary).
func builtVersion(path string) string {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return ""
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == "go.etcd.io/etcd/server/v3" && strings.HasPrefix(m.Version, "v") {
			return strings.TrimPrefix(m.Version, "v")
		}
	}
	return ""
}

// platformOf reads "os/arch" from an executable's header.
func platformOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if e, err := elf.NewFile(f); err == nil {
		arch := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[e.Machine]
		return "linux/" + cmp.Or(arch, e.Machine.String()), nil
	}
	if m, err := macho.NewFile(f); err == nil {
		arch := map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}[m.Cpu]
		return "darwin/" + cmp.Or(arch, m.Cpu.String()), nil
	}
	return "", fmt.Errorf("it is no executable for Linux or macOS (this is %s/%s)", runtime.GOOS, runtime.GOARCH)
}

// KVServer is where the kvserver of this machine's platform is, which has the digest that the spec pins, if it pins any.
func KVServer(c *spec.Cluster, e Environment) (string, error) {
	path, _, err := newBinaries(c, e).own(runtime.GOOS + "/" + runtime.GOARCH)
	return path, err
}
