package plan

import (
	"fmt"
	"slices"
)

// KindFetch brings a release of etcd to the operator's side.
const KindFetch Kind = "fetch"

// Etcd and KVServer are the names of the binaries: the keys into Observed.Binaries.
const (
	KVServer = "kvserver"
	Etcd     = "etcd"
)

// Fetch brings a release of etcd to the operator's side, from where the spec
// says. Holds afterwards: its archive had the sha256 of the spec, and the binary
// out of it lies in the cache.
type Fetch struct {
	quiet
	Platform string  `json:"platform"` // "linux/amd64"
	Version  string  `json:"version"`
	Archive  Archive `json:"archive"`
}

// Kind of the step.
func (*Fetch) Kind() Kind { return KindFetch }

// Phase of the step: nothing is touched before it is known to have come.
func (*Fetch) Phase() Phase { return PhasePrepare }

// Describe names the archive.
func (a *Fetch) Describe() Description {
	return Description{Sign: New, Items: []Item{{Path: a.Archive.URL, Sign: New, Problem: "is not on this side yet", Note: "sha256 " + short(a.Archive.SHA256)}}}
}

// fromArchive begins what stands for the digest of a binary that is still in its archive.
const fromArchive = "archive:"

// FromArchive stands for the digest of the binary in an archive that has not
// been fetched when the plan is made: the archive's own digest determines it.
// A run knows it once its fetch step is done.
func FromArchive(a Archive) string { return fromArchive + a.SHA256 }

// fetch comes before the steps that need what is in an archive.
func (b *builder) fetch() {
	needed := map[string]bool{} // platforms
	for _, s := range b.steps {
		a, ok := s.Action.(*Push)
		if ok && slices.ContainsFunc(a.Binaries, func(p PushBinary) bool { return b.obs.Binaries[a.Platform][p.Name].Digest == "" }) {
			needed[a.Platform] = true
		}
	}
	for _, p := range sortedKeys(needed) {
		etcd := b.obs.Binaries[p][Etcd]
		b.add(draft{subject: p, Step: Step{
			Title:  fmt.Sprintf("fetch etcd %s for %s", etcd.Version, p),
			Action: &Fetch{Platform: p, Version: etcd.Version, Archive: etcd.Archive},
		}})
	}
}

// digestOf is the digest that a member's host must have at a path. Of a binary
// that is still in its archive it is what the host has, if an earlier run noted
// down that it put that there out of the same archive.
func (m *member) digestOf(path string, src Binary) string {
	if src.Digest != "" || src.Archive.SHA256 == "" {
		return src.Digest
	}
	if man := m.host.Manifest; man != nil && man.Archives[path] == src.Archive.SHA256 && man.Files[path] != "" {
		return man.Files[path]
	}
	return FromArchive(src.Archive)
}
