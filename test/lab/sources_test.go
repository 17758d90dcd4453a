package lab

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSourcesKeepTheReleaseAndNothingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string]string{
		"sources.list": "# a comment\ndeb http://mirror.example/debian trixie main contrib\n" +
			"deb-src http://mirror.example/debian trixie main\n" +
			"deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian trixie-updates main\n" +
			"deb http://other.example/apt stable main\n",
		"sources.list.d/tool.list": "deb http://tool.example/linux trixie stable\n",
		"sources.list.d/debian.sources": "Types: deb\n# why\nURIs: http://mirror.example/debian\nSuites: trixie\n trixie-updates\nComponents: main\n\n" +
			"Types: deb\nURIs: http://off.example/debian\nSuites: trixie\nComponents: main\nEnabled: no\n\n" +
			"Types: deb-src\nURIs: http://src.example/debian\nSuites: trixie\nComponents: main\n",
		"sources.list.d/old.save": "deb http://old.example/debian trixie main\n",
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := aptSources(dir, "trixie")
	if err != nil {
		t.Fatal(err)
	}
	want := []source{
		{".list", "deb http://mirror.example/debian trixie main contrib\ndeb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian trixie-updates main\n"},
		{".sources", "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\n trixie-updates\nComponents: main\n\n"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(source{})); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}

func TestReleaseCodename(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"NAME=x\nVERSION_CODENAME=bookworm\n":   "bookworm",
		"VERSION_CODENAME=\"noble\"\nID=ubuntu": "noble",
		"NAME=Arch\n":                           "",
	} {
		if got := releaseCodename(text); got != want {
			t.Errorf("releaseCodename(%q) = %q, want %q", text, got, want)
		}
	}
}
