package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/kvserver"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision"
	"quorate/provision/world"
)

// BackupSaveOptions of the verbs backup and backup save.
type BackupSaveOptions struct {
	specOptions
	hostOptions
	outputOptions
	Member string
	Fetch  string
	CAKey  bool
}

// fetchLimit is how large a backup may be, bytes, to be fetched without being asked for: a second of a slow link.
const fetchLimit = 16 << 20

func newBackupSaveCommand(p *process) *cobra.Command {
	var o BackupSaveOptions
	cmd := &cobra.Command{
		Use:   "save",
		Short: "Take a backup",
		Long: `Take a backup of a cluster: the kvserver on a member's host asks that member for a
snapshot, verifies its hash, reads it whole, compares the hash of its keys with that
of the living member, and keeps it there, compressed, with its metadata beside it, in
the folder that the spec's backup block names. A healthy follower is asked by
preference. No lock is taken and nothing else is touched, so it may be done at any
time, also while a run is under way.

A small one is also fetched, into backups/CLUSTER beside the spec: --fetch=yes fetches
any, --fetch=no none. The spec, without secrets, and the CA's certificate are part of
it; --ca-key adds the CA's private key, which is always encrypted.

Keys and values are in a backup as they are in the cluster. What Kubernetes encrypts
with its own EncryptionConfiguration stays so: that file is not in the backup.

With etcd's authentication on the client that the hosts use (quorate) needs the role
root.`,
		Example: `  quorate backup
  quorate backup save --cluster lab --member etcd2 --fetch=yes
  quorate backup save --json | jq -r .name`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBackupSave(cmd.Context(), p, o, viewOptions(p, cmd, o.outputOptions))
		},
	}
	o.specOptions.AddFlags(p, cmd)
	o.addClient(p, cmd, &o.specOptions)
	f := cmd.Flags()
	f.StringVar(&o.Member, "member", "", "the member to take it of: name, id or address")
	_ = cmd.RegisterFlagCompletionFunc("member", completeMembers(p, &o.specOptions, 0))
	f.StringVar(&o.Fetch, "fetch", "auto", "also fetch it: yes, no, or auto, which fetches what has at most "+humanize.IBytes(fetchLimit))
	f.Lookup("fetch").NoOptDefVal = "yes"
	_ = cmd.RegisterFlagCompletionFunc("fetch", cobra.FixedCompletions([]string{"auto", "yes", "no"}, cobra.ShellCompDirectiveNoFileComp))
	f.BoolVar(&o.CAKey, "ca-key", false, "put the CA's private key into it, encrypted as the spec's backup or tls block says")
	o.addJSON(f, "print what was taken as JSON, one document for each cluster")
	return cmd
}

func runBackupSave(ctx context.Context, p *process, o BackupSaveOptions, v view.Options) error {
	if o.Fetch != "auto" && o.Fetch != "yes" && o.Fetch != "no" {
		return badUsage("--fetch cannot be %q: choose yes, no or auto", o.Fetch)
	}
	l, err := loadSpec(p, o.specOptions, o.JSON)
	if err != nil {
		return err
	}
	if o.Member != "" {
		if _, err := l.one(o.Cluster); err != nil {
			return err
		}
	}
	jobs := prepare(ctx, p, l, look{hostOptions: o.hostOptions, stay: true})
	defer closeAll(jobs)
	worst := worstError(p, jobs)
	for _, j := range jobs {
		if j.err != nil {
			continue
		}
		if err := o.save(ctx, p, l, j, v); err != nil {
			if len(jobs) > 1 && exitCode(err) != exitInterrupted {
				fmt.Fprintln(p.err, "Error: "+err.Error())
				err = said(exitCode(err))
			}
			worst = worse(worst, err)
		}
	}
	return worst
}

