package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"quorate/test/lab"
)

// backupSize is what the row's database holds, bytes of values that do not compress.
const backupSize = 1 << 30

// backup takes a backup of a database of a gigabyte, from the operator's side with all that belongs to it, beside a bare etcdctl on
// the same host of the same member. Then it is fetched.
func backup(ctx context.Context, s *stage) ([]Result, error) {
	dir, err := s.spec("  client \"app\" {}")
	if err != nil {
		return nil, err
	}
	if _, err := s.quorate(ctx, dir, "apply", "-y"); err != nil {
		return nil, err
	}
	client, err := s.etcdWith(filepath.Join(dir, "pki/lab/clients/app.pem"), filepath.Join(dir, "pki/lab/clients/app-key.pem"), filepath.Join(dir, "pki/lab/clients/ca.pem"))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := fill(ctx, client, backupSize); err != nil {
		return nil, err
	}
	h, err := s.follower(ctx, dir)
	if err != nil {
		return nil, err
	}
	if _, err := timed(s.op.Command(ctx, "scp", "-q", "-F", s.op.SSHConfig(), "-o", "BatchMode=yes", s.bin("etcdctl"), "root@"+h.Addr()+":/root/etcdctl")); err != nil {
		return nil, err
	}
	pki := "/etc/quorate/lab/pki/"
	bare := fmt.Sprintf("/root/etcdctl --endpoints https://%s:2379 --cacert %sca.pem --cert %[2]sclient.pem --key %[2]sclient-key.pem snapshot save /var/backups/bare.db >/dev/null 2>&1 && rm /var/backups/bare.db", h.Addr(), pki)
	var onHost atomic.Int64
	p, err := alternate(s.turns(3), func(int) (float64, error) {
		stop := watchMemory("kvserver", "snapshot", &onHost)
		defer stop()
		took, err := s.quorate(ctx, dir, "backup", "--member", h.Name(), "--fetch=no")
		if err == nil {
			_, err = s.quorate(ctx, dir, "backup", "prune", "--keep", "1", "-y")
		}
		return took, err
	}, func(int) (float64, error) { return timed(s.op.SSH(ctx, h.Addr(), bare)) })
	if err != nil {
		return nil, err
	}
	r := against(p.ours, p.theirs)
	r.Work, r.Limit = "backup of 1 GB that does not compress: quorate backup, verified, hashed and compared ÷ etcdctl snapshot save on the host, logins included", 1.1
	r.Notes = []string{spread("quorate", p.ours, "s"), spread("etcdctl", p.theirs, "s")}
	mb, err := s.peak(ctx, dir, "backup", "fetch", "latest")
	if err != nil {
		return []Result{r}, err
	}
	return []Result{
		r,
		{Work: "peak resident memory of quorate, fetching a backup of 1 GB", Limit: 120, Unit: "MB", Measured: mb, Rounds: 1},
		{Work: "peak memory of kvserver on the host, taking it, without pages of files", Limit: 120, Unit: "MB", Measured: float64(onHost.Load()) / 1e6, Rounds: len(p.ours)},
	}, nil
}

// follower is the host of a member that does not lead.
func (s *stage) follower(ctx context.Context, dir string) (*lab.Host, error) {
	cmd := s.op.Command(ctx, s.bin("quorate"), "member", "list", "--json")
	cmd.Dir = dir
	text, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var list struct {
		Members []struct{ Name, Role string }
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	for _, m := range list.Members {
		for _, h := range s.lab.Hosts() {
			if m.Role == "voter" && h.Name() == m.Name {
				return h, nil
			}
		}
	}
	return nil, fmt.Errorf("nobody follows: %s", text)
}

// watchMemory notes the most anonymous memory that a program with that verb has, here or on any host, which are all on this machine. It is what
// the program itself takes: pages of files that it reads, as a database that is mapped, are given back where memory is wanted.
func watchMemory(program, verb string, most *atomic.Int64) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
			all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, path := range all {
				text, err := os.ReadFile(path)
				if words := strings.Split(string(text), "\x00"); err == nil && len(words) > 1 && words[1] == verb && filepath.Base(words[0]) == program {
					most.Store(max(most.Load(), bytesIn(filepath.Join(filepath.Dir(path), "status"), "RssAnon")))
				}
			}
		}
	}()
	return func() { close(done); <-ended }
}
