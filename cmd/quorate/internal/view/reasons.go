package view

import (
	"path"
	"strings"
)

// gather joins reasons that say the same about several paths: "missing below
// /etc/quorate/lab: etcd.yaml, pki". The others stay, all in the order
// in which they came.
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
		p, said := split(r)
		if p == "" || len(paths[said]) < 2 {
			out = append(out, r)
			continue
		}
		if done[said] {
			continue
		}
		done[said] = true
		dir := common(paths[said])
		var names []string
		for _, p := range paths[said] {
			names = append(names, strings.TrimPrefix(strings.TrimPrefix(p, dir), "/"))
		}
		said = strings.TrimPrefix(strings.TrimPrefix(said, "is "), "was ")
		out = append(out, said+" below "+dir+": "+List(names))
	}
	return out
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
