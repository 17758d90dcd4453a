// Package snapshot takes backups of the member of a host, keeps them in a
// folder there, lists and verifies them; on the operator's side it verifies what
// was fetched. What a backup is, and which are kept, is in package kvserver.
//
// A backup is published by two renames, of the file and then of its metadata,
// each durable before the next: whatever happens, a file with metadata is whole.
package snapshot

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"

	"quorate/internal/durable"
	"quorate/internal/resources"
	"quorate/internal/sealed"
	"quorate/kvserver"
	"quorate/kvserver/admin"
	"quorate/kvserver/datadir"
	"quorate/kvserver/node"
)

// Options are what else taking a backup depends on.
type Options struct {
	Now  time.Time
	Tool string // version of this program
	// Progress, which may be nil, hears what is being done; of the stages that take long, again and again.
	Progress func(kvserver.BackupLine)

	work int // scrypt's factor, for tests; 0 is age's own
}

// margin is kept free beyond what a backup takes: for the metadata, and for whatever else writes there.
const margin = 64 << 20

// LeaderLimit is the size of a database, bytes in use, up to which a member that leads is asked to hash its keys: it
// applies no writes meanwhile, at about a second a gigabyte.
const LeaderLimit = 100 << 20

// Save takes a backup of the member at r.Address into r.Dir: it receives the
// database, sees that its hash is right, reads it, compares it with the living
// member, and puts it and its metadata in place, durable. Memory does not depend on its
// size, but for hashing (see [datadir.Hash]), which is left out where memory lacks.
//
// One backup at a time is taken into a folder. An error leaves nothing behind but what a killed
// process leaves, and the next Save removes that. Nothing is tried again.
func Save(ctx context.Context, r kvserver.BackupRequest, o Options) (*kvserver.Backup, error) {
	b, err := save(ctx, r, o)
	if err != nil {
		return nil, fmt.Errorf("cannot take a backup of member %q: %w", r.Member, err)
	}
	return b, nil
}

func save(ctx context.Context, r kvserver.BackupRequest, o Options) (*kvserver.Backup, error) {
	if o.Progress == nil {
		o.Progress = func(kvserver.BackupLine) {}
	}
	if !filepath.IsAbs(r.Dir) || r.Cluster == "" || r.Member == "" {
		return nil, errors.New("the request names no folder, cluster or member")
	}
	client, err := clientOf(r)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	f, err := open(r.Dir, r.Cluster)
	if err != nil {
		return nil, err
	}
	defer f.close()
	st, err := client.Status(ctx, r.Member)
	if err != nil {
		return nil, err
	}
	if err := resources.Room(r.Dir, 2*st.DBSize+margin); err != nil {
		return nil, err
	}
	s := &saving{Options: o, r: r, client: client, status: st, folder: f}
	return s.run(ctx)
}

// clientOf asks the member of this host.
func clientOf(r kvserver.BackupRequest) (*admin.Client, error) {
	pair, err := tls.LoadX509KeyPair(r.Cert, r.Key)
	if err != nil {
		return nil, fmt.Errorf("the client certificate of this host: %w", err)
	}
	ca, err := os.ReadFile(r.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s has no certificate", r.CA)
	}
	return admin.New(admin.Config{
		Members: []admin.Endpoint{{Name: r.Member, Address: r.Address}},
		TLS:     &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12},
	}), nil
}

// saving is one backup under way.
type saving struct {
	Options
	r      kvserver.BackupRequest
	client *admin.Client
	status kvserver.Status
	folder *folder
}

func (s *saving) run(ctx context.Context) (*kvserver.Backup, error) {
	e := sealed.Encryption{Recipients: s.r.Recipients, Passphrase: s.r.Passphrase, Work: s.work}
	b := &kvserver.Backup{
		Format: kvserver.BackupFormat, Cluster: s.r.Cluster, Member: s.r.Member,
		ClusterID: kvserver.ID(s.status.ClusterID), MemberID: kvserver.ID(s.status.MemberID),
		Version: s.status.Version, Tool: s.Tool, SpecDigest: s.r.SpecDigest, Files: s.r.Files,
		Encrypted: len(e.Recipients) > 0 || e.Passphrase != "",
	}
	b.At, b.Name = s.folder.name(s.Now, s.r.Member, b.Encrypted)
	plain, packed := s.folder.part(b.Name+plainSuffix), s.folder.part(b.Name)
	defer os.Remove(plain) // what was renamed is not there any more
	defer os.Remove(packed)

	if err := s.receive(ctx, b, e, plain, packed); err != nil {
		return nil, err
	}
	s.Progress(kvserver.BackupLine{Stage: kvserver.StageRead})
	var err error
	if b.Content, err = datadir.Content(plain); err != nil {
		return nil, fmt.Errorf("what the member sent cannot be read: %w", err)
	}
	if err := s.hash(ctx, b, plain); err != nil {
		return nil, err
	}
	s.Progress(kvserver.BackupLine{Stage: kvserver.StageWrite})
	return b, s.folder.publish(packed, b)
}

