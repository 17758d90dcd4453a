package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// source is part of the machine's own package sources.
type source struct {
	ext  string // ".list" for one-line style, ".sources" for deb822
	text string
}

// aptSources reads sources.list and sources.list.d below dir and keeps the
// entries that the release itself comes from: binary packages, a suite of
// that codename, component main. A machine without any (not a Debian one)
// gets none, and mmdebstrap's own default then holds.
func aptSources(dir, codename string) ([]source, error) {
	files, err := filepath.Glob(filepath.Join(dir, "sources.list.d", "*"))
	if err != nil {
		return nil, err
	}
	files = append([]string{filepath.Join(dir, "sources.list")}, files...)
	var list []source
	for _, f := range files {
		var keep func(text, codename string) string
		ext := filepath.Ext(f)
		switch ext {
		case ".list":
			keep = keepLines
		case ".sources":
			keep = keepStanzas
		default:
			continue
		}
		b, err := os.ReadFile(f)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read package sources: %w", err)
		}
		if text := keep(string(b), codename); text != "" {
			list = append(list, source{ext, text})
		}
	}
	return list, nil
}

// keepLines filters one-line entries: deb [options] URI SUITE COMPONENT...
func keepLines(text, codename string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		plain := strings.TrimSpace(line)
		if i := strings.IndexByte(plain, '['); i >= 0 {
			j := strings.IndexByte(plain, ']')
			if j < i {
				continue
			}
			plain = plain[:i] + plain[j+1:]
		}
		f := strings.Fields(plain)
		if len(f) < 4 || f[0] != "deb" || !ofRelease(f[2], codename) || !slices.Contains(f[3:], "main") {
			continue
		}
		out.WriteString(strings.TrimSpace(line) + "\n")
	}
	return out.String()
}

// keepStanzas filters deb822 paragraphs.
func keepStanzas(text, codename string) string {
	var out strings.Builder
	for stanza := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n") {
		fields := map[string][]string{}
		var name string
		var kept []string
		for line := range strings.Lines(stanza) {
			line = strings.TrimRight(line, "\n")
			if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
				continue
			}
			kept = append(kept, line)
			value := line
			if line[0] != ' ' && line[0] != '\t' {
				var ok bool
				if name, value, ok = strings.Cut(line, ":"); !ok {
					continue
				}
				name = strings.ToLower(name)
			}
			fields[name] = append(fields[name], strings.Fields(value)...)
		}
		if slices.Contains(fields["enabled"], "no") || !slices.Contains(fields["types"], "deb") ||
			!slices.Contains(fields["components"], "main") ||
			!slices.ContainsFunc(fields["suites"], func(s string) bool { return ofRelease(s, codename) }) {
			continue
		}
		out.WriteString(strings.Join(kept, "\n") + "\n\n")
	}
	return out.String()
}

func ofRelease(suite, codename string) bool {
	return suite == codename || strings.HasPrefix(suite, codename+"-") || strings.HasPrefix(suite, codename+"/")
}

func releaseCodename(osRelease string) string {
	for line := range strings.Lines(osRelease) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return strings.Trim(v, `"'`)
		}
	}
	return ""
}

// aptProxies are the machine's proxy settings, which mmdebstrap does not take
// over by itself.
func aptProxies(ctx context.Context) []string {
	out, err := exec.CommandContext(ctx, "apt-config", "dump").Output()
	if err != nil {
		return nil // no apt, no proxy of it
	}
	var list []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		name, value, _ := strings.Cut(line, " ")
		if strings.HasPrefix(name, "Acquire::http") && strings.Contains(name, "::Proxy") && value != `"";` {
			list = append(list, line)
		}
	}
	return list
}
