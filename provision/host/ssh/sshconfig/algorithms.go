package sshconfig

import (
	"slices"
	"strings"
)

// Algorithms is what a list of ssh_config makes of the defaults: "+" appends,
// "-" removes, "^" puts in front, and anything else replaces them. Names may be
// patterns. Only those in all are in the result, which is empty if there are none.
func Algorithms(list string, defaults, all []string) []string {
	names := strings.Split(strings.TrimLeft(list, "+-^"), ",")
	switch list[:min(1, len(list))] {
	case "":
		return defaults
	case "-":
		return slices.DeleteFunc(slices.Clone(defaults), func(a string) bool { return matchList(a, list[1:]) })
	case "+":
		names = append(slices.Clone(defaults), names...)
	case "^":
		names = append(names, defaults...)
	}
	var out []string
	for _, n := range names {
		for _, a := range all {
			if matchPattern(a, n) && !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}
