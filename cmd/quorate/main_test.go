package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"quorate/kvserver/release"
	"quorate/kvserver/servertest"
)

// TestMain lets this binary be quorate as well, when it is called so.
func TestMain(m *testing.M) { testscript.Main(tidy{m}, map[string]func(){"quorate": main}) }

// tidy removes what the tests share once they have run.
type tidy struct{ m *testing.M }

func (t tidy) Run() int {
	defer func() {
		if shared.dir != "" {
			_ = os.RemoveAll(shared.dir)
		}
	}()
	return t.m.Run()
}

// TestScript runs the stories in testdata/script: each is a session of an
// operator, and can be judged without reading Go.
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, scripts(t, "testdata/script"))
}

// scripts are the stories in a folder.
func scripts(t *testing.T, dir string) testscript.Params {
	bin := binFolder(t)
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: false,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, ".home"))
			e.Setenv("NO_COLOR", "1")
			e.Setenv("KVSERVER", bin)
			ports, err := freePorts(6)
			if err != nil {
				return err
			}
			for i, p := range ports {
				e.Setenv(fmt.Sprintf("PORT%d", i+1), fmt.Sprint(p))
			}
			e.Defer(func() { killLeft(t, e.WorkDir) })
			return os.MkdirAll(filepath.Join(e.WorkDir, ".home"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"lock":    cmdLock,
			"replace": cmdReplace,
			"mode":    cmdMode,
			"code":    cmdCode,
			"crash":   cmdCrash,
			"corrupt": cmdCorrupt,
			"copy":    cmdCopy,
			"cached":  cmdCached,
			"note":    cmdNote,
			"until":   cmdUntil,
		},
	}
}

// shared is the folder with the real programs, built once for a run of tests.
var shared struct {
	once sync.Once
	dir  string
	err  error
}

// binFolder builds quorate and kvserver.
func binFolder(t *testing.T) string {
	t.Helper()
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "quorate-test-bin-"); shared.err != nil {
			return
		}
		// As make build does it: the build cache then serves both.
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", shared.dir+"/", "quorate/cmd/kvserver", "quorate/cmd/quorate")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			shared.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if shared.err != nil {
		t.Fatalf("cannot build the programs: %v", shared.err)
	}
	return shared.dir
}

// peerOffset is from a client port to its peer port in the stories.
const peerOffset = 5000

// freePorts finds ports that nobody listens on, nor on those peerOffset above
// them, below the range from which the system takes those of outgoing connections.
func freePorts(n int) ([]int, error) {
	var out []int
	for range 1000 {
		p := 20000 + rand.IntN(peerOffset)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			continue
		}
		defer l.Close() // all are held until all are found
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p+peerOffset)); err != nil {
			continue
		}
		defer l.Close()
		if out = append(out, p); len(out) == n {
			return out, nil
		}
	}
	return nil, errors.New("no free ports")
}

// killLeft ends the processes of clusters that a failed story left behind, by
// the pids in their own state files.
func killLeft(t *testing.T, dir string) { _ = killAll(dir, t.Logf) }

// killAll kills the members whose state files lie below dir, and their supervisors first.
func killAll(dir string, log func(format string, args ...any)) error {
	return eachProcess(dir, func(pid int) {
		log("killing %d", pid)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	})
}

// eachProcess gives those that run of the members whose state files lie below dir, a supervisor before what it watches.
func eachProcess(dir string, each func(pid int)) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "state.json" {
			return nil
		}
		var state struct {
			SupervisorPID int `json:"supervisor_pid"`
			PID           int `json:"pid"`
		}
		if b, err := os.ReadFile(path); err == nil && json.Unmarshal(b, &state) == nil {
			for _, pid := range []int{state.SupervisorPID, state.PID} {
				exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
				if name := filepath.Base(exe); pid > 1 && err == nil && (strings.Contains(exe, "kvserver") || strings.HasPrefix(name, "etcd")) {
					each(pid)
				}
			}
		}
		return nil
	})
}

// processes of the members below dir, which all run.
func processes(t *testing.T, dir string) []int {
	t.Helper()
	var out []int
	if err := eachProcess(dir, func(pid int) { out = append(out, pid) }); err != nil || len(out) == 0 {
		t.Fatalf("nothing runs below %s: %v", dir, err)
	}
	return out
}

// cmdLock takes another run's lock: lock FILE HOLDER.
func cmdLock(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: lock FILE HOLDER")
	}
	path := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	ts.Check(err)
	ts.Check(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	b, err := json.Marshal(map[string]string{"who": args[1], "from": "", "run": "20260101T000000Z-abcdef", "verb": "apply", "since": time.Unix(0, 0).UTC().Format(time.RFC3339)})
	ts.Check(err)
	_, err = f.Write(append(b, '\n'))
	ts.Check(err)
	ts.Defer(func() { f.Close() })
}

// cmdCrash kills the local members below a folder, as a power cut would: crash DIR.
func cmdCrash(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: crash DIR")
	}
	killed := 0
	ts.Check(killAll(ts.MkAbs(args[0]), func(string, ...any) { killed++ }))
	if killed == 0 {
		ts.Fatalf("nothing runs below %s", args[0])
	}
}

// cmdCorrupt changes a value in the data of a member that does not run: corrupt DATADIR OLD NEW.
func cmdCorrupt(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: corrupt DATADIR OLD NEW")
	}
	ts.Check(servertest.Corrupt(ts.MkAbs(args[0]), args[1], args[2]))
}

// cmdCopy copies the only folder below one to a name: copy DIR NAME.
func cmdCopy(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: copy DIR NAME")
	}
	below, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(below) != 1 {
		ts.Fatalf("%s has %d entries", args[0], len(below))
	}
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), os.DirFS(filepath.Join(ts.MkAbs(args[0]), below[0].Name()))))
}

// cmdCached fetches a release of etcd into the cache; SUM is then its sha256, and CACHED the folder: cached FILE.
func cmdCached(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: cached FILE")
	}
	cache := filepath.Join(ts.Getenv("HOME"), ".cache", "quorate", "etcd")
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(ts.ReadFile(args[0]))))
	got, err := (&release.Fetcher{Cache: cache}).Fetch(context.Background(), release.Source{URL: args[0], SHA256: sum}, runtime.GOOS, runtime.GOARCH, nil)
	ts.Check(err)
	ts.Setenv("SUM", sum)
	ts.Setenv("CACHED", filepath.Dir(got.Path))
}

// cmdNote writes the sha256 of a file beside it: note FILE.
func cmdNote(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: note FILE")
	}
	path := ts.MkAbs(args[0])
	ts.Check(os.WriteFile(path+".sha256", fmt.Appendf(nil, "%x\n", sha256.Sum256([]byte(ts.ReadFile(path)))), 0o600))
}

// cmdUntil runs a command until it works: until COMMAND….
func cmdUntil(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 1 {
		ts.Fatalf("usage: until COMMAND…")
	}
	var err error
	for range 20 { // each of etcdctl's own tries takes up to five seconds
		if err = ts.Exec(args[0], args[1:]...); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Check(err)
}

// cmdReplace edits a file: replace FILE OLD NEW.
func cmdReplace(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], args[2])), 0o644))
}

// cmdMode checks permission bits: mode FILE 0600.
func cmdMode(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: mode FILE OCTAL")
	}
	st, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", st.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has mode %s, not %s", args[0], got, args[1])
	}
}

// cmdCode runs a command and checks its exit code: code N COMMAND….
func cmdCode(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND…")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if want := args[0]; fmt.Sprint(got) != want {
		ts.Fatalf("exit code is %d, not %s", got, want)
	}
}
