package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestKubernetes runs the stories in testdata/kubernetes, in which Kubernetes' own storage code (test/kubernetes) uses the cluster. To build that takes
// three minutes where nothing of it is built yet.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	if os.Getenv("QUORATE_SOAK") == "" {
		t.Skip("only in a soak: QUORATE_SOAK is not set")
	}
	program := filepath.Join(t.TempDir(), "kubernetes")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, ".")
	build.Dir = "../../test/kubernetes"
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build it: %v\n%s", err, out)
	}
	p := scripts(t, "testdata/kubernetes")
	// Each story has its own; they are told apart by their folder.
	p.Cmds["kubernetes"] = func(ts *testscript.TestScript, neg bool, args []string) {
		k, _ := ts.Value(kubernetesKey{}).(*kubernetes)
		if err := k.run(ts, program, args); (err != nil) != neg {
			ts.Fatalf("kubernetes %s: %v", strings.Join(args, " "), err)
		}
	}
	setup := p.Setup
	p.Setup = func(e *testscript.Env) error {
		e.Values[kubernetesKey{}] = &kubernetes{newest: map[string]uint64{}}
		return setup(e)
	}
	testscript.Run(t, p)
}

type kubernetesKey struct{}

// kubernetes is the program while it runs, as test/kubernetes describes it.
type kubernetes struct {
	in  io.Writer
	out *bufio.Scanner
	// seen is the highest version of all that anybody has seen, newest the one of each object that was written last, and past what was
	// written under an older one than seen.
	seen   uint64
	newest map[string]uint64
	past   []string
}

// kubernetesAnswer is what it says to a command.
type kubernetesAnswer struct {
	Error   string
	Version uint64
	Look    map[string]json.RawMessage
}

// kubernetesList is what one of those who list has.
type kubernetesList struct {
	Version uint64
	Objects map[string]struct {
		Value   string
		Version uint64
	}
}

func (k *kubernetes) run(ts *testscript.TestScript, program string, args []string) error {
	if len(args) == 0 {
		return errors.New("no command")
	}
	switch verb, rest := args[0], args[1:]; verb {
	case "start":
		return k.start(ts, program, rest)
	case "put", "delete":
		return k.write(verb, rest)
	case "conflicts": // who writes under the version that it had when it was last written here
		_, err := k.ask(fmt.Sprintf("swap %s %d %s", rest[0], k.newest[rest[0]], rest[1]))
		if err == nil || !strings.Contains(err.Error(), "Precondition failed") {
			return fmt.Errorf("it was not refused for its version: %v", err)
		}
		return nil
	case "sees":
		return k.until(func() error { return k.has(rest, "etcd", "fresh", "any", "reflected") })
	case "etcd":
		return k.until(func() error { return k.has(rest, "etcd") })
	case "fresh":
		return k.has(rest, "fresh")
	case "forward":
		return k.forward()
	}
	return fmt.Errorf("there is no %q", args[0])
}

// start runs it with a client's certificate.
func (k *kubernetes) start(ts *testscript.TestScript, program string, args []string) error {
	var endpoints []string
	for _, port := range []string{"PORT1", "PORT2", "PORT3"} {
		endpoints = append(endpoints, "https://127.0.0.1:"+ts.Getenv(port))
	}
	at := func(name string) string { return filepath.Join(ts.MkAbs(args[0]), name) }
	cmd := exec.Command(program, "--endpoints", strings.Join(endpoints, ","), "--cert", at(args[1]+".pem"), "--key", at(args[1]+"-key.pem"), "--ca", at("ca.pem"))
	log, err := os.Create(ts.MkAbs("kubernetes.log"))
	if err != nil {
		return err
	}
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
	})
	k.in, k.out = in, bufio.NewScanner(out)
	k.out.Buffer(nil, 1<<20)
	return nil
}

// ask gives it one command.
func (k *kubernetes) ask(command string) (a kubernetesAnswer, err error) {
	if _, err := fmt.Fprintln(k.in, command); err != nil {
		return a, err
	}
	if !k.out.Scan() {
		return a, fmt.Errorf("it has ended: %v", k.out.Err())
	}
	if err := json.Unmarshal(k.out.Bytes(), &a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// write repeats what is refused for now, as those who write to an API server do.
func (k *kubernetes) write(verb string, args []string) error {
	return k.until(func() error {
		a, err := k.ask(verb + " " + strings.Join(args, " "))
		if err == nil && verb == "put" {
			if a.Version <= k.seen {
				k.past = append(k.past, fmt.Sprintf("%s was written at %d after %d", args[0], a.Version, k.seen))
			}
			k.seen, k.newest[args[0]] = max(k.seen, a.Version), a.Version
		}
		return err
	})
}

// until asks again until it is so, for a minute at the most: Kubernetes waits up to half of that between two tries.
func (k *kubernetes) until(so func() error) (err error) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = so(); err == nil {
			return nil
		}
	}
	return err
}

// lists are what each has, and what the reflector has seen go backwards.
func (k *kubernetes) lists() (all map[string]kubernetesList, backwards []string, err error) {
	a, err := k.ask("look")
	if err != nil {
		return nil, nil, err
	}
	all = map[string]kubernetesList{}
	for name, text := range a.Look {
		if name == "backwards" {
			err = json.Unmarshal(text, &backwards)
		} else {
			var l kubernetesList
			err = json.Unmarshal(text, &l)
			all[name] = l
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return all, backwards, nil
}

// has is an error unless each of those has exactly what is wanted, NAME=VALUE each.
func (k *kubernetes) has(want []string, who ...string) error {
	all, _, err := k.lists()
	if err != nil {
		return err
	}
	wanted := map[string]string{}
	for _, w := range want {
		name, value, _ := strings.Cut(w, "=")
		wanted[name] = value
	}
	for _, name := range who {
		got := map[string]string{}
		for object, o := range all[name].Objects {
			got[object] = o.Value
		}
		if !maps.Equal(got, wanted) {
			return fmt.Errorf("%s has %v at %d", name, got, all[name].Version)
		}
	}
	return nil
}

// forward is an error if any list is older than what anybody has seen before, if something was written under an older version, or if the reflector
// was given what is older.
func (k *kubernetes) forward() error {
	all, backwards, err := k.lists()
	if err != nil {
		return err
	}
	if past := slices.Concat(k.past, backwards); len(past) > 0 {
		return fmt.Errorf("versions go backwards: %s", strings.Join(past, "; "))
	}
	seen := k.seen
	for name, l := range all {
		if l.Version < k.seen {
			return fmt.Errorf("%s is at %d, and %d was seen before", name, l.Version, k.seen)
		}
		seen = max(seen, l.Version)
	}
	k.seen = seen
	return nil
}
