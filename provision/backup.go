package provision

import (
	"bytes"
	"path/filepath"

	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"quorate/internal/durable"
	"slices"
	"strings"
	"time"

	"quorate/kvserver"
	"quorate/provision/host"
)

// BackupOrder says what else a backup has in it, and how it is encrypted. Passphrase is a secret.
type BackupOrder struct {
	SpecDigest string
	Files      map[string]string
	Recipients []string
	Passphrase string
}

// Backup has the kvserver of a member's host take a backup of that member into the folder of the spec's there,
// with the host's own certificate: the CA's key is not needed. No lock is taken, since nothing that
// anybody else works on is touched; two at a time on one host are refused there. line hears how far it is.
// It is not tried again. What is cut is not there: see [kvserver.Backup].
func (s *Session) Backup(ctx context.Context, member string, o BackupOrder, line func(kvserver.BackupLine)) (*kvserver.Backup, error) {
	h, err := s.Host(ctx, member)
	if err != nil {
		return nil, err
	}
	l := s.layout[member]
	folder := host.File{Path: l.Backups, Dir: true, Mode: 0o700}
	if l.Root == "" {
		folder.Owner = "root:root"
	}
	// By this, and not by kvserver, so that it is seen that nobody else can exchange what is on the way there.
	if _, err := h.Write(ctx, host.WriteRequest{Files: []host.File{folder}}); err != nil {
		return nil, err
	}
	request, err := json.Marshal(kvserver.BackupRequest{
		Dir: l.Backups, Cluster: s.cluster.Name, Member: member, Address: s.addressOf(member),
		CA: l.CA, Cert: l.Cert("client"), Key: l.Key("client"),
		SpecDigest: o.SpecDigest, Files: o.Files, Recipients: o.Recipients, Passphrase: o.Passphrase,
	})
	if err != nil {
		return nil, err
	}
	var got *kvserver.Backup
	var bad error
	_, err = h.Run(ctx, host.Command{Argv: []string{l.KVServer, "snapshot"}, Stdin: request, Line: func(text string) {
		var b kvserver.BackupLine
		switch err := json.Unmarshal([]byte(text), &b); {
		case err != nil:
			bad = cmp.Or(bad, fmt.Errorf("host %q: kvserver says %q, which is nothing that it should say", member, text))
		case b.Backup != nil:
			got, bad = checked(b.Backup, s.cluster.Name, member, bad)
		default:
			line(b)
		}
	}})
	switch {
	case err != nil:
		return nil, tooOld(err, member, "snapshot")
	case bad != nil:
		return nil, bad
	case got == nil:
		return nil, fmt.Errorf("host %q: kvserver ended without saying what it has taken", member)
	}
	return got, nil
}

// checked is what a host says that it has taken, as far as that can be.
func checked(b *kvserver.Backup, cluster, member string, before error) (*kvserver.Backup, error) {
	text, err := json.Marshal(b)
	if err == nil {
		b, err = kvserver.ParseBackup(text)
	}
	switch {
	case err != nil:
		return nil, cmp.Or(before, fmt.Errorf("host %q: what kvserver has taken cannot be read: %w", member, err))
	case !kvserver.BackupOf(cluster, b.Name) || b.Member != member:
		return nil, cmp.Or(before, fmt.Errorf("host %q: kvserver has taken %s of member %q", member, b.Name, b.Member))
	}
	return b, before
}

// addressOf is where a member serves now.
func (s *Session) addressOf(member string) string {
	all := s.Endpoints()
	return all[slices.IndexFunc(all, func(e Endpoint) bool { return e.Name == member })].Address
}

// tooOld says what to do where a host's kvserver does not know a verb yet.
func tooOld(err error, member, verb string) error {
	exit, ok := errors.AsType[*host.ExitError](err)
	if ok && strings.Contains(exit.Stderr, fmt.Sprintf("unknown command %q", verb)) {
		return fmt.Errorf("the kvserver on host %q is older than this quorate, and does not know %q yet\n  quorate apply puts the new one there", member, verb)
	}
	if ok && exit.Code == 127 {
		return fmt.Errorf("there is no kvserver on host %q yet\n  quorate apply puts it there", member)
	}
	return err
}

// HostBackups are the backups on one host, or why they are not known.
type HostBackups struct {
	Member  string
	Backups []kvserver.ListedBackup // the newest first
	Err     error                   // nil: it was asked
}

// How much a host may say of its backups, each of which is a kilobyte or two, and how long it may take to read
// the newest ones whole, at 100 MB/s and more.
const (
	backupsLimit = 8 << 20
	backupsTime  = 10 * time.Minute
)

// probeBackups is the name of the probe that lists them.
const probeBackups = "backups"

// Backups lists what is in the spec's folder on each host, all at the same time, in the spec's order. Of
// the newest check of each the whole file is read, and its digest compared. Nothing is written.
func (s *Session) Backups(ctx context.Context, check int) []HostBackups {
	out := make([]HostBackups, len(s.cluster.Members))
	parallel(len(out), func(i int) {
		out[i].Member = s.cluster.Members[i].Name
		out[i].Backups, out[i].Err = s.backupsOf(ctx, out[i].Member, check)
	})
	return out
}