// save takes the backup of one cluster, and fetches it if it is to be fetched.
func (o BackupSaveOptions) save(ctx context.Context, p *process, l *loaded, j *job, v view.Options) error {
	fail := func(err error) error {
		return fmt.Errorf("cannot take a backup of cluster %q: %w", j.cluster.Name, err)
	}
	member, note, err := plan.BackupFrom(j.cluster, j.observed, o.Member)
	if err != nil {
		return fail(err)
	}
	order, err := o.order(p, l, j)
	if err != nil {
		return fail(err)
	}
	if note != "" {
		fmt.Fprintln(p.err, "Warning: "+note)
	}
	c := p.beginTask("take a backup of "+member, member, o.JSON, v)
	b, err := j.session.Backup(ctx, member, order, c.line)
	if err != nil {
		return fail(c.end("", err))
	}
	_ = c.end(view.Taken(b), nil)
	out := view.StoredBackup{Name: b.Name}
	out.Add(member, kvserver.ListedBackup{Name: b.Name, Size: b.PackedSize, Backup: b})
	if o.Fetch == "yes" || o.Fetch == "auto" && b.PackedSize <= fetchLimit {
		if err := fetchBackup(ctx, p, j, member, b, o.JSON, v); err != nil {
			return err
		}
		out.Add(view.Here, kvserver.ListedBackup{Name: b.Name, Size: b.PackedSize, Backup: b})
	}
	if o.JSON {
		return writeJSON(p.out, out)
	}
	return view.SavedText(p.out, out, backupsDir(j.dir, j.cluster), v)
}

// order is what goes into a backup beside the snapshot, and how it is encrypted.
func (o BackupSaveOptions) order(p *process, l *loaded, j *job) (provision.BackupOrder, error) {
	order := provision.BackupOrder{SpecDigest: spec.Digest(j.cluster), Files: map[string]string{}}
	for _, f := range spec.Shown(l.sources()) {
		order.Files[relative(l.dir, f.Name)] = string(f.Bytes)
	}
	ca, err := j.world.Authority.Look()
	if err != nil {
		return order, err
	}
	dir := j.cluster.Path(j.cluster.TLS.Dir)
	if ca.PEM != "" {
		order.Files[relative(l.dir, filepath.Join(dir, "ca.pem"))] = ca.PEM
	}
	if e := j.cluster.Backup.Encryption; e != nil {
		order.Recipients, order.Passphrase = e.Recipients, e.Passphrase.Reveal()
	}
	if !o.CAKey {
		return order, nil
	}
	path, content, err := o.caKey(p, j, dir)
	if err != nil {
		return order, err
	}
	order.Files[relative(l.dir, path)] = content
	return order, nil
}

// caKey is the CA's private key, encrypted: as it lies there, or as the backup is.
func (o BackupSaveOptions) caKey(p *process, j *job, dir string) (path, content string, err error) {
	path = filepath.Join(dir, "ca-key.pem.age")
	text, err := os.ReadFile(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return path, string(text), err
	}
	plain := filepath.Join(dir, "ca-key.pem")
	if own := j.cluster.TLS.CAKey; own != "" {
		plain = j.cluster.Path(own)
	}
	if j.cluster.Backup.Encryption == nil {
		return "", "", fmt.Errorf("%s lies there unencrypted, and nothing says how to encrypt it\n  add an encryption block to the spec's backup or tls block", plain)
	}
	if text, err = os.ReadFile(plain); err != nil {
		return "", "", err
	}
	sealed, err := p.encryptionOf(j.cluster, "the CA key").Text(text)
	return path, sealed, err
}

// relative is a path from the spec's folder, with slashes.
func relative(dir, path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if rel, err := filepath.Rel(dir, path); err == nil {
		path = rel
	}
	return filepath.ToSlash(path)
}

// fetchBackup brings a backup from a member's host here, its file and then its metadata.
func fetchBackup(ctx context.Context, p *process, j *job, member string, b *kvserver.Backup, quiet bool, v view.Options) error {
	dir := backupsDir(j.dir, j.cluster)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// All keys and values of the cluster are in there.
	if err := world.Ignore(filepath.Dir(dir), "*\n"); err != nil {
		return err
	}
	c := p.beginTask("fetch it from "+member, member, quiet, v)
	err := j.session.Fetch(ctx, provision.FetchRequest{
		Member: member, RemotePath: j.session.BackupPath(member, b.Name), Path: filepath.Join(dir, b.Name), Size: b.PackedSize, SHA256: b.PackedSHA256,
		Progress: func(got, total int64) { c.moves("fetching", got, total) },
	})
	if err == nil {
		err = j.session.FetchMetadata(ctx, member, b, dir)
	}
	return c.end(humanize.IBytes(uint64(b.PackedSize))+" to "+filepath.Join(dir, b.Name), err)
}
