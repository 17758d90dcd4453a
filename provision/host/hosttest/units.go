package hosttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"quorate/provision/host"
)

const unitDir = "/etc/systemd/system"

// Program is what a unit runs. It is called, outside the machine's lock, when
// the unit starts, fills in the process, and returns at once; an error is a
// process that exits with code 1 and has that message, of one line or many, in its
// log. Such a unit is failed; if its manager restarts it (Restart= in its file, or
// a supervised one), it waits for that, and is tried again whenever somebody looks.
type Program func(p *Process) error

// FailsWith is a program that cannot start, and says so with this log.
func FailsWith(log string) Program { return func(*Process) error { return errors.New(log) } }

// Process is one life of a unit.
type Process struct {
	Machine *Machine
	Unit    string
	// File is the unit file as the manager read it, Argv its command.
	File []byte
	Argv []string
	// Exe and ExeDigest are the executable's at the start.
	Exe, ExeDigest string

	// ConfigDigest is what the process carries in its environment.
	ConfigDigest string
	// Ports are those it listens on while it lives.
	Ports []int
	// Ready says whether it serves; nil is yes. It is asked again whenever
	// something changes on the machine and every millisecond, outside the machine's lock.
	Ready func() bool
	// Ends says whether it ends when somebody stops it; nil is yes. Until it does the unit is deactivating, and it
	// is asked again as Ready is.
	Ends func() bool
	// OnStop is called, outside the machine's lock, when the process ends, for whatever reason.
	OnStop func()

	pid     int
	started time.Time
}

type unit struct {
	loaded  []byte // the unit file as last read, nil: not in memory
	stamp   string // its stamp then
	enabled bool
	proc    *Process
	ready   bool
	ending  bool // it was stopped, and its process is still there
	failed  bool
	again   bool // its process failed, and the manager will start it once more
	exits   int  // since it was last started on request
	result  string
	status  int
	since   time.Time
	was     string // active, when since was noted
	log     []string
}

func (u *unit) active() string {
	switch {
	case u.proc != nil && u.ending:
		return "deactivating"
	case u.proc != nil && u.ready:
		return "active"
	case u.proc != nil, u.again:
		return "activating"
	case u.failed:
		return "failed"
	}
	return "inactive"
}

func (u *unit) sub() string {
	if u.again {
		return "auto-restart"
	}
	return map[string]string{"active": "running", "activating": "start", "failed": "failed", "inactive": "dead", "deactivating": "stop-sigterm"}[u.active()]
}

// Program sets what a unit runs: by the unit's name, or "" for every unit
// without a program of its own. A unit without any starts and is ready.
func (m *Machine) Program(unit string, p Program) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.programs[unit] = p
}

// Mask makes the unit's file a link to /dev/null, as an administrator does who
// wants it never to start.
func (m *Machine) Mask(name string) { m.Link(m.unitPath(name), "/dev/null") }

// DropIn puts a file beside the unit's own that changes it.
func (m *Machine) DropIn(unit, name, content string) {
	m.WriteFile(path.Join(unitDir, unit+".d", name), []byte(content), 0o644)
}

// Crash ends a unit's process as kill -9 would; the unit is failed.
func (m *Machine) Crash(name string) { m.end(name, true) }

// Exit ends a unit's process with success and by itself; what is restarted on failure stays down.
func (m *Machine) Exit(name string) { m.end(name, false) }

// Reboot ends all processes and sessions, then starts the enabled units,
// without waiting for them.
func (m *Machine) Reboot() {
	m.mu.Lock()
	names := slices.Sorted(maps.Keys(m.units))
	m.mu.Unlock()
	m.dropSessions()
	for _, name := range names {
		m.end(name, false)
		m.mu.Lock()
		u := m.units[name]
		u.loaded, u.failed, u.again = nil, false, false
		enabled := u.enabled
		m.mu.Unlock()
		if enabled {
			_ = m.start(name)
		}
	}
}