// receive streams the database into both files, and verifies the hash at its end.
func (s *saving) receive(ctx context.Context, b *kvserver.Backup, e sealed.Encryption, plain, packed string) error {
	w, err := newPacker(packed, plain, b.Encrypted, e)
	if err != nil {
		return err
	}
	defer w.abandon()
	err = s.client.Snapshot(ctx, s.r.Member, w, throttled(func(got, all int64) {
		s.Progress(kvserver.BackupLine{Stage: kvserver.StageReceive, Done: got, Total: all})
	}))
	if errors.Is(err, kvserver.ErrDenied) {
		return fmt.Errorf("%w\n  authentication is on, and only a user with the role root may take snapshots; the certificate of this host is the user's %q:\n  quorate ctl user add %[2]s --no-password && quorate ctl user grant-role %[2]s root", err, node.OperatorName)
	}
	if err != nil {
		return err
	}
	b.Size = w.tail.size
	if b.SHA256, err = w.tail.verify(); err != nil {
		return fmt.Errorf("what the member sent is damaged: %w", err)
	}
	b.PackedSize, b.PackedSHA256, err = w.finish()
	return err
}

// hash fills in the hash of the file, and compares it with the member's.
func (s *saving) hash(ctx context.Context, b *kvserver.Backup, plain string) error {
	h, keys, err := datadir.Hash(plain)
	if much := (*datadir.TooMuchMemoryError)(nil); errors.As(err, &much) {
		b.Unhashed = much.Error()
		b.Compared = kvserver.Compared{Result: kvserver.NotCompared, Why: "the file was not hashed"}
		return nil
	}
	if err != nil {
		return fmt.Errorf("what the member sent cannot be read: %w", err)
	}
	b.Hash, b.Keys = &h, keys
	b.Compared = s.compare(ctx, h)
	if b.Compared.Result == kvserver.Disagreed {
		return fmt.Errorf("what the member sent is not what it holds: %s", b.Compared.Why)
	}
	return nil
}

// compare asks the living member for its hash at the revision of the backup.
func (s *saving) compare(ctx context.Context, have kvserver.Hash) kvserver.Compared {
	not := func(format string, args ...any) kvserver.Compared {
		return kvserver.Compared{Result: kvserver.NotCompared, Why: fmt.Sprintf(format, args...)}
	}
	if st := s.status; st.Leader == st.MemberID && st.DBSizeInUse > LeaderLimit {
		return not("the member leads, and would apply no writes while it hashes %s", humanize.IBytes(uint64(st.DBSizeInUse)))
	}
	s.Progress(kvserver.BackupLine{Stage: kvserver.StageCompare})
	ctx, cancel := context.WithTimeoutCause(ctx, compareTime, fmt.Errorf("it did not hash its keys within %s", compareTime))
	defer cancel()
	got, err := s.client.HashKV(ctx, s.r.Member, have.Revision)
	switch {
	case errors.Is(err, kvserver.ErrCompacted) || err == nil && got.CompactRevision != have.CompactRevision:
		return not("the member has compacted its keys since")
	case err != nil:
		return not("%v", err)
	case got.Hash != have.Hash:
		return kvserver.Compared{Result: kvserver.Disagreed, Why: fmt.Sprintf("up to revision %d its hash is %08x, the file's %08x", have.Revision, got.Hash, have.Hash)}
	}
	return kvserver.Compared{Result: kvserver.Agreed}
}

// compareTime bounds the member's hashing: a gigabyte takes about a second on what etcd is run on, and
// the backup is good without the comparison.
const compareTime = 5 * time.Minute

// throttled passes on what is news to people: four times a second.
func throttled(tell func(got, all int64)) func(got, all int64) {
	var last time.Time
	return func(got, all int64) {
		if now := time.Now(); now.Sub(last) >= 250*time.Millisecond || got == all {
			last = now
			tell(got, all)
		}
	}
}

// publish puts a backup in place: its file, then its metadata.
func (f *folder) publish(packed string, b *kvserver.Backup) error {
	if err := os.Rename(packed, filepath.Join(f.dir, b.Name)); err != nil {
		return err
	}
	if err := durable.SyncDir(f.dir); err != nil {
		return err
	}
	text, err := encode(b)
	if err != nil {
		return err
	}
	return durable.Write(durable.File{Path: filepath.Join(f.dir, b.Name+kvserver.MetadataSuffix), Mode: 0o600, UID: -1, GID: -1, Content: text})
}