func (s *Session) backupsOf(ctx context.Context, member string, check int) ([]kvserver.ListedBackup, error) {
	h, err := s.Reader(ctx, member)
	if err != nil {
		return nil, err
	}
	l := s.layout[member]
	argv := []string{l.KVServer, "backups", "--dir", l.Backups, "--cluster", s.cluster.Name, "--check", fmt.Sprint(check)}
	look, err := h.Look(ctx, host.Query{Dirs: []host.DirQuery{{Path: l.Backups}}, Probes: []host.Probe{{Name: probeBackups, Argv: argv, IfExists: l.KVServer, Timeout: backupsTime, Limit: backupsLimit}}})
	if err != nil {
		return nil, err
	}
	p := look.Probes[probeBackups]
	switch {
	case !p.Ran && look.Dirs[l.Backups].Exists && !look.Dirs[l.Backups].Empty:
		return nil, fmt.Errorf("there is no kvserver on host %q to list what is in %s\n  quorate apply puts it there", member, l.Backups)
	case !p.Ran:
		return nil, nil // nothing of ours is there
	case p.Code != 0:
		return nil, tooOld(&host.ExitError{Host: member, Argv: argv, Code: p.Code, Stderr: string(p.Stderr)}, member, "backups")
	case p.Cut:
		return nil, fmt.Errorf("host %q says more of its backups than can be read", member)
	}
	var all []kvserver.ListedBackup
	if err := json.Unmarshal(p.Stdout, &all); err != nil {
		return nil, fmt.Errorf("host %q: cannot read what it says of its backups: %w", member, err)
	}
	// What a host says is not more than that: names become paths.
	for _, b := range all {
		if !kvserver.BackupOf(s.cluster.Name, b.Name) || b.Backup != nil && b.Backup.Name != b.Name && b.Problem == "" {
			return nil, fmt.Errorf("host %q lists %q among the backups of cluster %q", member, b.Name, s.cluster.Name)
		}
	}
	return all, nil
}

// BackupPath is where a backup is on a member's host.
func (s *Session) BackupPath(member, name string) string {
	return path.Join(s.layout[member].Backups, name)
}

// RemoveBackups deletes backups on a member's host by name, the file before its metadata: cut in between, the next
// look names what is left. The caller has shown them to the operator.
func (s *Session) RemoveBackups(ctx context.Context, member string, names []string) error {
	h, err := s.Host(ctx, member)
	if err != nil {
		return err
	}
	var r host.RemoveRequest
	for _, name := range names {
		file := s.BackupPath(member, name)
		r.Files = append(r.Files, file, file+kvserver.MetadataSuffix)
	}
	_, err = h.Remove(ctx, r)
	return err
}

// VerifyBackup has a host verify one of its backups as [snapshot.Verify] does, and gives the JSON of what was found.
// passphrase opens one that is encrypted with it; it goes to the command's input.
func (s *Session) VerifyBackup(ctx context.Context, member, name, passphrase string, line func(kvserver.BackupLine)) (json.RawMessage, error) {
	h, err := s.Host(ctx, member)
	if err != nil {
		return nil, err
	}
	var got json.RawMessage
	_, err = h.Run(ctx, host.Command{Argv: []string{s.layout[member].KVServer, "verify", s.BackupPath(member, name)}, Stdin: []byte(passphrase + "\n"), Line: func(text string) {
		var v struct {
			kvserver.BackupLine
			Verified json.RawMessage `json:"verified"`
		}
		if json.Unmarshal([]byte(text), &v) != nil {
			return
		}
		if v.Verified != nil {
			got = v.Verified
		} else {
			line(v.BackupLine)
		}
	}})
	if err == nil && got == nil {
		err = fmt.Errorf("host %q: kvserver ended without saying what it found", member)
	}
	return got, tooOld(err, member, "verify")
}

// metadataLimit bounds a backup's metadata, bytes: the spec is in it.
const metadataLimit = 4 << 20

// Metadata reads what lies beside a backup on a member's host, with the files that belong to it.
func (s *Session) Metadata(ctx context.Context, member, name string) ([]byte, *kvserver.Backup, error) {
	h, err := s.Reader(ctx, member)
	if err != nil {
		return nil, nil, err
	}
	var text limited
	if _, err := h.Download(ctx, host.Download{Path: s.BackupPath(member, name) + kvserver.MetadataSuffix, To: &text}); err != nil {
		return nil, nil, err
	}
	b, err := kvserver.ParseBackup(text.Bytes())
	if err == nil && b.Name != name {
		err = fmt.Errorf("it is that of %q", b.Name)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("host %q: cannot read the metadata of %s: %w", member, name, err)
	}
	return text.Bytes(), b, nil
}

// FetchMetadata puts a backup's metadata beside its file in a folder on this side, which makes it a backup there. It has to be that of
// b still.
func (s *Session) FetchMetadata(ctx context.Context, member string, b *kvserver.Backup, dir string) error {
	text, got, err := s.Metadata(ctx, member, b.Name)
	if err != nil {
		return err
	}
	if got.PackedSHA256 != b.PackedSHA256 {
		return fmt.Errorf("host %q: the metadata of %s is another one by now", member, b.Name)
	}
	return durable.Write(durable.File{Path: filepath.Join(dir, b.Name+kvserver.MetadataSuffix), Mode: 0o600, UID: -1, GID: -1, Content: text})
}

// limited is a buffer for metadata.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > metadataLimit {
		return 0, errors.New("it is larger than any metadata")
	}
	return l.Buffer.Write(p)
}