// Unit tells a unit's state, as a look would.
func (m *Machine) Unit(name string) host.UnitState {
	m.refresh(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.unitState(name)
}

func (m *Machine) unitPath(name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(unitDir, name)
}

func (m *Machine) unit(name string) *unit {
	u := m.units[name]
	if u == nil {
		u = &unit{}
		m.units[name] = u
	}
	return u
}

// unitState describes a unit; the caller holds mu and has called refresh.
func (m *Machine) unitState(name string) host.UnitState {
	file := m.files[m.unitPath(name)]
	u := m.units[name]
	if u == nil {
		u = &unit{}
	}
	s := host.UnitState{
		Loaded: file != nil || u.loaded != nil, Active: u.active(), Sub: u.sub(), Enabled: u.enabled,
		NeedReload: m.facts.Manager == "systemd" && u.loaded != nil && (file == nil || file.stamp() != u.stamp),
	}
	s.Masked = file != nil && file.link == "/dev/null"
	s.Result, s.ExitStatus = u.result, u.status
	s.Restarts = u.exits
	if u.again {
		s.Restarts-- // the restart is still to come
	}
	if u.was != s.Active {
		u.was, u.since = s.Active, m.clock()
	}
	s.Since = u.since
	if m.facts.Manager == "supervise" {
		s.Enabled = s.Loaded && !s.Masked // as the local adapter has it: nothing starts a unit but a run
	} else {
		for _, p := range m.below(path.Join(unitDir, name+".d")) {
			if path.Ext(p) == ".conf" {
				s.DropIns = append(s.DropIns, p)
			}
		}
	}
	if s.Active == "failed" || s.Active == "activating" {
		host.ReadLog(&s, strings.Join(u.log, "\n"))
	}
	if p := u.proc; p != nil {
		s.PID, s.StartedAt, s.Exe, s.ExeDigest, s.ConfigDigest = p.pid, p.started, p.Exe, p.ExeDigest, p.ConfigDigest
	}
	return s
}

// refresh asks the process whether it is ready by now, or starts it once more.
func (m *Machine) refresh(name string) {
	m.mu.Lock()
	u := m.units[name]
	if u != nil && u.again {
		m.mu.Unlock()
		m.run(name)
		return
	}
	if u != nil && u.proc != nil && u.ending {
		p := u.proc
		m.mu.Unlock()
		if p.Ends() {
			m.end(name, false)
		}
		return
	}
	if u == nil || u.proc == nil || u.ready {
		m.mu.Unlock()
		return
	}
	p := u.proc
	m.mu.Unlock()
	ready := p.Ready == nil || p.Ready()
	m.mu.Lock()
	if u.proc == p && ready && !u.ready {
		u.ready = true
		m.broadcast()
	}
	m.mu.Unlock()
}

// load reads the unit file unless the manager holds it already: systemd keeps
// units in memory while they are enabled or run, and reads others afresh.
func (m *Machine) load(name string) error {
	u, file := m.unit(name), m.files[m.unitPath(name)]
	if u.loaded != nil && m.facts.Manager == "systemd" && (u.enabled || u.proc != nil) {
		return nil
	}
	if file == nil || file.dir {
		return fmt.Errorf("unit %s not found", name)
	}
	if file.link != "" {
		return fmt.Errorf("unit %s is masked", name)
	}
	u.loaded, u.stamp = slices.Clone(file.content), file.stamp()
	return nil
}

// reload is daemon-reload: units in memory are read again.
func (m *Machine) reload() {
	for name, u := range m.units {
		file := m.files[m.unitPath(name)]
		if file == nil {
			if u.proc == nil {
				u.loaded, u.stamp = nil, ""
			}
			continue
		}
		u.loaded, u.stamp = slices.Clone(file.content), file.stamp()
	}
}

// start runs the unit's program because somebody asked for it. A unit that
// runs already is left alone.
func (m *Machine) start(name string) error {
	m.mu.Lock()
	if err := m.load(name); err != nil {
		m.mu.Unlock()
		return err
	}
	u := m.units[name]
	u.exits = 0
	if u.proc == nil {
		u.again = false
		u.log = append(u.log, "Starting "+name+"...")
	}
	m.mu.Unlock()
	m.run(name)
	return nil
}

// run is one start of a unit's program, unless it runs.
func (m *Machine) run(name string) {
	m.mu.Lock()
	u := m.units[name]
	if u.proc != nil {
		m.mu.Unlock()
		return
	}
	if u.again {
		u.log = append(u.log, fmt.Sprintf("%s: Scheduled restart job, restart counter is at %d.", path.Base(name), u.exits), "Starting "+name+"...")
		u.again = false
	}
	m.pid++
	p := &Process{Machine: m, Unit: name, File: u.loaded, Argv: execStart(u.loaded), pid: m.pid, started: m.clock()}
	u.failed, u.ready = false, false
	if len(p.Argv) > 0 {
		p.Exe = p.Argv[0]
		exe := m.files[path.Clean(p.Exe)]
		if exe == nil || exe.mode&0o111 == 0 {
			m.fail(name, 203, fmt.Sprintf("%s: Failed to locate executable %s: No such file or directory", path.Base(name), p.Exe))
			m.broadcast()
			m.mu.Unlock()
			return
		}
		p.ExeDigest = exe.digest()
	}
	program := m.programs[name]
	if program == nil && path.Ext(name) != ".timer" { // which has no process
		program = m.programs[""]
	}
	m.mu.Unlock()

	var failure error
	if program != nil {
		failure = program(p)
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.broadcast()
	if failure == nil {
		for _, port := range p.Ports {
			if len(m.listeners[port]) > 0 {
				failure = fmt.Errorf("listen tcp :%d: bind: address already in use", port)
			}
		}
	}
	if failure != nil {
		m.fail(name, 1, failure.Error())
		return
	}
	for _, port := range p.Ports {
		m.listen(port, host.PortListener{Address: "::", PID: p.pid, Process: path.Base(p.Exe)})
	}
	u.proc, u.ready = p, p.Ready == nil
}

// fail is the end of a process that failed at its start.
func (m *Machine) fail(name string, code int, log string) {
	u := m.units[name]
	u.log = append(append(u.log, strings.Split(log, "\n")...),
		fmt.Sprintf("%s: Main process exited, code=exited, status=%d", path.Base(name), code))
	u.log = u.log[max(0, len(u.log)-500):]
	u.result, u.status = "exit-code", code
	u.exits++
	if u.again = m.facts.Manager == "supervise" || restarts(u.loaded); !u.again {
		u.failed = true
		u.exits = 0
	}
}

// restarts reports whether a unit file has its process started again when it fails.
func restarts(file []byte) bool {
	for line := range strings.Lines(string(file)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "Restart="); ok {
			return v != "no" && v != ""
		}
	}
	return false
}

// end stops a unit's process; failed says how it is left.
func (m *Machine) end(name string, failed bool) {
	m.mu.Lock()
	u := m.units[name]
	if u == nil || u.proc == nil {
		if u != nil && !failed {
			u.failed, u.again = false, false
			m.broadcast()
		}
		m.mu.Unlock()
		return
	}
	p := u.proc
	for _, port := range p.Ports {
		delete(m.listeners, port)
	}
	u.proc, u.ready, u.ending, u.failed = nil, false, false, failed
	u.result, u.status = "success", 0
	if failed {
		u.result, u.status = "signal", 9
		u.log = append(u.log, path.Base(name)+": Main process exited, code=killed, status=9/KILL")
	}
	m.broadcast()
	m.mu.Unlock()
	if p.OnStop != nil {
		p.OnStop()
	}
}

// stop has a unit's process end, and waits for it no longer than that.
func (m *Machine) stop(ctx context.Context, name string, wait time.Duration) (timedOut bool, err error) {
	m.mu.Lock()
	u := m.units[name]
	if u != nil && u.proc != nil && u.proc.Ends != nil {
		u.ending = true
	}
	ends := u == nil || !u.ending
	deadline := time.NewTimer(min(wait, m.patience))
	m.mu.Unlock()
	defer deadline.Stop()
	if ends {
		m.end(name, false)
		return false, nil
	}
	for {
		m.refresh(name)
		if m.Unit(name).Active != "deactivating" {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-deadline.C:
			return true, nil
		case <-time.After(time.Millisecond):
		}
	}
}

// Started is what runs as a unit's main process: the path that it was started by, by its number.
func (m *Machine) Started() map[int]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[int]string{}
	for _, u := range m.units {
		if u.proc != nil {
			out[u.proc.pid] = u.proc.Exe
		}
	}
	return out
}

