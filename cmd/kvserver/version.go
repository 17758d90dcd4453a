package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	etcd "go.etcd.io/etcd/api/v3/version"
)

// versions is what `kvserver version --json` prints.
type versions struct {
	Kvserver string `json:"kvserver"`
	Etcd     string `json:"etcd"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Commit   string `json:"commit,omitempty"` // of the source, where the build knew it
}

func versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of kvserver and of the etcd in it",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return printVersions(c.OutOrStdout(), asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printVersions(w io.Writer, asJSON bool) error {
	v := versions{Kvserver: version, Etcd: etcd.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Commit = s.Value
			}
		}
	}
	if asJSON {
		return json.NewEncoder(w).Encode(v)
	}
	_, err := fmt.Fprintf(w, "kvserver %s (etcd %s, %s, %s)\n", v.Kvserver, v.Etcd, v.Go, v.Platform)
	if err == nil && v.Commit != "" {
		_, err = fmt.Fprintf(w, "commit %s\n", v.Commit)
	}
	return err
}
