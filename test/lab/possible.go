package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// tools are the programs the lab runs, with the Debian package each is in.
var tools = []struct{ program, pkg string }{
	{"chroot", "coreutils"},
	{"ip", "iproute2"},
	{"mmdebstrap", "mmdebstrap"},
	{"nsenter", "util-linux"},
	{"ssh", "openssh-client"},
	{"systemd-nspawn", "systemd-container"},
}

// Possible says why this machine cannot run a lab, or nil. It changes nothing.
func Possible() error {
	if err := capable(); err != nil {
		return err
	}
	if pkgs := missingPackages(); len(pkgs) > 0 {
		return fmt.Errorf("the lab needs programs that are not here; on Debian or Ubuntu: apt-get install %s", strings.Join(pkgs, " "))
	}
	return nil
}

// capable asks what no package can mend.
func capable() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the lab needs Linux, this is %s", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return errors.New("the lab needs root")
	}
	if err := tryNamespaces(); err != nil {
		return fmt.Errorf("the lab needs the right to make mounts and network namespaces: %w", err)
	}
	if err := tryCgroups(); err != nil {
		return fmt.Errorf("the lab needs control groups that it can write to: %w", err)
	}
	b, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return err
	}
	if !slices.Contains(strings.Fields(string(b)), "overlay") {
		// It may be a module that is not loaded yet; modprobe says whether it can be.
		if err := exec.Command("modprobe", "overlay").Run(); err != nil {
			return errors.New("the lab needs overlayfs, which this kernel does not have")
		}
	}
	return nil
}

func missingPackages() []string {
	var pkgs []string
	for _, t := range tools {
		if _, err := exec.LookPath(t.program); err != nil {
			pkgs = append(pkgs, t.pkg)
		}
	}
	return pkgs
}

// Prepare installs what the lab lacks, where apt-get can, and builds the
// hosts' root if it is not in the cache. Afterwards a lab boots in seconds.
func Prepare(ctx context.Context, o Options) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	if err := capable(); err != nil {
		return err
	}
	if pkgs := missingPackages(); len(pkgs) > 0 {
		if err := Install(ctx, pkgs, o.Log); err != nil {
			return err
		}
	}
	if err := Possible(); err != nil {
		return err
	}
	_, err = image(ctx, o)
	return err
}

// Install runs apt-get for Debian packages, without touching the machine's package lists first if they suffice.
func Install(ctx context.Context, pkgs []string, log io.Writer) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("cannot install %s: no apt-get here; install them by hand", strings.Join(pkgs, " "))
	}
	fmt.Fprintf(log, "installing %s\n", strings.Join(pkgs, " "))
	apt := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot install %s: apt-get: %w\n%s", strings.Join(pkgs, " "), err, tail(string(out), 20))
		}
		return nil
	}
	args := append([]string{"install", "--yes", "--no-install-recommends"}, pkgs...)
	if apt(args...) == nil {
		return nil
	}
	if err := apt("update"); err != nil {
		return err
	}
	return apt(args...)
}