// await waits until a started unit is active or failed, or has failed too often, or time is up.
func (m *Machine) await(ctx context.Context, name string, wait time.Duration, tell func(host.UnitState)) (timedOut bool, err error) {
	m.mu.Lock()
	limit := min(wait, m.patience)
	m.mu.Unlock()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	var last host.UnitState
	for first := true; ; first = false {
		if !first { // the start was the first try
			m.refresh(name)
		}
		m.mu.Lock()
		u, change := m.units[name], m.change
		done := u.active() != "activating" || u.exits >= host.MaxExits
		s := m.unitState(name)
		m.mu.Unlock()
		s = host.UnitState{Loaded: s.Loaded, Active: s.Active, Sub: s.Sub, Restarts: s.Restarts, PID: s.PID}
		if tell != nil && s.Active == "activating" && (s.Sub != last.Sub || s.Restarts != last.Restarts || s.PID != last.PID) {
			last = s
			tell(s)
		}
		if done {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-deadline.C:
			return true, nil
		case <-change:
		case <-time.After(time.Millisecond):
		}
	}
}

// execStart finds the command of a systemd unit file or a service file.
func execStart(file []byte) []string {
	var service struct{ Argv []string }
	if json.Unmarshal(file, &service) == nil {
		return service.Argv
	}
	for line := range strings.Lines(strings.ReplaceAll(string(file), "\\\n", " ")) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart="); ok {
			return strings.Fields(strings.TrimLeft(command, "-@:+!"))
		}
	}
	return nil
}
