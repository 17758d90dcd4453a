package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"quorate/test/lab"
)

// fresh brings a cluster of three up on hosts that were just made, by quorate
// and by the shell script in turn. Quorate's cache is emptied before each
// round, so that its time includes compressing the binary; a second series
// keeps the cache, as every cluster after the first finds it.
func fresh(ctx context.Context, s *stage) ([]Result, error) {
	if err := s.install(ctx, "openssl", "openssl"); err != nil {
		return nil, err
	}
	if err := s.install(ctx, "curl", "curl"); err != nil {
		return nil, err
	}
	cold := func(int) (float64, error) {
		if err := s.forget(); err != nil {
			return 0, err
		}
		return s.freshQuorate(ctx)
	}
	script := func(int) (float64, error) { return s.freshShell(ctx) }
	if _, err := alternate(1, cold, script); err != nil { // page cache, linker, first overlay
		return nil, err
	}
	// Many rounds: the first election takes between a third of a second and two,
	// by chance, on either side.
	p, err := alternate(s.turns(15), cold, script)
	if err != nil {
		return nil, err
	}
	warm, err := alternate(s.turns(5), func(int) (float64, error) { return s.freshQuorate(ctx) }, script)
	if err != nil {
		return nil, err
	}
	r := against(p.ours, p.theirs)
	r.Work, r.Limit = "fresh 3-member TLS cluster, 3 hosts, cold: quorate apply ÷ hand-tuned parallel shell script", 1.2
	w := against(warm.ours, warm.theirs)
	r.Notes = []string{
		spread("quorate", p.ours, "s"), spread("script", p.theirs, "s"),
		fmt.Sprintf("with the binary's compressed form cached from an earlier run: %s (%s–%s); %s", figure(w.Measured, "×"), number(w.Low), number(w.High), spread("quorate", warm.ours, "s")),
	}
	return []Result{r}, nil
}

// freshQuorate resets the hosts and applies; the time is that of the apply.
func (s *stage) freshQuorate(ctx context.Context) (float64, error) {
	if err := s.reset(ctx); err != nil {
		return 0, err
	}
	dir, err := s.spec("")
	if err != nil {
		return 0, err
	}
	took, err := s.quorate(ctx, dir, "apply", "-y")
	s.logf("quorate %.2f s", took)
	return took, err
}

// freshShell resets the hosts and runs the script.
func (s *stage) freshShell(ctx context.Context) (float64, error) {
	if err := s.reset(ctx); err != nil {
		return 0, err
	}
	took, _, err := s.shellCluster(ctx, nil)
	s.logf("script  %.2f s", took)
	return took, err
}

// shellCluster runs the script for the first three hosts, and stages one more for later if it is given. work is
// where the script's keys and certificates are.
func (s *stage) shellCluster(ctx context.Context, staged *lab.Host) (took float64, work string, err error) {
	if work, err = os.MkdirTemp(s.op.Home(), "shell-"); err != nil {
		return 0, "", err
	}
	args := []string{filepath.Join(s.root, "test/bench/shell/fresh.sh"), s.op.SSHConfig(), s.bin("kvserver"), work}
	for _, h := range s.lab.Hosts()[:3] {
		args = append(args, h.Name()+"="+h.Addr())
	}
	cmd := s.op.Command(ctx, "sh", args...)
	if staged != nil {
		cmd.Env = append(cmd.Env, "STAGED="+staged.Name()+"="+staged.Addr())
	}
	took, err = timed(cmd)
	return took, work, err
}
