package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/kvserver/node"
	"quorate/pki/authority"
	"quorate/plan/spec"
)

// EnvOptions of the verb env.
type EnvOptions struct {
	specOptions
	outputOptions
	Client string
}

func newEnvCommand(p *process) *cobra.Command {
	var o EnvOptions
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print shell exports for etcdctl with a client's certificate",
		Long: `Print the environment that lets etcdctl, and anything else that reads it, talk to
the cluster with the certificate of a client block of the spec. The certificate
is issued by quorate apply. For use without one, see quorate ctl.`,
		Example: `  eval "$(quorate env)" && etcdctl member list
  quorate env --cluster lab --client kube-apiserver --json`,
		Args: atMost(0),
		RunE: func(*cobra.Command, []string) error { return runEnv(p, o) },
	}
	o.specOptions.AddFlags(p, cmd)
	o.addJSON(cmd.Flags(), "print it as JSON")
	addClient(p, cmd, &o.Client, &o.specOptions, "name of the client block, where the cluster has several")
	return cmd
}

func runEnv(p *process, o EnvOptions) error {
	l, err := loadSpec(p, o.specOptions, o.JSON)
	if err != nil {
		return err
	}
	cluster, err := l.one(o.Cluster)
	if err != nil {
		return err
	}
	client, err := oneClient(cluster, o.Client)
	if err != nil {
		return err
	}
	f := clientFiles(l, client)
	for _, path := range []string{f.Cert, f.Key, f.CA} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot use client %q: %s is not there\n  quorate apply issues it", client.Name, path)
		} else if err != nil {
			return fmt.Errorf("cannot use client %q: %w", client.Name, err)
		}
	}
	var endpoints []string
	for _, m := range cluster.Members {
		endpoints = append(endpoints, node.URL("https", m.Address, m.ClientPort))
	}
	vars := []struct{ name, value string }{
		{"ETCDCTL_ENDPOINTS", strings.Join(endpoints, ",")},
		{"ETCDCTL_CACERT", f.CA},
		{"ETCDCTL_CERT", f.Cert},
		{"ETCDCTL_KEY", f.Key},
	}
	if o.JSON {
		doc := map[string]string{}
		for _, v := range vars {
			doc[v.name] = v.value
		}
		return writeJSON(p.out, doc)
	}
	for _, v := range vars {
		fmt.Fprintf(p.out, "export %s=%s\n", v.name, shellQuote(v.value))
	}
	return nil
}

func oneClient(c *spec.Cluster, name string) (*spec.Client, error) {
	here := c.ClientsHere() // those that are installed have their certificates elsewhere
	for _, cl := range here {
		if cl.Name == name || name == "" && len(here) == 1 {
			return cl, nil
		}
	}
	names := view.List(clientNames(c))
	switch {
	case names == "":
		return nil, badUsage("cluster %q has no client block, so there is no certificate to use\n  add one to the spec:  client \"app\" {}  and apply; or use quorate ctl", c.Name)
	case name == "":
		return nil, badUsage("cluster %q has several clients (%s): say which with --client", c.Name, names)
	}
	return nil, badUsage("cluster %q has no client %q; it has %s", c.Name, name, names)
}

// clientFiles is where the certificate of a client block lies.
func clientFiles(l *loaded, c *spec.Client) authority.Files {
	dir := filepath.FromSlash(c.Dir)
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(l.dir, dir)
	}
	return authority.ClientFiles(dir, c.Name)
}

func clientNames(c *spec.Cluster) []string {
	var out []string
	for _, cl := range c.ClientsHere() {
		out = append(out, cl.Name)
	}
	return out
}

// shellQuote makes one word of s for a POSIX shell.
func shellQuote(s string) string {
	plain := s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:,@=+%", r))
	}) < 0
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
