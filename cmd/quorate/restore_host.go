package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/plan/spec"
)

// hostFile is a file on a host: HOST:/PATH, as scp names it.
type hostFile struct{ host, path string }

// onHost takes a word apart that means a file on a host. One that names something on this side, or has a slash before its
// colon, means none.
func onHost(word string) (f hostFile, ok bool) {
	f.host, f.path, ok = strings.Cut(word, ":")
	if !ok || f.host == "" || strings.ContainsRune(f.host, filepath.Separator) {
		return hostFile{}, false
	}
	_, err := os.Lstat(word)
	return f, err != nil
}

// check the host's name and the form of the path.
func (f hostFile) check(c *spec.Cluster) error {
	switch names := machineNames(c); {
	case c.Machine(f.host) == nil:
		return badUsage("cluster %q has no host %q; it has %s", c.Name, f.host, view.List(names))
	case !path.IsAbs(f.path):
		return badUsage("name the file on host %q by its whole path: %[1]s:/PATH", f.host)
	}
	return nil
}

// machineNames are the names by which a file's host is meant: the members', and those of host blocks.
func machineNames(c *spec.Cluster) []string {
	out := memberNames(c)
	for _, h := range c.Hosts {
		out = append(out, h.Name)
	}
	return out
}

// copy brings the file into the restore's own folder, which goes when the verb ends: it holds all keys and values.
func (r *restoring) copy(ctx context.Context, f hostFile) (string, error) {
	to := filepath.Join(r.dir, "fetched")
	w := r.p.beginTask(fmt.Sprintf("fetch %s from %s", f.path, f.host), f.host, r.JSON, r.view)
	size := int64(0)
	err := r.job.session.Copy(ctx, f.host, f.path, to, func(got, total int64) {
		size = total
		w.moves("fetching", got, total)
	})
	return to, w.end(humanize.IBytes(uint64(size)), err)
}

// completeSnapshots has the shell complete to backups on this side, to files, and to hosts, whose files are not looked for.
func completeSnapshots(p *process, o *specOptions) cobra.CompletionFunc {
	backups := completeBackups(p, o)
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		out, how := backups(cmd, args, word)
		l, err := readSpec(p, *o)
		if err != nil || l.spec == nil || len(args) > 0 {
			return out, how
		}
		if c, err := l.one(o.Cluster); err == nil && word != "" {
			for _, n := range machineNames(c) {
				if at := n + ":/"; strings.HasPrefix(at, word) {
					out, how = append(out, at), how|cobra.ShellCompDirectiveNoSpace
				}
			}
		}
		return out, how
	}
}
