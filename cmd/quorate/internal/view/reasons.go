package view

import (
	"path"
	"strings"
)

// gather shortens reasons about many paths: "not there yet, below
// /etc/quorate/lab: etcd.yaml, pki", whether they come as one reason or as
// several that say the same. The others stay, all in the order in which they came.
func gather(reasons []string) []string {
	paths := map[string][]string{} // by what is said of them
	for _, r := range reasons {
		if p, said := split(r); p != "" {
			paths[said] = append(paths[said], p)
		}
	}
	var out []string
	done := map[string]bool{}
	for _, r := range reasons {
		if said, list, ok := strings.Cut(r, ": /"); ok {
			if many := strings.Split("/"+list, ", "); len(many) > 1 && !strings.Contains(said, "/") {
				out = append(out, below(said, many))
				continue
			}
		}
		p, said := split(r)
		if p == "" || len(paths[said]) < 2 {
			out = append(out, r)
			continue
		}
		if done[said] {
			continue
		}
		done[said] = true
		out = append(out, below(strings.TrimPrefix(strings.TrimPrefix(said, "is "), "was "), paths[said]))
	}
	return out
}

// below says something of paths under the folder that they share.
func below(said string, paths []string) string {
	dir := common(paths)
	var names []string
	for _, p := range paths {
		names = append(names, strings.TrimPrefix(strings.TrimPrefix(p, dir), "/"))
	}
	return said + ", below " + dir + ": " + List(names)
}

// split takes a reason apart into a path and what is said of it; no path, no parts.
func split(reason string) (p, said string) {
	if !strings.HasPrefix(reason, "/") {
		return "", ""
	}
	p, said, _ = strings.Cut(reason, " ")
	return strings.TrimSuffix(p, ":"), said
}

// common is the folder that all paths lie below.
func common(paths []string) string {
	dir := path.Dir(paths[0])
	for _, p := range paths {
		for dir != "/" && !strings.HasPrefix(p, dir+"/") {
			dir = path.Dir(dir)
		}
	}
	return dir
}
