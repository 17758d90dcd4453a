package world

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"quorate/kvserver"
	"quorate/kvserver/release"
	"quorate/plan"
	"quorate/provision"
)

// upstream is the etcd release of the spec for a platform: out of the cache, or yet to be fetched.
func (b *binaries) upstream(platform string) (provision.Source, error) {
	fetcher, from, err := b.release(platform)
	if err != nil {
		return provision.Source{}, err
	}
	goos, arch, _ := strings.Cut(platform, "/")
	path, err := fetcher.Cached(from, goos, arch)
	if err != nil {
		return provision.Source{}, err
	}
	src := provision.Source{Version: b.cluster.Server.Etcd.Version, Archive: plan.Archive{URL: from.URL, SHA256: strings.ToLower(from.SHA256)}}
	if path == "" {
		if err := fetcher.Offered(context.Background(), from); err != nil {
			src.Problem = fmt.Sprintf("cannot fetch etcd %s: %v", src.Version, err)
		}
		return src, nil
	}
	if err := b.agrees(path, from.URL); err != nil {
		return provision.Source{}, err
	}
	read, err := b.source(path)
	src.Blob = read.Blob
	return src, err
}

func (b *binaries) release(platform string) (*release.Fetcher, release.Source, error) {
	r := b.cluster.Server.Etcd
	if r == nil {
		return nil, release.Source{}, errors.New("the spec names no etcd release")
	}
	_, arch, _ := strings.Cut(platform, "/")
	from, ok := r.Sources[arch]
	if !ok {
		return nil, release.Source{}, fmt.Errorf("the spec names no source of etcd %s for %s", r.Version, arch)
	}
	return &release.Fetcher{Dir: filepath.FromSlash(b.cluster.Dir), Cache: filepath.Join(b.env.CacheDir, "etcd"), Client: b.env.HTTP},
		release.Source{URL: from.URL, SHA256: from.SHA256}, nil
}

// agrees compares what a binary says of itself with the spec: the order of an
// upgrade hangs on the version, so a slip of the pen there matters.
func (b *binaries) agrees(path, url string) error {
	want := b.cluster.Server.Etcd.Version
	if v := builtVersion(path); v != "" && kvserver.Minor(v) != kvserver.Minor(want) {
		return fmt.Errorf("the etcd at %s says that it is %s, the spec says %s", url, v, want)
	}
	return nil
}

// Fetch implements provision.Binaries.
func (b *binaries) Fetch(ctx context.Context, platform string, progress func(got, all int64)) (provision.Source, error) {
	fetcher, from, err := b.release(platform)
	if err != nil {
		return provision.Source{}, err
	}
	goos, arch, _ := strings.Cut(platform, "/")
	path, err := fetcher.Fetch(ctx, from, goos, arch, progress)
	if err != nil {
		return provision.Source{}, err
	}
	if err := b.agrees(path, from.URL); err != nil {
		return provision.Source{}, err
	}
	b.mu.Lock()
	delete(b.found, platform)
	b.mu.Unlock()
	return b.upstream(platform)
}
