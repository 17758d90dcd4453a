package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/kvserver"
	"quorate/kvserver/snapshot"
	"quorate/plan/spec"
)

func newBackupVerifyCommand(p *process) *cobra.Command {
	var o BackupOptions
	var noHash bool
	cmd := &cobra.Command{
		Use:   "verify BACKUP",
		Short: "Read a backup as a restore will",
		Long: `Read a backup as a restore will: its size, the hash at its end, every page and every
key, and compare that with its metadata. BACKUP is a name as backup list has it, latest,
or a file on this side: a snapshot that any tool of etcd's has made, as it is or
compressed with gzip or zstd, with metadata or without. One that is on a host is verified
there. Nothing is changed; what is packed is unpacked beside it for a while.`,
		Example: `  quorate backup verify latest
  quorate backup verify clusters/prod/backup/snapshot.db
  quorate backup verify member/snap/db --no-hash   # a copy of a member's database`,
		Args: each("BACKUP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBackupVerify(cmd.Context(), p, o, args[0], noHash, viewOptions(p, cmd, o.outputOptions))
		},
		ValidArgsFunction: completeBackups(p, &o.specOptions),
	}
	o.addFlags(p, cmd, "print what was found as JSON")
	cmd.Flags().BoolVar(&noHash, "no-hash", false, "take a copy of a member's database, which has no hash at its end, after its pages were checked")
	return cmd
}

func runBackupVerify(ctx context.Context, p *process, o BackupOptions, word string, noHash bool, v view.Options) error {
	if isFile(word) {
		// Only one that is encrypted needs the spec, for what opens it.
		c := &spec.Cluster{}
		if l, err := readSpec(p, o.specOptions); err == nil && l.spec != nil {
			if one, err := l.one(o.Cluster); err == nil {
				c = one
			}
		}
		return verifyHere(ctx, p, o, c, word, noHash, v)
	}
	l, err := loadSpec(p, o.specOptions, o.JSON)
	if err != nil {
		return err
	}
	c, err := l.one(o.Cluster)
	if err != nil {
		return err
	}
	return o.shelved(ctx, p, l, []*spec.Cluster{c}, 0, func(j *job, s *shelves) error {
		b, err := s.find(word)
		if err != nil {
			return err
		}
		at := b.Good()
		switch {
		case at == nil:
			return fmt.Errorf("cannot verify %s: nowhere is it whole; see `quorate backup show %s`", b.Name, b.Name)
		case at.Where == view.Here:
			return verifyHere(ctx, p, o, c, filepath.Join(s.dir, b.Name), noHash, v)
		case b.Backup.Encrypted && (c.Backup.Encryption == nil || c.Backup.Encryption.Passphrase.Empty()):
			return fmt.Errorf("cannot verify %s on %s: it is encrypted, and what opens it does not leave this side\n  fetch it first: quorate backup fetch %s", b.Name, at.Where, b.Name)
		}
		passphrase := ""
		if b.Backup.Encrypted {
			passphrase = c.Backup.Encryption.Passphrase.Reveal()
		}
		w := p.beginChore("verify "+b.Name+" on "+at.Where, at.Where, o.JSON, v)
		text, err := j.session.VerifyBackup(ctx, at.Where, b.Name, passphrase, w.line)
		var found kvserver.Verified
		if err == nil {
			err = json.Unmarshal(text, &found)
		}
		return verified(p, o, w, &found, err)
	})
}

// verifyHere verifies a file on this side.
func verifyHere(ctx context.Context, p *process, o BackupOptions, c *spec.Cluster, path string, noHash bool, v view.Options) error {
	w := p.beginChore("verify "+path, "", o.JSON, v)
	found, err := snapshot.Verify(ctx, path, snapshot.VerifyOptions{Encryption: p.encryptionOf(c, path), NoHash: noHash, Progress: w.line})
	return verified(p, o, w, found, err)
}

func verified(p *process, o BackupOptions, w *chore, found *kvserver.Verified, err error) error {
	if err != nil {
		return w.end("", err)
	}
	_ = w.end(view.Found(found), nil)
	if o.JSON {
		return writeJSON(p.out, found)
	}
	return nil
}
