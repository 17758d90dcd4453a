package templates

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"text/template"
	"time"
)

// BackupParams is how one host takes backups of its member by itself: see [BackupService] and [BackupTimer].
type BackupParams struct {
	Cluster string
	Member  string
	Binary  string // kvserver on the host
	// ConfigFile is what it reads, as kvserver.BackupPlan has it. It is in the folder that has the member's certificates too.
	ConfigFile string
	// Unit is the member's, Service the one that takes backups.
	Unit, Service string
	// Dir is where backups are kept, TextfileDir where the numbers for the node exporter go; that may be empty. The first is there.
	Dir, TextfileDir string
	Interval         time.Duration
}

//go:embed backup.service.tmpl
var backupServiceText string

//go:embed backup.timer.tmpl
var backupTimerText string

// BackupService renders the unit that takes one backup and ends. It runs as root, whose the folder of backups is, with no
// right but to read the keys, which are the member's; with a TextfileDir, which may be another account's, also to write there. It sees the
// file system read-only but for these folders, and executes kvserver only. Exposure by `systemd-analyze security` is 1.8:
// what is left is being root (0.4), the network (0.5 + 0.3 + 0.2), no namespace of users, in which root could not read
// what is another account's (0.2), and the rights named (0.2).
func BackupService(p BackupParams) ([]byte, error) {
	return p.render("service", backupServiceText)
}

// BackupTimer renders the timer of [BackupService]: the first time soon after it was started, which is also at each boot, then once an
// interval. A tenth of the interval at most is added at random, so that the hosts of many clusters do not all begin
// together. Both count from when the machine runs, so a change of its clock calls nobody.
func BackupTimer(p BackupParams) ([]byte, error) {
	return p.render("timer", backupTimerText)
}

// firstBackup is how long after its start a timer calls at the latest, but for what is random: an apply that makes a cluster has
// brought it up by then, and so has a boot.
const firstBackup = 15 * time.Minute

func (p BackupParams) render(what, text string) ([]byte, error) {
	fail := func(err error) ([]byte, error) {
		return nil, fmt.Errorf("cannot write the %s for backups of member %q: %w", what, p.Member, err)
	}
	errs := []error{
		names(p.Cluster, p.Member),
		absolutes([]hostPath{{"binary", p.Binary, false}, {"configuration file", p.ConfigFile, false}, {"folder of backups", p.Dir, false}, {"folder of the node exporter", p.TextfileDir, true}}),
	}
	writable := []string{p.Dir}
	if p.TextfileDir != "" {
		writable = append(writable, p.TextfileDir)
	}
	for _, w := range append([]string{p.Binary, p.ConfigFile, p.Unit, p.Service}, writable...) {
		errs = append(errs, word("path", w))
	}
	if p.Interval < 10*time.Second {
		errs = append(errs, fmt.Errorf("%s is no interval of backups", p.Interval))
	}
	if err := errors.Join(errs...); err != nil {
		return fail(err)
	}
	t, err := template.New(what).Parse(text)
	if err != nil {
		return fail(err)
	}
	sandboxed := slices.Clone(writable)
	if p.TextfileDir != "" {
		sandboxed[1] = "-" + p.TextfileDir // where it is not there, kvserver says so, and takes the backup all the same
	}
	tenth := p.Interval / 10
	var b bytes.Buffer
	err = t.Execute(&b, struct {
		BackupParams
		Writable, Executable      string
		AtHome                    bool
		Every, First, Tenth, Half string
	}{
		p, strings.Join(sandboxed, " "), path.Dir(p.Binary), slices.ContainsFunc(writable, atHome),
		seconds(p.Interval), seconds(min(tenth, firstBackup)), seconds(tenth), seconds(p.Interval / 2),
	})
	if err != nil {
		return fail(err)
	}
	return b.Bytes(), nil
}

// seconds is a duration as systemd reads it, to the second.
func seconds(d time.Duration) string { return fmt.Sprintf("%ds", int64(d/time.Second)) }

// atHome reports whether ProtectHome would hide a folder.
func atHome(dir string) bool {
	return slices.ContainsFunc(homes, func(home string) bool { return within(dir, home) })
}
