package lab

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
)

// Options says what to boot. The zero value is three hosts named etcd1, etcd2
// and etcd3 on one network.
type Options struct {
	// Hosts is how many; 0 means 3.
	Hosts int
	// Bastion puts the hosts on a second network that the operator cannot
	// reach, and adds a host named "bastion" that is on both.
	Bastion bool
	// Packages are Debian packages to have in the hosts' root beside the
	// usual ones; each set of packages is a root of its own, built once.
	Packages []string
	// Detached lets the lab outlive this process, until [Lab.Close] by another one.
	Detached bool
	// Cache is the folder for roots and overlays; empty means $QUORATE_LAB_CACHE,
	// else /var/cache/quorate-lab.
	Cache string
	// Log receives a line per stage with its time; nil discards them.
	Log io.Writer
}

// The address plan: the operator is .1, the bastion .10, hosts count from .11
// on each of the networks 198.18.0.0/24 (the operator's) and 198.18.1.0/24
// (behind the bastion).
const (
	operatorAddr = "198.18.0.1"
	bastionLast  = 10
	firstLast    = 11
	maxHosts     = 100
	bastionName  = "bastion"
)

func address(network, last int) string { return fmt.Sprintf("198.18.%d.%d", network, last) }

func (o Options) withDefaults() (Options, error) {
	if o.Hosts == 0 {
		o.Hosts = 3
	}
	if o.Hosts < 0 || o.Hosts > maxHosts {
		return o, fmt.Errorf("cannot boot %d hosts: from 1 to %d are possible", o.Hosts, maxHosts)
	}
	if o.Cache == "" {
		o.Cache = DefaultCache()
	}
	dir, err := filepath.Abs(o.Cache)
	if err != nil {
		return o, fmt.Errorf("cannot use lab cache %q: %w", o.Cache, err)
	}
	// The path becomes part of overlay mount options, where these separate.
	if regexp.MustCompile(`[,:\\\s"]`).MatchString(dir) {
		return o, fmt.Errorf("cannot use lab cache %q: the path must not hold commas, colons, quotes, backslashes or spaces", dir)
	}
	o.Cache = dir
	if o.Log == nil {
		o.Log = io.Discard
	}
	return o, nil
}

// DefaultCache is $QUORATE_LAB_CACHE, else /var/cache/quorate-lab.
func DefaultCache() string {
	if dir := os.Getenv("QUORATE_LAB_CACHE"); dir != "" {
		return dir
	}
	return "/var/cache/quorate-lab"
}
