package plan_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/plan/spec"
)

var update = flag.Bool("update", false, "rewrite the stories' plans; read the diff before committing it")

// TestStories: testdata/*.txt, each a spec, what happened, a line of dashes and
// the plan. What happened is one thing a line; see happen.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d stories, %v", len(files), err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			head, want, _ := strings.Cut(string(raw), "\n----\n")
			hcl, observed, ok := strings.Cut(head, "\nobserved\n")
			if !ok {
				t.Fatal("no line says 'observed'")
			}
			_, hcl, ok = strings.Cut(hcl, "spec\n")
			if !ok {
				t.Fatal("no line says 'spec'")
			}
			got := tell(t, hcl, observed)
			if *update {
				if err := os.WriteFile(f, []byte(head+"\n----\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("the plan is another one\n--- want\n%s\n--- got\n%s", want, got)
			}
		})
	}
}

func tell(t *testing.T, hcl, observed string) string {
	w := bare(load(t, hcl))
	opt := options()
	content := &kvserver.SnapshotContent{Revision: 40, Stored: 40, Size: 3 << 20, SizeInUse: 2 << 20, ClusterVersion: "3.7.0", StorageVersion: "3.7.0"}
	var build func(*spec.Cluster, *plan.Observed, plan.Options) (*plan.Plan, error)
	for _, line := range strings.Split(strings.TrimSpace(observed), "\n") {
		words := strings.Fields(strings.SplitN(line, "#", 2)[0])
		switch {
		case len(words) == 0:
		case words[0] == "skip-unreachable":
			opt.SkipUnreachable = true
		case words[0] == "keep-data":
			opt.KeepData = true
		case words[0] == "purge":
			opt.Purge = true
		case words[0] == "accept":
			opt.Accept = append(opt.Accept, plan.Reason(words[1]))
		case words[0] == "edited-from":
			opt.EditedFrom = words[1]
		case words[0] == "destroy":
			build = plan.BuildDestroy
			opt.Forget = len(words) > 1 && words[1] == "forget"
		case recovering(t, w, words), restoring(t, w, content, words), depends(t, w, words):
		case words[0] == "restore" || words[0] == "resume" || words[0] == "undo":
			build = restores(t, w, content, words)
		case words[0] == "recover":
			build = recovers(t, w, content, words[1:])
		case words[0] == "maintain":
			build = maintains(t, w, words[1:])
		default:
			happen(t, w, words)
		}
	}
	if build == nil {
		build = plan.Build
	}
	p, err := build(w.spec, w.obs, opt)
	if err != nil {
		t.Fatal(err)
	}
	if p.Verb == plan.Apply || p.Verb == plan.Destroy {
		sameAgain(t, w, p)
	}
	return w.said + render(p)
}

// sameAgain sees that a plan that was saved and read comes to itself when it is made again.
func sameAgain(t *testing.T, w *world, p *plan.Plan) {
	t.Helper()
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	saved, err := plan.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	again, err := saved.Again(w.spec, w.obs)
	if err != nil {
		t.Fatalf("made again it is another plan: %v", err)
	}
	if c, err := again.Encode(); err != nil || string(b) != string(c) {
		t.Errorf("made again it has other bytes (%v)", err)
	}
}

// render is the plan as a story shows it.
func render(p *plan.Plan) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("%s %s: %s, %s -> %s", p.Verb, p.Cluster, p.Situation, p.Before, p.After)
	for _, s := range p.Steps {
		line("%s", s.ID)
		if q := s.Quorum; q.Touches() {
			line("    voters: %s -> %s -> %s", q.Before, q.During, q.After)
		}
		for _, r := range s.Reasons {
			line("    why: %s", r)
		}
		items(s.Action.Describe(), line)
		detail(s.Action, line)
		if len(s.Needs) > 0 {
			line("    needs: %s", strings.Join(s.Needs, "; "))
		}
	}
	for _, h := range p.Held {
		blocks := ""
		if h.Blocks {
			blocks = " (blocks everything)"
		}
		line("held %s: %s%s\n    %s\n    way out: %s", h.Subject, h.Reason, blocks, h.Detail, h.WayOut)
	}
	for _, n := range p.Notes {
		line("note: %s", n)
	}
	if p.Empty() && len(p.Held) == 0 {
		line("nothing to do")
	}
	return hexDigest.ReplaceAllString(b.String(), "<digest>")
}

// hexDigest is the head of a real digest: it moves with every change of a template, and says nothing to a reader.
var hexDigest = regexp.MustCompile(`\b[0-9a-f]{12}\b`)

// items of a step, those with the same problem in one line.
func items(d plan.Description, line func(string, ...any)) {
	seen := map[plan.Item]bool{}
	for _, i := range d.Items {
		key := plan.Item{Sign: i.Sign, Problem: i.Problem, Note: i.Note}
		if seen[key] {
			continue
		}
		seen[key] = true
		var paths []string
		for _, o := range d.Items {
			if (plan.Item{Sign: o.Sign, Problem: o.Problem, Note: o.Note}) == key {
				paths = append(paths, o.Path)
			}
		}
		line("    %s %s", i.Sign, strings.TrimSpace(strings.Join(paths, " ")+": "+strings.Trim(i.Problem+"; "+strings.TrimSpace(i.Note), "; ")))
	}
	for _, i := range d.Items {
		if i.Diff == "" || strings.HasPrefix(i.Diff, "--- /dev/null") {
			continue
		}
		for l := range strings.Lines(i.Diff) {
			line("    | %s", strings.TrimSuffix(l, "\n"))
		}
	}
}

func detail(a plan.Action, line func(string, ...any)) {
	switch a := a.(type) {
	case *plan.Files:
		if a.Reload {
			line("    reload %s", a.Unit)
		}
		if a.Enable {
			line("    enable %s", a.Unit)
		}
		if a.StartTimer != "" {
			line("    enable and start anew %s", a.StartTimer)
		}
		if a.StopTimer != "" {
			line("    stop and disable %s", a.StopTimer)
		}
	case *plan.Remove:
		if len(a.Stop) > 0 {
			line("    stop and disable %s", strings.Join(a.Stop, " "))
		}
	case *plan.Certificates:
		for _, c := range a.Issue {
			line("    issue %s CN=%s %s", c.Request.Profile, c.Request.CommonName, strings.Join(c.Request.SANs, " "))
		}
	}
}
