package hosttest

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"quorate/provision/host"
)

// FakeFixture puts what the [Suite] needs on a fresh machine.
func FakeFixture(m *Machine) Fixture {
	SuiteCommands(m)
	m.SetPatience(time.Minute)
	m.SetFacts(func(f *host.Facts) { f.Addresses = []string{"127.0.0.1", "198.18.0.1", "::1"} })
	m.SetDialer(func(_ context.Context, _, address string) (net.Conn, error) {
		if address != "127.0.0.1:7" {
			return nil, errors.New("connection refused")
		}
		here, there := net.Pipe()
		go func() { _, _ = there.Write([]byte("hello")); there.Close() }()
		return here, nil
	})
	if err := m.Mount("/mnt", NewDisk()); err != nil {
		panic(err) // nothing is mounted there yet
	}
	m.Special("/dev/null", "device")
	f := Fixture{Open: func(*testing.T) host.Host { return m.Host() }, Dir: "/opt/suite", Elsewhere: "/mnt/suite", Talker: "127.0.0.1:7", ListeningPort: 22}
	sv := &Services{Wait: time.Second}
	if m.facts.Root {
		f.Owner, f.Account, sv.Systemd = "nobody:nobody", "suiteacc", true
	}
	for name, s := range map[string]*Service{"good": &sv.Good, "bad": &sv.Bad, "loop": &sv.Loop, "hang": &sv.Hang, "stay": &sv.Stay} {
		exe := "/bin/" + name
		m.WriteFile(exe, []byte(name), 0o755)
		s.Unit = "/opt/suite/" + name + ".json"
		content := []byte(`{"argv":["` + exe + `"]}`)
		if sv.Systemd {
			s.Unit = name + ".service"
			content = []byte("[Service]\nExecStart=" + exe + "\n" + either(name == "loop", "Restart=on-failure\n", "") + "[Install]\nWantedBy=multi-user.target\n")
		}
		file := host.File{Path: m.unitPath(s.Unit), Mode: 0o644, Content: content}
		s.Files = []host.File{file}
		file.Content = append(slices.Clip(content), '\n')
		s.Changed = file
	}
	m.Program(sv.Bad.Unit, FailsWith("bad luck"))
	m.Program(sv.Loop.Unit, FailsWith(LoopLog))
	m.Program(sv.Stay.Unit, func(p *Process) error {
		var stopped time.Time
		p.Ends = func() bool {
			if stopped.IsZero() {
				stopped = time.Now()
			}
			return time.Since(stopped) > 1200*time.Millisecond
		}
		return nil
	})
	m.Program(sv.Hang.Unit, func(p *Process) error { p.Ready = func() bool { return false }; return nil })
	f.Services = sv
	return f
}
