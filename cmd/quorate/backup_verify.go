package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/kvserver"
	"quorate/kvserver/snapshot"
	"quorate/plan/spec"
	"quorate/provision"
)

// verifyOptions of the verb backup verify.
type verifyOptions struct {
	BackupOptions
	NoHash, Prove bool
}

func newBackupVerifyCommand(p *process) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify BACKUP",
		Short: "Read a backup as a restore will",
		Long: `Read a backup as a restore will: its size, the hash at its end, every page and every
key, and compare that with its metadata. BACKUP is a name as backup list has it, latest,
or a file on this side: a snapshot that any tool of etcd's has made, as it is or
compressed with gzip or zstd, with metadata or without. One that is on a host is verified
there. Nothing is changed; what is packed is unpacked beside it for a while.

With --prove it is also restored, into a folder beside it that is removed again, and a
server is started on it that nobody can reach: what that reads has to be what the file
holds. How long restoring and starting took is told, and kept beside a backup that is
one of the cluster's. It takes as much room as the database. The exit code is 1 where anything differs.`,
		Example: `  quorate backup verify latest
  quorate backup verify clusters/prod/backup/snapshot.db
  quorate backup verify latest --prove
  quorate backup verify member/snap/db --no-hash   # a copy of a member's database`,
		Args: each("BACKUP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBackupVerify(cmd.Context(), p, o, args[0], viewOptions(p, cmd, o.outputOptions))
		},
		ValidArgsFunction: completeBackups(p, &o.specOptions),
	}
	o.addFlags(p, cmd, "print what was found as JSON")
	cmd.Flags().BoolVar(&o.Prove, "prove", false, "restore it and start a server on it, too")
	cmd.Flags().BoolVar(&o.NoHash, "no-hash", false, "take a copy of a member's database, which has no hash at its end, after its pages were checked")
	return cmd
}

func runBackupVerify(ctx context.Context, p *process, o verifyOptions, word string, v view.Options) error {
	if isFile(word) {
		// Only one that is encrypted needs the spec, for what opens it.
		c := &spec.Cluster{}
		if l, err := readSpec(p, o.specOptions); err == nil && l.spec != nil {
			if one, err := l.one(o.Cluster); err == nil {
				c = one
			}
		}
		return verifyHere(ctx, p, o, c, word, false, v)
	}
	return o.ofOne(ctx, p, func(j *job, s *inventory) error {
		b, at, err := s.whole(word, "verify")
		if err != nil {
			return err
		}
		c := j.cluster
		switch {
		case at.Where == view.Here:
			return verifyHere(ctx, p, o, c, filepath.Join(s.dir, b.Name), true, v)
		case b.Backup.Encrypted && (c.Backup.Encryption == nil || c.Backup.Encryption.Passphrase.Empty()):
			return fmt.Errorf("cannot verify %s on %s: it is encrypted, and what opens it does not leave this side\n  fetch it first: quorate backup fetch %s", b.Name, at.Where, b.Name)
		}
		order := provision.VerifyOrder{Prove: o.Prove}
		if b.Backup.Encrypted {
			order.Passphrase = c.Backup.Encryption.Passphrase.Reveal()
		}
		w := p.beginTask("verify "+b.Name+" on "+at.Where, at.Where, o.JSON, v)
		found, err := j.session.VerifyBackup(ctx, at.Where, b.Name, order, w.line)
		return verified(p, o, w, found, err)
	})
}

// verifyHere verifies a file on this side. What came of proving it is kept beside it where it is one of ours.
func verifyHere(ctx context.Context, p *process, o verifyOptions, c *spec.Cluster, path string, ours bool, v view.Options) error {
	w := p.beginTask("verify "+path, "", o.JSON, v)
	found, err := p.verifyFile(ctx, o, c, path, ours, w)
	return verified(p, o, w, found, err)
}

func (p *process) verifyFile(ctx context.Context, o verifyOptions, c *spec.Cluster, path string, ours bool, w *task) (found kvserver.VerifyLine, err error) {
	var prove func(plain string, v *kvserver.Verified) (*kvserver.Proved, error)
	if o.Prove {
		if prove, err = p.prover(ctx, c, path, w.line); err != nil {
			return found, err
		}
	}
	v, plain, done, err := snapshot.Unpack(ctx, path, snapshot.VerifyOptions{Encryption: p.encryptionOf(c, path), NoHash: o.NoHash, Progress: w.line})
	if err != nil {
		return found, err
	}
	defer done()
	if found.Verified = v; prove == nil {
		return found, nil
	}
	if found.Proved, err = prove(plain, v); err != nil {
		return found, err
	}
	if ours {
		err = snapshot.Note(path, found.Proved.Proof(p.now()))
	}
	return found, cmp.Or(err, found.Proved.Err(path))
}

func verified(p *process, o verifyOptions, w *task, found kvserver.VerifyLine, err error) error {
	if err == nil {
		_ = w.end(view.Found(found), nil)
	} else {
		err = w.end("", err)
	}
	if o.JSON && found.Verified != nil {
		return worse(writeJSON(p.out, struct {
			*kvserver.Verified
			Proved *kvserver.Proved `json:"proved,omitempty"`
		}{found.Verified, found.Proved}), err)
	}
	return err
}
