package templates

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"quorate/kvserver/node"
)

// UnitParams is how one member is run on its host. [Unit] and [Supervised]
// take the same parameters; the fields under "Supervised" are read by that one only.
type UnitParams struct {
	Cluster string
	Member  string
	// Binary is kvserver on the host. It is what is started, also where an
	// upstream etcd serves: it then becomes that etcd in the same process.
	Binary string
	// Etcd is an upstream etcd binary on the host, or empty.
	Etcd          string
	ConfigFile    string
	BootstrapFile string // may be empty
	// MarkFile is where the host remembers that its member has served; may be empty.
	MarkFile string
	// UnitFile is where the rendered unit will lie: kvserver reads it at its
	// start, so that the digest it runs with covers the unit too. May be empty.
	UnitFile string
	DataDir  string
	WALDir   string // folder given to the WAL, which the member may write; empty: inside DataDir
	WALFiles string // where in it etcd keeps the WAL; empty: in WALDir itself
	// User is the system account the member runs as; Unit only.
	User string
	// Ports are all TCP ports that the member listens on; empty: any, Unit only.
	Ports []int

	// Supervised: where the supervisor keeps its log, its lock and its word about the child.
	LogFile, PIDFile, StateFile string
	// Env is added to the child's environment; no secrets.
	Env map[string]string
}

// Argv is the command line of the member.
func (p UnitParams) Argv() []string {
	argv := []string{p.Binary, "serve", "--config-file", p.ConfigFile}
	if p.BootstrapFile != "" {
		argv = append(argv, "--bootstrap-file", p.BootstrapFile)
	}
	if p.MarkFile != "" {
		argv = append(argv, "--mark", p.MarkFile)
	}
	if p.UnitFile != "" {
		argv = append(argv, "--unit-file", p.UnitFile)
	}
	if p.Etcd != "" {
		argv = append(argv, "--etcd", p.Etcd)
	}
	return argv
}

// FormedArgv is the command line that notes on the host that its member has
// served, and takes the bootstrap file away; nil where there is no mark. It is
// run each time the member is ready.
func (p UnitParams) FormedArgv() []string {
	if p.MarkFile == "" {
		return nil
	}
	argv := []string{p.Binary, "formed", "--mark", p.MarkFile, "--data-dir", p.DataDir}
	if p.WALDir != "" {
		argv = append(argv, "--wal-dir", cmp.Or(p.WALFiles, p.WALDir))
	}
	if p.BootstrapFile != "" {
		argv = append(argv, "--bootstrap-file", p.BootstrapFile)
	}
	return argv
}

// shared are the folders in which members of other clusters on the same host, and other services, have
// their own: a member sees in them what it needs, and nothing else. Every host has them (FHS) but /data,
// which systemd would make: that is hidden only where the member has something in it.
var shared = []string{"/data", "/etc/quorate", "/media", "/mnt", "/opt", "/srv", "/var/cache", "/var/lib", "/var/log"}

// homes are what ProtectHome hides.
var homes = []string{"/home", "/root", "/run/user"}

//go:embed unit.service.tmpl
var unitText string

