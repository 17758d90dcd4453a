package plan

import (
	"fmt"
	"path"
	"strings"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/templates"
)

// Scheduled reports whether a member's host takes backups by itself: the spec says so, and the host has timers.
func (l Layout) Scheduled() bool { return l.ScheduledDir != "" }

// backupState is a file in the folder of a host that takes backups by itself, which root writes there by name; "" where it takes none.
func (l Layout) backupState() string {
	if !l.Scheduled() {
		return ""
	}
	return path.Join(l.ScheduledDir, "state")
}

// BackupFiles are those of the timer that takes backups, in the order in which they go.
func (l Layout) BackupFiles() []string {
	if l.BackupTimer == "" {
		return nil
	}
	return []string{l.unitFile(l.BackupTimer), l.unitFile(l.BackupService), l.BackupConfig}
}

func (l Layout) unitFile(unit string) string { return path.Join(unitDir, unit) }

// unitDir is where an administrator's units are (systemd.unit(5)).
const unitDir = "/etc/systemd/system"

// backups are the folder and the files of a host that takes backups by itself; none where it does not.
func (b *builder) backups(m *member) ([]WriteFile, error) {
	l, s := m.layout, b.spec.Backup.Schedule
	if !l.Scheduled() {
		return nil, nil
	}
	what := kvserver.ScheduledBackup{
		Format: kvserver.ScheduledFormat, Manifest: l.Manifest, CAName: "ca.pem", Copies: s.Copies, Keep: b.spec.Backup.Keep,
		IntervalSeconds: int64(s.Interval / time.Second), Prove: kvserver.ProveEvery(s.Prove), TextfileDir: s.TextfileDir,
		BackupRequest: kvserver.BackupRequest{
			Dir: l.Backups, Cluster: b.spec.Name, Member: m.Name, Address: node.HostPort(m.Address, m.ClientPort),
			CA: l.CA, Cert: l.Cert("client"), Key: l.Key("client"),
		},
	}
	if dir := b.spec.TLS.Dir; !path.IsAbs(dir) && !strings.HasPrefix(dir, "~") {
		what.CAName = path.Join(dir, "ca.pem")
	}
	if e := b.spec.Backup.Encryption; e != nil {
		what.Recipients = e.Recipients
	}
	config, err := what.Encode()
	if err != nil {
		return nil, err
	}
	p := templates.BackupParams{
		Cluster: b.spec.Name, Member: m.Name, Binary: l.KVServer, ConfigFile: l.BackupConfig, Unit: l.Unit, Service: l.BackupService,
		Dir: l.Backups, TextfileDir: s.TextfileDir, Interval: s.Interval,
	}
	service, err := templates.BackupService(p)
	if err != nil {
		return nil, err
	}
	timer, err := templates.BackupTimer(p)
	if err != nil {
		return nil, err
	}
	root := b.rootOwner(m)
	return []WriteFile{
		{Path: l.Backups, Dir: true, Mode: 0o700, Owner: root},
		{Path: l.BackupConfig, Mode: 0o644, Owner: root, Content: string(config)},
		{Path: l.unitFile(l.BackupService), Mode: 0o644, Owner: root, Content: string(service)},
		{Path: l.unitFile(l.BackupTimer), Mode: 0o644, Owner: root, Content: string(timer)},
	}, nil
}

// timer has the timer of backups started, anew where what it goes by differs, or stopped where no backups are wanted any more.
func (b *builder) timer(m *member, a *Files) (why []string) {
	l, h := m.layout, m.host
	if !l.Scheduled() {
		for _, p := range l.BackupFiles() {
			if h.Files[p].Exists {
				a.Absent = append(a.Absent, p)
				a.StopTimer, a.Reload = l.BackupTimer, true
			}
		}
		return nil
	}
	u := h.BackupTimer
	for _, f := range a.Files {
		if f.Path == l.unitFile(l.BackupTimer) || f.Path == l.unitFile(l.BackupService) {
			a.StartTimer, a.Reload = l.BackupTimer, true
		}
	}
	switch {
	case a.StartTimer != "":
	case !u.Enabled:
		why = append(why, "the timer of backups is not started at boot")
	case u.Active != "active":
		why = append(why, fmt.Sprintf("the timer of backups is %s", u))
	case u.NeedReload:
		a.Reload = true
		why = append(why, "the service manager has not read the timer as it is")
	default:
		return nil
	}
	a.StartTimer = l.BackupTimer
	return why
}

// scheduleNote says of which hosts no backups are taken, although the spec has a schedule.
func (b *builder) scheduleNote() {
	if s := b.spec.Backup.Schedule; s != nil {
		if none := b.those(func(m *member) bool { return local(m.Member) }); len(none) > 0 {
			b.note("%s: a local host has no timers: backups of its member are taken by `quorate backup` only", strings.Join(memberNames(none), ", "))
		}
	}
}
