package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"quorate/kvserver"
	"quorate/plan/spec"
	"quorate/provision/world"
)

// stopTime is how long a kvserver that is asked to end may take to remove what it has made.
const stopTime = time.Minute

// prover gives what has the kvserver of this machine restore a snapshot, not packed, beside the file it came from, serve it with nobody
// listening, and compare it with what was read.
func (p *process) prover(ctx context.Context, c *spec.Cluster, path string, tell func(kvserver.BackupLine)) (func(plain string, v *kvserver.Verified) (*kvserver.Proved, error), error) {
	e, err := p.world("")
	if err != nil {
		return nil, err
	}
	kv, err := world.KVServer(c, e)
	if err != nil {
		return nil, fmt.Errorf("cannot prove %s: %w\n  proving starts a server; say where one for this machine is (server: binary), or prove the backup on its host", path, err)
	}
	return func(plain string, v *kvserver.Verified) (*kvserver.Proved, error) {
		args := []string{"prove", "--snapshot", plain, "--work", filepath.Join(filepath.Dir(path), ".prove"),
			"--revision", fmt.Sprint(v.Content.Revision), "--compact-revision", fmt.Sprint(v.Content.CompactRevision), "--hash", fmt.Sprint(v.Hash.Hash)}
		if v.SHA256 == "" {
			args = append(args, "--skip-hash-check")
		}
		return runProve(ctx, kv, args, tell)
	}, nil
}

// runProve runs `kvserver prove`, whose result counts also where it ends with 1 for it.
func runProve(ctx context.Context, kvserverPath string, args []string, tell func(kvserver.BackupLine)) (*kvserver.Proved, error) {
	cmd := exec.CommandContext(ctx, kvserverPath, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopTime
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	var got *kvserver.Proved
	for lines := json.NewDecoder(out); ; {
		var r kvserver.RestoreReport
		if err := lines.Decode(&r); err != nil {
			break
		}
		if r.Progress != nil {
			tell(kvserver.BackupLine{Stage: kvserver.StageProve, Done: r.Progress.Done, Total: r.Progress.Of})
		}
		if r.Proved != nil {
			got = r.Proved
		}
	}
	_, _ = io.Copy(io.Discard, out) // so that it is not held up, whatever it says
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case got != nil:
		return got, nil
	case err == nil:
		err = errors.New("it ended without saying what came of it")
	}
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	return nil, fmt.Errorf("kvserver prove: %w: %s", err, strings.TrimPrefix(lines[len(lines)-1], "kvserver: "))
}
