package world

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"quorate/kvserver"
	"quorate/kvserver/release"
	"quorate/provision"
)

// upstream fetches the etcd release of the spec for a platform, or takes it
// from the cache.
func (b *binaries) upstream(ctx context.Context, platform string) (provision.Source, error) {
	r := b.cluster.Server.Etcd
	goos, arch, _ := strings.Cut(platform, "/")
	from, ok := r.Sources[arch]
	if !ok {
		return provision.Source{}, fmt.Errorf("the spec names no source of etcd %s for %s", r.Version, arch)
	}
	f := release.Fetcher{Dir: filepath.FromSlash(b.cluster.Dir), Cache: filepath.Join(b.env.CacheDir, "etcd"), Client: b.env.HTTP}
	path, err := f.Fetch(ctx, release.Source{URL: from.URL, SHA256: from.SHA256}, goos, arch, nil)
	if err != nil {
		return provision.Source{}, err
	}
	// The order of an upgrade hangs on the version, so a slip of the pen in the spec matters.
	if v := builtVersion(path); v != "" && kvserver.Minor(v) != kvserver.Minor(r.Version) {
		return provision.Source{}, fmt.Errorf("the etcd at %s says that it is %s, the spec says %s", from.URL, v, r.Version)
	}
	src, err := b.source(path)
	src.Version = r.Version
	return src, err
}
