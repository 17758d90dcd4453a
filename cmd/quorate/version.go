package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	etcd "go.etcd.io/etcd/api/v3/version"
)

// version is set at link time, as the Makefile does: -ldflags "-X main.version=1.2.3".
// Without it Go's own word of the module counts.
var version string

// VersionOptions of the verb version.
type VersionOptions struct{ outputOptions }

// versionInfo is what `version --json` prints.
type versionInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from a tree with changes of its own
	Etcd     string `json:"etcd"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersionCommand(p *process) *cobra.Command {
	var o VersionOptions
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, and that of the etcd inside",
		Example: "  quorate version\n  quorate version --json",
		Args:    atMost(0),
		RunE:    func(*cobra.Command, []string) error { return runVersion(p, o) },
	}
	o.addJSON(cmd.Flags(), "print it as JSON")
	return cmd
}

func runVersion(p *process, o VersionOptions) error {
	v := versionInfo{Version: "unknown", Etcd: etcd.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if b, ok := debug.ReadBuildInfo(); ok {
		v.Version = b.Main.Version
		for _, s := range b.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Commit = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	if version != "" {
		v.Version = version
	}
	if o.JSON {
		return writeJSON(p.out, v)
	}
	fmt.Fprintf(p.out, "quorate %s\n", v.Version)
	if v.Commit != "" {
		fmt.Fprintf(p.out, "  commit %s\n", v.Commit)
	}
	fmt.Fprintf(p.out, "  etcd %s, %s, %s\n", v.Etcd, v.Go, v.Platform)
	return nil
}
