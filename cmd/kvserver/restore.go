package main

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"
	etcd "go.etcd.io/etcd/api/v3/version"

	"quorate/kvserver"
	"quorate/kvserver/keys"
	"quorate/kvserver/restore"
)

func restoreCommand() *cobra.Command {
	var o restore.Options
	var owner string
	c := &cobra.Command{
		Use:   "restore --snapshot FILE --data-dir DIR --name NAME --initial-cluster NAME=URL,... --token TOKEN",
		Short: "Make a member's data directory out of a snapshot",
		Long: `Check a snapshot and make a data directory for one member of a new cluster of it,
beside whatever runs: the directory must be new or empty. Once this has returned 0,
all of it is on the disk. Cut at any moment and run again, it begins anew.

It prints JSON, one object a line: how far it is, and at last the result with the
ids, the revision, and what the snapshot held (alarms, users, members).`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.UID, o.GID, err = keys.System().Lookup(owner); err != nil {
				return err
			}
			o.Log, o.Progress = c.ErrOrStderr(), progressTo(c.OutOrStdout())
			r, err := restore.Restore(c.Context(), o)
			if err != nil {
				return err
			}
			return json.NewEncoder(c.OutOrStdout()).Encode(kvserver.RestoreReport{Restored: &r})
		},
	}
	f := c.Flags()
	snapshotFlags(c, &o.File)
	f.StringVar(&o.DataDir, "data-dir", "", "the data directory to make (required)")
	f.StringVar(&o.WALDir, "wal-dir", "", "its WAL directory, if that is not to be inside the data directory")
	f.BoolVar(&o.Hold, "hold", false, "make the data directory, and the folder that the WAL directory is in, which must not be there: then whoever owns the folders around them cannot lead this elsewhere")
	f.StringVar(&o.Name, "name", "", "the member's name (required)")
	f.StringVar(&o.InitialCluster, "initial-cluster", "", "all members of the new cluster with their peer URLs (required)")
	f.StringVar(&o.Token, "token", "", "a token that no cluster has had (required)")
	f.Int64Var(&o.TargetRevision, "target-revision", 0, "the newest revision afterwards, above all that any client has seen; what is below counts as compacted (default: the snapshot's own)")
	f.StringVar(&o.Server, "server", etcd.Version, "the version of the etcd that is to run on it: refused where it cannot read it")
	f.StringVar(&owner, "owner", "", "the account that the member runs as, USER or USER:GROUP")
	return c
}

// snapshotFlags are those of a verb that reads a snapshot.
func snapshotFlags(c *cobra.Command, s *restore.Snapshot) {
	f := c.Flags()
	f.StringVar(&s.Path, "snapshot", "", "the snapshot, not compressed (required)")
	f.StringVar(&s.SHA256, "sha256", "", "what the file's sha256 must be, in hex")
	f.BoolVar(&s.SkipHash, "skip-hash-check", false, "take a copy of member/snap/db too, which has no checksum: each of its pages is checked")
}

// progressTo writes how far the work is, a line each. Where that cannot be written the work goes on: its result says whether it was heard.
func progressTo(w io.Writer) func(kvserver.RestoreProgress) {
	out := json.NewEncoder(w)
	return func(p kvserver.RestoreProgress) { _ = out.Encode(kvserver.RestoreReport{Progress: &p}) }
}