// Unit renders the hardened systemd unit, for systemd 247 and newer. The
// member runs as its own account without capabilities, sees the file system
// read-only but for its data and of the folders that it shares with others only its own, executes
// nothing but its binaries, and is ready only once it serves. An older systemd logs a warning about what it
// does not know yet, and goes on. Exposure by
// `systemd-analyze security` is 1.0 (1.1 with data under /home): what is left is the network (0.5 + 0.3 +
// 0.2), which is its job, and notifying systemd.
func Unit(p UnitParams) ([]byte, error) {
	fail := func(err error) ([]byte, error) {
		return nil, fmt.Errorf("cannot write the unit of member %q: %w", p.Member, err)
	}
	if err := p.check(); err != nil {
		return fail(err)
	}
	if err := word("user", p.User); err != nil {
		return fail(err)
	}
	if p.User == "root" {
		return fail(errors.New("a member does not run as root: give it an account of its own"))
	}
	writable := []string{p.DataDir}
	if p.WALDir != "" && !within(p.WALDir, p.DataDir) {
		writable = append(writable, p.WALDir)
	}
	for _, path := range slices.Concat(p.Argv(), p.FormedArgv(), writable) {
		if err := word("path", path); err != nil {
			return fail(err)
		}
	}
	executable := []string{path.Dir(p.Binary)}
	if p.Etcd != "" && path.Dir(p.Etcd) != executable[0] {
		executable = append(executable, path.Dir(p.Etcd))
	}
	own := slices.Concat(writable, executable, []string{path.Dir(p.ConfigFile)})
	inside := func(dir string) bool {
		return slices.ContainsFunc(own, func(p string) bool { return p != dir && within(p, dir) })
	}
	below := func(dir string, all []string) bool {
		return slices.ContainsFunc(all, func(p string) bool { return p != dir && within(dir, p) })
	}
	var emptied, readable []string
	for _, dir := range shared {
		if !slices.Contains(own, dir) && (dir != "/data" || inside(dir)) {
			emptied = append(emptied, dir+":ro")
		}
	}
	// Folders on the way are mounted too: systemd 247 makes them with the unit's umask, and nobody gets through.
	for i, dir := range own {
		for p := path.Dir(dir); below(p, slices.Concat(shared, homes)) && !slices.Contains(own, p) && !below(p, own); p = path.Dir(p) {
			emptied = append(emptied, p+":ro")
		}
		if i >= len(writable) && below(dir, shared) {
			readable = append(readable, dir)
		}
	}
	slices.Sort(emptied)
	emptied = slices.Compact(emptied)
	var ports []string
	for _, port := range p.Ports {
		if port < 1 || port > 65535 {
			return fail(fmt.Errorf("%d is not a port", port))
		}
		ports = append(ports, "tcp:"+strconv.Itoa(port))
	}
	t, err := template.New("unit").Parse(unitText)
	if err != nil {
		return fail(err)
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Cluster":   p.Cluster,
		"Member":    p.Member,
		"User":      p.User,
		"ExecStart": strings.Join(p.Argv(), " "),
		"Formed":    strings.Join(p.FormedArgv(), " "),
		"Writable":  strings.Join(writable, " "),
		// Data below a home is bound in again.
		"AtHome":     slices.ContainsFunc(homes, inside),
		"Emptied":    strings.Join(emptied, " "),
		"Readable":   strings.Join(readable, " "),
		"Executable": strings.Join(executable, " "),
		"Ports":      ports,
	})
	if err != nil {
		return fail(err)
	}
	return b.Bytes(), nil
}

// Supervised renders the JSON service file for a host without a service
// manager. The delays are those of the systemd unit.
func Supervised(p UnitParams) ([]byte, error) {
	fail := func(err error) ([]byte, error) {
		return nil, fmt.Errorf("cannot write the service file of member %q: %w", p.Member, err)
	}
	if err := p.check(); err != nil {
		return fail(err)
	}
	if err := absolutes([]hostPath{{"log file", p.LogFile, false}, {"pid file", p.PIDFile, false}, {"state file", p.StateFile, false}}); err != nil {
		return fail(err)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(node.Service{
		Argv:           p.Argv(),
		FormedArgv:     p.FormedArgv(),
		Env:            p.Env,
		Dir:            p.DataDir,
		LogFile:        p.LogFile,
		PIDFile:        p.PIDFile,
		StateFile:      p.StateFile,
		RestartDelayMS: 1000,
		StopTimeoutMS:  60000,
	})
	if err != nil {
		return fail(err)
	}
	return b.Bytes(), nil
}

// names refuses what cannot stand in a unit's description.
func names(cluster, member string) error {
	var errs []error
	for _, t := range []struct{ what, text string }{{"cluster name", cluster}, {"member name", member}} {
		if t.text == "" || strings.Contains(t.text, "%") {
			errs = append(errs, fmt.Errorf("%s %q cannot stand in a unit", t.what, t.text))
		} else if err := oneLine(t.what, t.text); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (p UnitParams) check() error {
	return errors.Join(names(p.Cluster, p.Member), absolutes([]hostPath{
		{"binary", p.Binary, false}, {"configuration file", p.ConfigFile, false}, {"data directory", p.DataDir, false},
		{"bootstrap file", p.BootstrapFile, true}, {"mark", p.MarkFile, true}, {"WAL directory", p.WALDir, true}, {"WAL files", p.WALFiles, true}, {"etcd binary", p.Etcd, true},
	}))
}

// word refuses what systemd would take for syntax: quotes, spaces, specifiers (%), variables ($).
func word(what, s string) error {
	if s == "" {
		return fmt.Errorf("%s is missing", what)
	}
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("/._-+@:=", r):
		default:
			return fmt.Errorf("%s %q contains %q, which a systemd unit would take for syntax: use letters, digits and / . _ - + @ : = only", what, s, r)
		}
	}
	return nil
}

// within reports whether p is dir or below it; both are clean absolute paths.
func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}
