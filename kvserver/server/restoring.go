package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"quorate/kvserver"
	"quorate/kvserver/datadir"
)

// mayServe is an error where a restore is unfinished on this host, unless the restore is about to start the
// member on the data that lies there: see [kvserver.RestoreMark]. A mark that cannot be read forbids.
// initialised: there is a member in the data directory.
func mayServe(f Files, dataDir, walDir string, initialised bool) error {
	if f.Mark == "" {
		return nil
	}
	file := filepath.Join(filepath.Dir(f.Mark), kvserver.RestoreFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	const wayOut = "finish it with `quorate restore --resume`, or take it back with `quorate restore --undo`"
	var m kvserver.RestoreMark
	if err == nil {
		m, err = kvserver.ParseRestoreMark(text)
	}
	if err != nil {
		return fmt.Errorf("its cluster is being restored, and how far that is cannot be read in %s: %w; %s", file, err, wayOut)
	}
	cluster := "none"
	if initialised {
		id, _, err := datadir.Identity(dataDir, walDir)
		if err != nil {
			return fmt.Errorf("its cluster is being restored, and whose data this is cannot be read: %w; %s", err, wayOut)
		}
		cluster = kvserver.ID(id)
	}
	fresh := cluster == m.ClusterID
	if m.Stage == kvserver.RestoreStarting && fresh || m.Stage == kvserver.RestoreReturning && !fresh {
		return nil
	}
	return fmt.Errorf("its cluster is being restored from %s, begun by %s on %s (%s, stage %q; the data here is of cluster %s, the restored one is %s); %s",
		m.Snapshot.Name, m.By, m.At.UTC().Format("2006-01-02 15:04 MST"), file, m.Stage, cluster, m.ClusterID, wayOut)
}
