package plan

import "github.com/pmezard/go-difflib/difflib"

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
	if s == "" {
		return nil
	}
	return difflib.SplitLines(s)
}
