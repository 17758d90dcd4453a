package templates

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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

//go:embed unit.service.tmpl
var unitText string

// Unit renders the hardened systemd unit, for systemd 247 and newer. The
// member runs as its own account without capabilities, sees the file system
// read-only but for its data, and is ready only once it serves. Exposure by
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
	for _, arg := range slices.Concat(p.Argv(), p.FormedArgv()) {
		if err := word("path", arg); err != nil {
			return fail(err)
		}
	}
	writable := []string{p.DataDir}
	if p.WALDir != "" && !within(p.WALDir, p.DataDir) {
		writable = append(writable, p.WALDir)
	}
	var hidden []string
	for _, dir := range writable {
		if err := word("path", dir); err != nil {
			return fail(err)
		}
		for _, home := range []string{"/home", "/root", "/run/user", "/tmp", "/var/tmp"} {
			if within(dir, home) {
				hidden = append(hidden, dir)
				break
			}
		}
	}
	t, err := template.New("unit").Parse(unitText)
	if err != nil {
		return fail(err)
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]string{
		"Cluster":   p.Cluster,
		"Member":    p.Member,
		"User":      p.User,
		"ExecStart": strings.Join(p.Argv(), " "),
		"Formed":    strings.Join(p.FormedArgv(), " "),
		"Writable":  strings.Join(writable, " "),
		// Data under a folder that the unit hides is bound in again.
		"Hidden": strings.Join(hidden, " "),
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
	for _, t := range []struct{ what, path string }{{"log file", p.LogFile}, {"pid file", p.PIDFile}, {"state file", p.StateFile}} {
		if err := absolute(t.what, t.path); err != nil {
			return fail(err)
		}
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

func (p UnitParams) check() error {
	var errs []error
	for _, t := range []struct{ what, text string }{{"cluster name", p.Cluster}, {"member name", p.Member}} {
		if t.text == "" || strings.Contains(t.text, "%") {
			errs = append(errs, fmt.Errorf("%s %q cannot stand in a unit", t.what, t.text))
		} else if err := oneLine(t.what, t.text); err != nil {
			errs = append(errs, err)
		}
	}
	for _, t := range []struct {
		what, path string
		optional   bool
	}{
		{"binary", p.Binary, false}, {"configuration file", p.ConfigFile, false}, {"data directory", p.DataDir, false},
		{"bootstrap file", p.BootstrapFile, true}, {"mark", p.MarkFile, true}, {"WAL directory", p.WALDir, true}, {"WAL files", p.WALFiles, true}, {"etcd binary", p.Etcd, true},
	} {
		if t.path == "" && t.optional {
			continue
		}
		if err := absolute(t.what, t.path); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
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
