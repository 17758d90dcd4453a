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
	// Then, which may be nil, is called once the backup is in place, with the snapshot as a file that is not packed, which
	// is gone afterwards: also of an encrypted one.
	Then func(plain string, b *kvserver.Backup)

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
	client, err := Client(r)
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

// Client asks the member of this host, by its name, and others, with the host's own certificate. Nothing is connected yet.
func Client(r kvserver.BackupRequest, others ...admin.Endpoint) (*admin.Client, error) {
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
		Members: append([]admin.Endpoint{{Name: r.Member, Address: r.Address}}, others...),
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
	b.At = s.folder.free(s.Now, s.r.Member)
	b.Name = kvserver.BackupName(b.Cluster, b.At, b.Member, kvserver.Form{})
	plain, packed := s.folder.part(b.Name), s.folder.part(b.Name+packedSuffix)
	defer os.Remove(plain) // what was renamed is not there any more
	defer os.Remove(packed)

	w := newPacker(plain, packed, b.Encrypted, e)
	defer w.abandon()
	if err := s.receive(ctx, b, w); err != nil {
		return nil, err
	}
	// While what is kept is made durable, it is read.
	durable := make(chan error, 1)
	go func() { durable <- w.sync() }()
	err := s.read(ctx, b, plain)
	if err := errors.Join(err, <-durable); err != nil {
		return nil, err
	}
	s.Progress(kvserver.BackupLine{Stage: kvserver.StageWrite})
	b.Name = kvserver.BackupName(b.Cluster, b.At, b.Member, kvserver.Form{Compressed: w.compressed(), Encrypted: b.Encrypted})
	if err := s.folder.publish(w.kept(), b); err != nil || s.Then == nil {
		return b, err
	}
	if w.kept() == plain {
		plain = filepath.Join(s.r.Dir, b.Name)
	}
	s.Then(plain, b)
	return b, nil
}

// read fills in what the database says, and compares it with the member.
func (s *saving) read(ctx context.Context, b *kvserver.Backup, plain string) (err error) {
	s.Progress(kvserver.BackupLine{Stage: kvserver.StageRead})
	if b.Content, err = datadir.Content(plain); err != nil {
		return fmt.Errorf("what the member sent cannot be read: %w", err)
	}
	// The member reads its own meanwhile.
	type answer struct {
		hash kvserver.Hash
		err  error
	}
	said := make(chan answer, 1)
	asks := s.comparable()
	if asks == "" {
		ctx, cancel := context.WithTimeoutCause(ctx, compareTime, fmt.Errorf("it did not hash its keys within %s", compareTime))
		defer cancel()
		go func() {
			h, err := s.client.HashKV(ctx, s.r.Member, b.Content.Revision)
			said <- answer{h, err}
		}()
	}
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
	if asks != "" {
		b.Compared = kvserver.Compared{Result: kvserver.NotCompared, Why: asks}
		return nil
	}
	s.Progress(kvserver.BackupLine{Stage: kvserver.StageCompare})
	a := <-said
	b.Compared = compared(h, a.hash, a.err)
	if b.Compared.Result == kvserver.Disagreed {
		return fmt.Errorf("what the member sent is not what it holds: %s", b.Compared.Why)
	}
	return nil
}

// receive streams the database into the files, and verifies the hash at its end.
func (s *saving) receive(ctx context.Context, b *kvserver.Backup, w *packer) error {
	err := s.client.Snapshot(ctx, s.r.Member, w, throttled(func(got, all int64) {
		s.Progress(kvserver.BackupLine{Stage: kvserver.StageReceive, Done: got, Total: all})
	}))
	if errors.Is(err, kvserver.ErrDenied) {
		return fmt.Errorf("%w\n  authentication is on, and only a user with the role root may take snapshots; the certificate of this host is the user's %q:\n  quorate ctl user add %[2]s --no-password && quorate ctl user grant-role %[2]s root", err, node.OperatorName)
	}
	if err == nil {
		err = w.end()
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

// comparable is why the living member is not asked for its hash; "" if it is.
func (s *saving) comparable() string {
	if st := s.status; st.Leader == st.MemberID && st.DBSizeInUse > LeaderLimit {
		return fmt.Sprintf("the member leads, and would apply no writes while it hashes %s", humanize.IBytes(uint64(st.DBSizeInUse)))
	}
	return ""
}

// compared is what the living member's answer comes to.
func compared(have, got kvserver.Hash, err error) kvserver.Compared {
	switch {
	case errors.Is(err, kvserver.ErrCompacted) || err == nil && got.CompactRevision != have.CompactRevision:
		return kvserver.Compared{Result: kvserver.NotCompared, Why: "the member has compacted its keys since"}
	case err != nil:
		return kvserver.Compared{Result: kvserver.NotCompared, Why: err.Error()}
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
	return writeMetadata(filepath.Join(f.dir, b.Name), b)
}
