// Package world is the composition room: it joins the ports of package
// provision with their adapters for one cluster, as the spec says: SSH or this
// machine, the authority on cfssl, etcd's client, binaries on disk or from a
// release. It decides nothing and does nothing by itself; every adapter is a
// small file here.
package world

import (
	"net/http"
	"path/filepath"
	"time"

	"quorate/plan/spec"
	"quorate/provision"
	"quorate/provision/host"
	"quorate/provision/redact"
)

// Environment is what the adapters want to know of the operator's machine.
// Nothing here reads it from anywhere else.
type Environment struct {
	// User and Hostname say who we are, to those who find a lock taken.
	User, Hostname string
	// Home is where ~ is; AuthSock the SSH agent's socket, "" for none.
	Home, AuthSock string
	// Env looks up what ssh_config asks of the environment; nil has nothing.
	Env func(name string) (string, bool)
	// CacheDir keeps what can be had again: compressed binaries, releases, digests.
	CacheDir string
	// Executable is the quorate binary; the servers are looked for beside it.
	Executable string
	// Run is the id of this run.
	Run string
	// Runs is the folder of the journals; "" keeps none.
	Runs string
	// Reads says that hosts are only looked at: connections prepare for less.
	Reads bool
	// Prompt asks the operator for a secret; fresh asks for a new one, twice.
	// Nil when nobody is there.
	Prompt func(question string, fresh bool) (string, error)
	Clock  func() time.Time
	// Filter stands before the journal; nil knows no secrets.
	Filter *redact.Filter
	// HTTP fetches releases.
	HTTP *http.Client
}

// New composes the world of one cluster. It touches nothing yet.
func New(c *spec.Cluster, e Environment) (provision.World, error) {
	e.Prompt = remember(e.Prompt)
	stamps := openStamps(filepath.Join(e.CacheDir, "stamps"), c)
	return provision.World{
		Connect:   connector(c, e),
		Authority: newAuthority(c, e),
		Binaries:  newBinaries(c, e),
		Admin:     newAdmin,
		Clock:     e.Clock,
		Holder:    host.Holder{Who: e.User + "@" + e.Hostname, Run: e.Run},
		Runs:      e.Runs,
		Filter:    e.Filter,
		Stamps:    stamps,
	}, nil
}

// within resolves a path of the spec.
func within(c *spec.Cluster, path string) string {
	path = filepath.FromSlash(path)
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.FromSlash(c.Dir), path)
}
