package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens anew")

// The stories are testdata/*.txt: recorded events, a line of four dashes, and
// what the summary makes of them with its verdict as the last line.
func TestStories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			events, want, _ := strings.Cut(string(b), "----\n")
			var out bytes.Buffer
			s := newSummary(&out)
			if err := s.read(strings.NewReader(events)); err != nil {
				t.Fatal(err)
			}
			verdict := "verdict: failed\n"
			if s.report([]string{"without the race detector: no C compiler here"}) {
				verdict = "verdict: well\n"
			}
			got := out.String() + verdict
			if *update {
				if err := os.WriteFile(f, []byte(events+"----\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("summary (-want +got):\n%s", diff)
			}
		})
	}
}
