package hosttest

import (
	"context"
	"errors"
	"net"
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
	f := Fixture{Open: func(*testing.T) host.Host { return m.Host() }, Dir: "/opt/suite", Talker: "127.0.0.1:7", ListeningPort: 22}
	m.WriteFile("/bin/good", []byte("good"), 0o755)
	m.WriteFile("/bin/bad", []byte("bad"), 0o755)
	m.WriteFile("/bin/loop", []byte("loop"), 0o755)
	sv := &Services{Wait: time.Second}
	unitFile := func(name, exe string) (string, []byte) {
		return unitDir + "/" + name, []byte("[Service]\nExecStart=" + exe + "\n" + either(exe == "/bin/loop", "Restart=on-failure\n", "") + "[Install]\nWantedBy=multi-user.target\n")
	}
	if m.facts.Root {
		f.Owner, f.Account, sv.Systemd = "nobody:nobody", "suiteacc", true
		sv.Good.Unit, sv.Bad.Unit, sv.Loop.Unit, sv.Hang.Unit = "good.service", "bad.service", "loop.service", "hang.service"
	} else {
		unitFile = func(name, exe string) (string, []byte) { return name, []byte(`{"argv":["` + exe + `"]}`) }
		sv.Good.Unit, sv.Bad.Unit, sv.Loop.Unit, sv.Hang.Unit = "/opt/suite/good.json", "/opt/suite/bad.json", "/opt/suite/loop.json", "/opt/suite/hang.json"
	}
	for _, s := range []struct {
		*Service
		exe string
	}{{&sv.Good, "/bin/good"}, {&sv.Bad, "/bin/bad"}, {&sv.Loop, "/bin/loop"}, {&sv.Hang, "/bin/good"}} {
		name, content := unitFile(s.Unit, s.exe)
		s.Files = []host.File{{Path: name, Mode: 0o644, Content: content}}
		s.Changed = host.File{Path: name, Mode: 0o644, Content: append(content, '\n')}
	}
	m.Program(sv.Bad.Unit, func(*Process) error { return errors.New("bad luck") })
	m.Program(sv.Loop.Unit, FailsWith(LoopLog))
	m.Program(sv.Hang.Unit, func(p *Process) error { p.Ready = func() bool { return false }; return nil })
	f.Services = sv
	return f
}
