package world

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"

	"quorate/kvserver"
	"quorate/kvserver/release"
	"quorate/plan"
	"quorate/provision"
	"quorate/provision/host"
)

// upstream is the etcd release of the spec for a platform: out of the cache, or yet to be fetched.
func (b *binaries) upstream(platform string) (provision.Source, error) {
	fetcher, from, err := b.release(platform)
	if err != nil {
		return provision.Source{}, err
	}
	goos, arch, _ := strings.Cut(platform, "/")
	cached, err := fetcher.Cached(from, goos, arch)
	if err != nil {
		return provision.Source{}, err
	}
	src := provision.Source{Version: b.cluster.Server.Etcd.Version, Archive: plan.Archive{URL: from.URL, SHA256: strings.ToLower(from.SHA256)}}
	if cached.Path == "" {
		if err := fetcher.Offered(context.Background(), from); err != nil {
			src.Problem = fmt.Sprintf("cannot fetch etcd %s: %v", src.Version, err)
		}
		return src, nil
	}
	if err := b.agrees(cached.Path, from.URL); err != nil {
		return provision.Source{}, err
	}
	read, err := b.source(cached.Path)
	if err != nil {
		return provision.Source{}, err
	}
	verify := sync.OnceValue(func() error {
		is, err := fetcher.Verify(from)
		if err == nil && is != read.Blob.Digest() {
			err = fmt.Errorf("cannot push etcd: %s changed since it was looked at; run again", cached.Path)
		}
		return err
	})
	if read.Blob.Digest() != cached.SHA256 { // what was exchanged is held when planning already
		if err := verify(); err != nil {
			return provision.Source{}, err
		}
	}
	src.Blob = verified{read.Blob, verify}
	return src, nil
}

// verified gives out the content of a blob only after the check, which is made where a host is
// about to get it, and once. That the host then has that very content is for the host to check, as with every blob.
type verified struct {
	host.Blob
	check func() error
}

func (v verified) Compressed() (io.ReadCloser, int64, error) {
	if err := v.check(); err != nil {
		return nil, 0, err
	}
	return v.Blob.Compressed()
}

func (v verified) Open() (io.ReadCloser, error) {
	if err := v.check(); err != nil {
		return nil, err
	}
	return v.Blob.Open()
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
	got, err := fetcher.Fetch(ctx, from, goos, arch, progress)
	if err != nil {
		return provision.Source{}, err
	}
	if err := b.agrees(got.Path, from.URL); err != nil {
		return provision.Source{}, err
	}
	b.mu.Lock()
	delete(b.found, platform)
	b.mu.Unlock()
	return b.upstream(platform)
}
