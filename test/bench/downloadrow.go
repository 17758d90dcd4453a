package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"quorate/provision/host"
	"quorate/provision/host/ssh"
	"quorate/test/lab"
)

// downloadSize is that of the file of the row, in bytes; nothing in it compresses.
const downloadSize = 1_000_000_000

// download brings a file from a host, as root and as a user with sudo, beside OpenSSH's sftp; neither keeps it. The cipher
// is the one that both programs take by themselves.
func download(ctx context.Context, s *stage) ([]Result, error) {
	const file = "/srv/download"
	h := s.lab.Host(0)
	if out, err := h.Shell(ctx, "head -c "+strconv.Itoa(downloadSize)+" /dev/urandom >"+file+"; chmod 644 "+file); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	sftp := func(int) (float64, error) {
		return timed(s.op.Command(ctx, "sftp", "-q", "-F", s.op.SSHConfig(), "-o", "BatchMode=yes", "root@"+h.Addr()+":"+file, os.DevNull))
	}
	var out []Result
	for _, user := range []string{"root", lab.UserSudo} {
		p, err := alternate(s.turns(3), func(int) (float64, error) { return s.download(ctx, user, h, file) }, sftp)
		if err != nil {
			return out, err
		}
		r := against(p.ours, p.theirs)
		r.Work, r.Limit = "download of 1 GB from a host, user "+user+": quorate's ÷ OpenSSH's sftp as root, logins included", 1.2
		r.Notes = []string{spread("quorate's", p.ours, "s"), spread("sftp", p.theirs, "s")}
		out = append(out, r)
	}
	return out, nil
}

// download brings a file once, by a login of its own.
func (s *stage) download(ctx context.Context, user string, h *lab.Host, file string) (float64, error) {
	began := time.Now()
	conn, err := ssh.Dial(ctx, ssh.Config{
		Name: h.Name(), Host: h.Addr(), User: user, Sudo: "auto", SSHConfig: "none", Home: s.op.Home(),
		IdentityFile: []string{s.op.Key()}, KnownHostsFile: s.op.KnownHosts(), Dialer: s.lab.DialContext,
	})
	if err != nil {
		return 0, err
	}
	session := ssh.New(conn)
	defer session.Close()
	if _, err := session.Download(ctx, host.Download{Path: file, To: io.Discard}); err != nil {
		return 0, err
	}
	return time.Since(began).Seconds(), nil
}
