package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"quorate/provision/world"
)

// world gathers what the adapters to the outside want to know.
func (p *process) world(run string) (world.Environment, error) {
	cache, err := p.cacheDir()
	if err != nil {
		return world.Environment{}, err
	}
	exe, err := os.Executable()
	if err != nil {
		return world.Environment{}, fmt.Errorf("cannot find out where quorate itself is: %w", err)
	}
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		exe = real
	}
	e := world.Environment{
		Home: p.env("HOME"), User: p.user(), Hostname: hostname(), AuthSock: p.env("SSH_AUTH_SOCK"), Env: p.lookup,
		CacheDir: cache, Executable: exe, Run: run, Clock: p.now, HTTP: &http.Client{Timeout: 30 * time.Minute}, Filter: &p.filter,
	}
	if p.askSecret != nil {
		e.Prompt = p.prompt
	}
	return e, nil
}

// cacheDir is where things are kept that can be had again.
func (p *process) cacheDir() (string, error) {
	base := p.env("XDG_CACHE_HOME")
	home := p.env("HOME")
	switch {
	case base != "" && filepath.IsAbs(base):
	case home == "":
		return "", errors.New("cannot find a folder for the cache: set HOME or XDG_CACHE_HOME")
	case runtime.GOOS == "darwin":
		base = filepath.Join(home, "Library", "Caches")
	default:
		base = filepath.Join(home, ".cache")
	}
	return filepath.Join(base, "quorate"), nil
}

func (p *process) user() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return p.env("USER")
}

func hostname() string {
	h, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return strings.ToLower(h)
}

// runID names a run: its second, the 4096th part of that in three digits, and three at random. So ids sort by time, also
// those of runs that follow each other within a second: which was the latest is decided by them.
func (p *process) runID() string {
	now := p.now().UTC()
	return fmt.Sprintf("%s-%03x%s", now.Format("20060102T150405Z"), int64(now.Nanosecond())*4096/int64(time.Second), random(2)[1:])
}

// random is n random bytes, hex.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: it ends the process instead
	return hex.EncodeToString(b)
}
