package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// ManifestFormat is the version of the manifest's JSON.
const ManifestFormat = 1

// Manifest is what a host keeps about itself: which cluster and member it is,
// what was put there, by which run. It is a note, not the truth: observing
// reads the real files. It holds no secrets.
//
// It is written before a member is first started (the intent: token and CA),
// and again once the cluster has formed.
type Manifest struct {
	Format  int    `json:"format"`
	Cluster string `json:"cluster"`
	Member  string `json:"member"`
	// Token is the initial-cluster token of the bootstrap that this host took part in.
	Token string `json:"token"`
	// Formed says that the cluster has served with this host in it. From then on an empty data
	// directory is lost data: starting it as new would forget what it had acknowledged to its peers.
	Formed bool `json:"formed"`
	// ClusterID and MemberID as the formed cluster gave them, hex.
	ClusterID string `json:"cluster_id,omitempty"`
	MemberID  string `json:"member_id,omitempty"`
	// Version of the etcd that last served from this data: known also while the member is stopped.
	Version string `json:"version,omitempty"`
	// User is the account that the member runs as, and that its data belongs to; "" on a local host, and in manifests of older versions.
	User    string `json:"user,omitempty"`
	DataDir string `json:"data_dir"`
	WALDir  string `json:"wal_dir,omitempty"`
	// PeerURL and ClientURL are where its configuration has it serve; "" in manifests of older versions.
	PeerURL   string `json:"peer_url,omitempty"`
	ClientURL string `json:"client_url,omitempty"`
	// Former are the folders that its data lay in before: some of it may be kept aside there.
	Former []string `json:"former,omitempty"`
	// Replaced are the ids of clusters that this one has replaced, by a restore or a recovery, the newest last: data of theirs
	// that turns up again is not this cluster's.
	Replaced []string `json:"replaced,omitempty"`
	// Begins is the revision at which a restore had the cluster begin; 0: it began by itself. What its members have reached since is
	// above it, also where none can be asked.
	Begins int64 `json:"begins,omitempty"`
	// Protect: the spec that was applied last said that this member is not to be expelled.
	Protect bool `json:"protect,omitempty"`
	// SpecDigest the files were made from, and the files with their digests ("" for keys, which are never read).
	SpecDigest string            `json:"spec_digest"`
	Files      map[string]string `json:"files"`
	// Archives are the sha256 (hex) of the archives that files came out of, by path: by it a plan knows
	// what lies there without having the archive.
	Archives map[string]string `json:"archives,omitempty"`
	// Keys are the sha256 (hex) of the files of the keys, by path, as they were when their certificates
	// were put beside them: another digest is another key, seen without reading it.
	Keys map[string]string `json:"keys,omitempty"`
	// Made are the folders that were made for this member, parents too: a destroy removes those that are
	// empty then, and no others.
	Made []string `json:"made,omitempty"`
	// Specs are the digests of the specs that were applied here, the newest last, at most [SpecsKept].
	Specs []AppliedSpec `json:"specs,omitempty"`
	// Runs that changed this host, the newest last, at most [RunsKept].
	Runs []Run `json:"runs,omitempty"`
}

// SpecsKept is how many applied specs a manifest remembers.
const SpecsKept = 20

// AppliedSpec is a spec that was applied to a host once.
type AppliedSpec struct {
	Digest string    `json:"digest"` // spec.Digest of the cluster
	At     time.Time `json:"at"`
	By     string    `json:"by"` // user@machine
}

// Applied notes a spec that is being applied: the newest one goes last, and is there once.
func (m *Manifest) Applied(s AppliedSpec) {
	m.Specs = slices.DeleteFunc(slices.Clone(m.Specs), func(o AppliedSpec) bool { return o.Digest == s.Digest })
	m.Specs = append(m.Specs, s)
	m.Specs = m.Specs[max(0, len(m.Specs)-SpecsKept):]
}

// ParseManifest reads a manifest; one of another format is an error.
func ParseManifest(b []byte) (*Manifest, error) {
	m := new(Manifest)
	if err := read(b, m, &m.Format, ManifestFormat); err != nil {
		return nil, fmt.Errorf("cannot read the manifest: %w", err)
	}
	return m, nil
}

// Encode is the manifest's JSON, indented, ending in a newline.
func (m *Manifest) Encode() []byte { return encode(m) }

// read decodes JSON that says of what format it is; another one is an error.
func read(b []byte, into any, format *int, want int) error {
	if err := json.Unmarshal(b, into); err != nil {
		return err
	}
	if *format != want {
		return fmt.Errorf("its format is %d, this version of quorate reads %d", *format, want)
	}
	return nil
}

// encode is JSON, indented, ending in a newline.
func encode(v any) []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // plain data: cannot happen
	}
	return append(b, '\n')
}

// same reports whether two manifests say the same about the host; the runs, and
// what only the formed cluster could say, do not count.
func (m *Manifest) same(o *Manifest) bool {
	if m == nil || o == nil {
		return m == o
	}
	a, b := *m, *o
	a.Runs, b.Runs = nil, nil
	a.ClusterID, b.ClusterID, a.MemberID, b.MemberID = "", "", "", ""
	a.Version, b.Version, a.Specs, b.Specs, a.Keys, b.Keys = "", "", nil, nil, nil, nil
	if a.PeerURL == "" || b.PeerURL == "" {
		a.PeerURL, b.PeerURL, a.ClientURL, b.ClientURL = "", "", "", ""
	}
	return string(a.Encode()) == string(b.Encode())
}
