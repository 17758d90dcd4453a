package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// event is a line of `go test -json`; see `go doc test2json` and `go help buildjson`.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build events
	Test        string
	Output      string
	Elapsed     float64 // seconds
	FailedBuild string
}

// result is what became of a test or a package.
type result struct {
	pkg, test string
	output    []string
	outcome   string // pass, fail, skip; "" while it runs
	elapsed   time.Duration
}

type summary struct {
	out      io.Writer
	tests    map[[2]string]*result // by package and test
	packages map[string]*result
	builds   map[string][]string // output of the compiler by import path
	order    []*result           // tests in the order of their end
	pkgOrder []*result
	stray    []string // lines that are no events: of a go command that gave up
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, tests: map[[2]string]*result{}, packages: map[string]*result{}, builds: map[string][]string{}}
}

// read takes in all events and prints a line for each package that ends.
func (s *summary) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			s.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) line(line string) {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Action == "" {
		s.stray = append(s.stray, line)
		return
	}
	switch e.Action {
	case "build-output":
		s.builds[e.ImportPath] = append(s.builds[e.ImportPath], e.Output)
		return
	case "build-fail":
		return // the packages that needed it say so
	}
	r := s.of(e)
	switch e.Action {
	case "output":
		r.output = append(r.output, e.Output)
	case "pass", "fail", "skip":
		r.outcome, r.elapsed = e.Action, time.Duration(e.Elapsed*float64(time.Second))
		if e.Test != "" {
			s.order = append(s.order, r)
			return
		}
		if e.FailedBuild != "" {
			r.output = append(r.output, s.builds[e.FailedBuild]...)
		}
		s.packageLine(r)
	}
}

func (s *summary) of(e event) *result {
	if e.Test == "" {
		r := s.packages[e.Package]
		if r == nil {
			r = &result{pkg: e.Package}
			s.packages[e.Package] = r
			s.pkgOrder = append(s.pkgOrder, r)
		}
		return r
	}
	k := [2]string{e.Package, e.Test}
	r := s.tests[k]
	if r == nil {
		r = &result{pkg: e.Package, test: e.Test}
		s.tests[k] = r
	}
	return r
}

// count counts the tests of a package, or of all for "". A test with subtests
// counts as one more.
func (s *summary) count(pkg, outcome string) int {
	n := 0
	for _, r := range s.order {
		if (pkg == "" || r.pkg == pkg) && r.outcome == outcome {
			n++
		}
	}
	return n
}

func (s *summary) packageLine(r *result) {
	word := map[string]string{"pass": "ok", "fail": "FAIL", "skip": "-"}[r.outcome]
	counts := fmt.Sprintf("%d passed", s.count(r.pkg, "pass"))
	for _, outcome := range []string{"fail", "skip"} {
		if n := s.count(r.pkg, outcome); n > 0 {
			counts += fmt.Sprintf(", %d %s", n, map[string]string{"fail": "failed", "skip": "skipped"}[outcome])
		}
	}
	if r.outcome == "skip" {
		counts = "no tests"
	}
	fmt.Fprintf(s.out, "%-4s  %-44s  %6.1fs  %s\n", word, r.pkg, r.elapsed.Seconds(), counts)
}

// report prints the rest and says whether all is well.
func (s *summary) report(notes []string) bool {
	s.reportUnfinished()
	failed := s.reportFailed()
	s.reportSkipped()
	for _, n := range notes {
		fmt.Fprintln(s.out, "note:", n)
	}
	if len(s.stray) > 0 && (failed || len(s.packages) == 0) {
		fmt.Fprintf(s.out, "\nthe go command said:\n%s", strings.Join(s.stray, ""))
	}
	fmt.Fprintf(s.out, "\n%d passed, %d failed, %d skipped", s.count("", "pass"), s.count("", "fail"), s.count("", "skip"))
	if broken := s.brokenPackages(); broken > 0 {
		fmt.Fprintf(s.out, "; packages that did not build or did not end: %d", broken)
	}
	fmt.Fprintln(s.out)
	if len(s.packages) == 0 {
		fmt.Fprintln(s.out, "nothing was tested")
		return false
	}
	return !failed
}

// reportUnfinished gives tests and packages without an end (their process
// died, or the stream was cut) the outcome they deserve.
func (s *summary) reportUnfinished() {
	for _, r := range s.tests {
		if r.outcome == "" {
			r.outcome = "fail"
			r.output = append(r.output, "(it did not end)\n")
			s.order = append(s.order, r)
		}
	}
	for _, r := range s.pkgOrder {
		if r.outcome == "" {
			r.outcome = "fail"
			r.output = append(r.output, "(it did not end)\n")
			s.packageLine(r)
		}
	}
}

// brokenPackages counts those that failed without any failed test.
func (s *summary) brokenPackages() int {
	n := 0
	for _, r := range s.pkgOrder {
		if r.outcome == "fail" && s.count(r.pkg, "fail") == 0 {
			n++
		}
	}
	return n
}

func (s *summary) reportFailed() bool {
	var failed []*result
	for _, r := range s.order {
		if r.outcome == "fail" {
			failed = append(failed, r)
		}
	}
	for _, p := range s.pkgOrder {
		// A package's own output tells of a panic, a data race or a compiler's complaint.
		if p.outcome == "fail" {
			failed = append(failed, p)
		}
	}
	slices.SortStableFunc(failed, func(a, b *result) int {
		return strings.Compare(a.pkg+"\x00"+a.test, b.pkg+"\x00"+b.test)
	})
	for _, r := range failed {
		text := strings.Join(r.output, "")
		if r.test == "" && s.count(r.pkg, "fail") > 0 && onlyVerdict(text) {
			continue // its tests have said it all
		}
		fmt.Fprintf(s.out, "\nFAILED %s %s\n%s", r.pkg, r.test, text)
	}
	return len(failed) > 0
}

// onlyVerdict says whether a failed package printed nothing but its verdict.
func onlyVerdict(text string) bool {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && line != "FAIL" && !strings.HasPrefix(line, "FAIL\t") && !strings.HasPrefix(line, "coverage:") && !strings.HasPrefix(line, "exit status") {
			return false
		}
	}
	return true
}

// reportSkipped lists reasons with the tests that gave them.
func (s *summary) reportSkipped() {
	byReason := map[string][]string{}
	for _, r := range s.order {
		if r.outcome == "skip" {
			why := reason(r.output)
			byReason[why] = append(byReason[why], r.pkg+"."+r.test)
		}
	}
	if len(byReason) == 0 {
		fmt.Fprintln(s.out, "\nskipped: nothing")
		return
	}
	fmt.Fprintln(s.out, "\nskipped:")
	for _, why := range slices.Sorted(maps.Keys(byReason)) {
		names := byReason[why]
		slices.Sort(names)
		fmt.Fprintf(s.out, "  %s\n", why)
		for _, n := range names {
			fmt.Fprintf(s.out, "    %s\n", n)
		}
	}
}

var position = regexp.MustCompile(`^\s*[\w.-]+\.go:\d+: `)

// reason is the last thing a skipped test said, without its place in the source.
func reason(output []string) string {
	var words []string
	for line := range strings.Lines(strings.Join(output, "")) {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "=== ") || strings.HasPrefix(trimmed, "--- ") {
			continue
		}
		if position.MatchString(line) {
			words = nil // another message begins
		}
		words = append(words, strings.TrimSpace(position.ReplaceAllString(line, "")))
	}
	if len(words) == 0 {
		return "no reason given"
	}
	return strings.Join(words, " ")
}
