package lab

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

//go:embed script/customize.sh
var customizeScript string

// basePackages make a host that an operator would recognise: an init system,
// a login, a bus for systemctl, sudo. All else that the hosts' scripts use
// (coreutils, gzip, util-linux) is in every Debian root.
var basePackages = []string{"systemd", "systemd-sysv", "openssh-server", "dbus", "iproute2", "sudo"}

// recipe is everything that decides what a root holds.
type recipe struct {
	codename string
	packages []string
	sources  []source
	options  []string // apt.conf lines, for a proxy
}

// newRecipe reads the machine's own release and package sources; no mirror is
// named here.
func newRecipe(ctx context.Context, extra []string) (recipe, error) {
	b, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return recipe{}, fmt.Errorf("cannot tell this machine's release: %w", err)
	}
	r := recipe{codename: releaseCodename(string(b)), packages: slices.Concat(basePackages, extra)}
	if r.codename == "" {
		return recipe{}, fmt.Errorf("cannot tell this machine's release: no VERSION_CODENAME in /etc/os-release")
	}
	slices.Sort(r.packages)
	r.packages = slices.Compact(r.packages)
	if r.sources, err = aptSources("/etc/apt", r.codename); err != nil {
		return recipe{}, err
	}
	r.options = aptProxies(ctx)
	return r, nil
}

func (r recipe) digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "2\x00%s\x00%s\x00%q\x00%q\x00", runtime.GOARCH, r.codename, r.packages, customizeScript)
	for _, s := range r.sources {
		fmt.Fprintf(h, "%q\x00", s.text)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// image returns the folder of the root for these packages, and builds it
// first if this recipe was not built before. Afterwards the folder is whole:
// it appears by a rename. Labs on top of it must not write to it.
func image(ctx context.Context, o Options) (string, error) {
	r, err := newRecipe(ctx, o.Packages)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(o.Cache, "images")
	root := filepath.Join(dir, r.digest())
	now := time.Now()
	if err := os.Chtimes(root, now, now); err == nil { // it is there, and in use
		return root, nil
	}
	lock, err := lockCache(dir, ".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if _, err := os.Stat(root); err == nil {
		return root, nil // another one built it meanwhile
	}
	begin := time.Now()
	fmt.Fprintf(o.Log, "building a %s root (once)\n", r.codename)
	if err := r.build(ctx, dir, root); err != nil {
		return "", err
	}
	fmt.Fprintf(o.Log, "built %s in %.1fs\n", root, time.Since(begin).Seconds())
	return root, prune(dir, root)
}

// keepUnused is how long a root stays that nobody asked for: switching between
// branches with different recipes should not build anew each time.
const keepUnused = 30 * 24 * time.Hour

// prune removes old roots, other than the one just built. Called under the cache's lock.
func prune(dir, keep string) error {
	roots, err := filepath.Glob(filepath.Join(dir, "[^.]*"))
	if err != nil {
		return err
	}
	for _, r := range roots {
		info, err := os.Lstat(r)
		if err != nil || r == keep || !info.IsDir() || time.Since(info.ModTime()) < keepUnused {
			continue
		}
		if used, err := lowerOfMount(r); used || err != nil {
			continue // by a detached lab that is older still, or we cannot tell
		}
		if err := removeTree(r); err != nil {
			return err
		}
	}
	return nil
}

// build makes the root under dir and renames it to target. Called under the cache's lock.
func (r recipe) build(ctx context.Context, dir, target string) error {
	left, err := filepath.Glob(filepath.Join(dir, "*.part"))
	if err != nil {
		return err
	}
	for _, p := range left { // of a builder that was killed: nobody else is here
		if err := removeTree(p); err != nil {
			return err
		}
	}
	part := target + ".part"
	if err := os.Mkdir(part, 0o755); err != nil {
		return fmt.Errorf("cannot build lab root: %w", err)
	}
	defer removeTree(part)
	hook := filepath.Join(part, "customize.sh")
	if err := os.WriteFile(hook, []byte(customizeScript), 0o600); err != nil {
		return fmt.Errorf("cannot build lab root: %w", err)
	}
	root := filepath.Join(part, "root")
	args := []string{"--mode=root", "--variant=minbase", "--format=directory",
		"--include=" + strings.Join(r.packages, ","), "--customize-hook=sh " + hook + ` "$1"`}
	for _, opt := range r.options {
		args = append(args, "--aptopt="+opt)
	}
	args = append(args, r.codename, root)
	for i, s := range r.sources {
		file := filepath.Join(part, fmt.Sprintf("%d%s", i, s.ext))
		if err := os.WriteFile(file, []byte(s.text), 0o644); err != nil {
			return fmt.Errorf("cannot build lab root: %w", err)
		}
		args = append(args, file)
	}
	cmd := exec.CommandContext(ctx, "mmdebstrap", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build lab root: mmdebstrap: %w\n%s", err, tail(string(out), 20))
	}
	return os.Rename(root, target)
}

// removeTree deletes dir after taking off whatever is mounted in it: a builder
// that was killed may have left /dev and /proc of this machine in there.
func removeTree(dir string) error {
	if err := unmountBelow(dir); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("cannot remove %q: %w", dir, err)
	}
	return nil
}

func tail(s string, lines int) string {
	l := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(l[max(0, len(l)-lines):], "\n")
}
