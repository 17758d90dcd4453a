package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"

	"go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/server/v3/embed"
	"sigs.k8s.io/yaml"

	"quorate/kvserver"
	"quorate/kvserver/datadir"
)

// Files are what a member is started from.
type Files struct {
	// Config is etcd's own configuration file.
	Config string
	// Bootstrap, which may be empty or not exist, says how a member with an
	// empty data directory finds its cluster.
	Bootstrap string
	// Unit, which may be empty, is the unit (or service file) that started
	// the process; it counts in the digest only.
	Unit string
	// Mark, which may be empty or not exist, is what `kvserver formed` has
	// written once the member had served: see [kvserver.Mark].
	Mark string
}

// Loaded is what the files said at one moment.
type Loaded struct {
	// Settings is the configuration that the member is to run with, the
	// bootstrap file merged over it if it counts.
	Settings []byte
	// Digest is the [kvserver.ConfigDigest] of configuration and unit; ""
	// where there is a unit and it could not be read: unknown, not wrong.
	Digest string
	// UnitError is why.
	UnitError error
	Name      string
	DataDir   string
	// Initialised: the data directory holds a member, and the bootstrap file was not read.
	Initialised bool
	// Mark is the host's, where there is no member: it is to join a cluster
	// anew, on a host where one has served.
	Mark *kvserver.Mark
}

// Load reads the files once. The bootstrap file counts only while there is no
// member; without it, an empty data directory is an error, since etcd on its
// own would make a new cluster of one there.
//
// Where there is a mark and no member, only a bootstrap file with
// initial-cluster-state "existing" is followed (the cluster lists a member that
// is to join): a member that has served and starts as new has forgotten what it
// acknowledged, and two of three that have make an empty cluster under the old id.
//
// Where there is a mark and a member's log, its database must be there too: etcd
// would make an empty one beside the log, and whoever brings the real one then
// finds its place taken.
//
// While a restore is unfinished, nothing is started but what the restore starts.
func Load(f Files) (Loaded, error) {
	var l Loaded
	config, err := os.ReadFile(f.Config)
	if err != nil {
		return l, fmt.Errorf("cannot read the configuration: %w", err)
	}
	settings := map[string]any{}
	if err := yaml.Unmarshal(config, &settings); err != nil {
		return l, fmt.Errorf("cannot read the configuration %s: %w", f.Config, err)
	}
	l.Name, _ = settings["name"].(string)
	l.DataDir, _ = settings["data-dir"].(string)
	walDir, _ := settings["wal-dir"].(string)
	if l.DataDir == "" {
		return l, fmt.Errorf("cannot start member %q: the configuration %s names no data-dir", l.Name, f.Config)
	}
	var unit []byte
	if f.Unit != "" {
		unit, l.UnitError = os.ReadFile(f.Unit)
	}
	if l.UnitError == nil {
		l.Digest = kvserver.ConfigDigest(config, unit)
	}
	l.Settings = config
	l.Initialised, err = datadir.Initialised(l.DataDir, walDir)
	if err != nil {
		return l, fmt.Errorf("cannot start member %q: %w", l.Name, err)
	}
	if err := mayServe(f, l.DataDir, walDir, l.Initialised); err != nil {
		return l, fmt.Errorf("cannot start member %q: %w", l.Name, err)
	}
	if l.Initialised {
		if err := mayGoOn(f, l.DataDir, walDir); err != nil {
			return l, fmt.Errorf("cannot start member %q: %w", l.Name, err)
		}
		return l, nil
	}
	over, err := readBootstrap(f.Bootstrap)
	if err != nil {
		return l, err
	}
	maps.Copy(settings, over)
	if l.Mark, err = mayBegin(f, settings, walDir); err != nil {
		return l, fmt.Errorf("cannot start member %q: %w", l.Name, err)
	}
	if s, _ := settings["initial-cluster"].(string); s == "" {
		return l, fmt.Errorf("cannot start member %q: its data directory %s is empty, and nothing says how to find its cluster (a bootstrap file with initial-cluster): if there was data, its file system may not be mounted; otherwise run quorate apply", l.Name, l.DataDir)
	}
	l.Settings, err = yaml.Marshal(settings)
	return l, err
}

// readBootstrap gives what a bootstrap file sets; nothing where there is none.
func readBootstrap(path string) (settings map[string]any, err error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read the bootstrap file: %w", err)
	}
	if err := yaml.Unmarshal(text, &settings); err != nil {
		return nil, fmt.Errorf("cannot read the bootstrap file %s: %w", path, err)
	}
	return settings, nil
}

// mayBegin gives the mark, nil if there is none, and is an error where it
// forbids to start with these settings; there is no member in the data
// directory. A mark that cannot be read forbids.
func mayBegin(f Files, settings map[string]any, walDir string) (*kvserver.Mark, error) {
	mark, err := readMark(f.Mark)
	if err != nil {
		return nil, fmt.Errorf("%w; it may say that this host's member has served, and the data directory holds no member", err)
	}
	if mark == nil || settings["initial-cluster-state"] == embed.ClusterStateFlagExisting {
		return mark, nil
	}
	dataDir, _ := settings["data-dir"].(string)
	return nil, fmt.Errorf("%s; its data directory %s holds no WAL (looked in %s): is its file system mounted? Started as new it would have forgotten what it acknowledged. Bring its data back, or replace the member: quorate plan shows how",
		hasServed(mark, f), dataDir, datadir.WALDir(dataDir, walDir))
}

// mayGoOn is an error where a member that has served has its log and no database, as between the two moves of its
// data to other folders. A mark that cannot be read forbids.
func mayGoOn(f Files, dataDir, walDir string) error {
	if there, err := datadir.HasDatabase(dataDir); there || err != nil {
		return err
	}
	mark, err := readMark(f.Mark)
	if err != nil {
		return fmt.Errorf("%w; it may say that this host's member has served, and the data directory holds no database", err)
	}
	if mark == nil {
		return nil
	}
	return fmt.Errorf("%s; its data directory %s holds no database, and its log is in %s: is its file system mounted, or was a move of it cut? etcd would make an empty one. Bring it back: quorate plan shows how",
		hasServed(mark, f), dataDir, datadir.WALDir(dataDir, walDir))
}

func hasServed(m *kvserver.Mark, f Files) string {
	return fmt.Sprintf("this host's member %s of cluster %s has served (%s, since %s)", m.MemberID, m.ClusterID, f.Mark, m.At.Format("2006-01-02"))
}

// readMark gives nil where there is none.
func readMark(path string) (*kvserver.Mark, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the mark: %w", err)
	}
	m, err := kvserver.ParseMark(text)
	if err != nil {
		return nil, fmt.Errorf("cannot read the mark %s: %w", path, err)
	}
	return &m, nil
}

// Report says on the log what the operator should know of what was loaded and
// etcd itself would pass over: one line each, in the form of etcd's own log.
// With another etcd than the one in here, nothing is said about options.
func Report(l Loaded, upstream bool, w io.Writer) {
	warn := func(message, key string, value any) {
		line, _ := json.Marshal(map[string]any{"level": "warn", "msg": message, key: value})
		fmt.Fprintf(w, "%s\n", line)
	}
	if l.UnitError != nil {
		warn("cannot read the unit file; what this member runs with cannot be told from outside", "error", l.UnitError.Error())
	}
	if unknown := unknownOptions(l.Settings); len(unknown) > 0 && !upstream {
		warn("options that etcd "+version.Version+" does not know and passes over", "options", unknown)
	}
}
