package plan

import (
	"strings"

	"github.com/pmezard/go-difflib/difflib"
)

// diff is the unified diff of one file, with three lines of context.
func diff(path, before, after string, existed bool) string {
	from := path
	if !existed {
		from = "/dev/null"
	}
	d := difflib.UnifiedDiff{A: lines(before), B: lines(after), FromFile: from, ToFile: path, Context: 3}
	s, err := difflib.GetUnifiedDiffString(d)
	if err != nil { // only a failing writer gives one; a buffer does not fail
		panic(err)
	}
	return s
}

func lines(s string) []string {
	out := strings.SplitAfter(s, "\n")
	if last := len(out) - 1; out[last] == "" {
		return out[:last]
	}
	out[len(out)-1] += "\n" // the missing last newline is not worth a line of its own
	return out
}

// Diff is the unified diff of a file that is there, with three lines of context; "" if nothing differs.
func Diff(path, before, after string) string { return diff(path, before, after, true) }
