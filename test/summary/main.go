// Command summary reads what `go test -json` prints and tells a person how it
// went: a line per package as it ends, then the full output of what failed,
// what was skipped and why, and a closing line with the totals. It ends with 1
// if anything failed, did not build, or nothing ran at all.
//
//	go test -json ./... | go run ./test/summary
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	var notes list
	flag.Var(&notes, "note", "a line to repeat at the end, for what the caller left out and why (may be given often)")
	flag.Parse()
	s := newSummary(os.Stdout)
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "summary: cannot read the test events:", err)
		os.Exit(1)
	}
	if !s.report(notes) {
		os.Exit(1)
	}
}

// list is a flag that may be given often; empty values are dropped.
type list []string

func (l *list) String() string { return fmt.Sprint(*l) }

func (l *list) Set(s string) error {
	if s != "" {
		*l = append(*l, s)
	}
	return nil
}
