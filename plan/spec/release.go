package spec

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// release builds the upstream release out of an etcd block.
func (l *loader) release(n *node) *Release {
	r := &Release{Sources: map[string]Source{}}
	if v, ok := n.given("version"); ok {
		r.Version = l.version(v)
	}
	l.duplicates("source", n.nodes["source"])
	if len(n.nodes["source"]) == 0 && !l.incomplete {
		l.fail(n.at, "No source", "The etcd block does not say where the release comes from.",
			"Add a block for each architecture of your hosts: source \"amd64\" { url = \"…\", sha256 = \"…\" }, on lines of their own.")
	}
	for _, s := range n.nodes["source"] {
		l.checkArch(s.label, s.name)
		var src Source
		if v, ok := s.given("url"); ok {
			src.URL = l.sourceURL(v)
		}
		if v, ok := s.given("sha256"); ok {
			src.SHA256 = l.sum(v.text, v.at)
		}
		r.Sources[s.label] = src
	}
	return r
}

// sums are SHA-256 sums by architecture.
func (l *loader) sums(v value) map[string]string {
	if len(v.options) == 0 {
		l.fail(v.at, "No SHA-256", "The map is empty, so no kvserver could be pushed.", "Add an architecture of your hosts and its sum, or leave it out.")
	}
	sums := map[string]string{}
	for _, o := range v.options {
		l.checkArch(o.name, o.at)
		sums[o.name] = l.sum(fmt.Sprint(o.value), o.at)
	}
	return sums
}

// checkArch complains about what is no architecture that kvserver, which every host gets, is built for.
func (l *loader) checkArch(name string, at hcl.Range) {
	if arches := []string{"amd64", "arm64"}; !slices.Contains(arches, name) {
		l.fail(at, "Unknown architecture", fmt.Sprintf("%q is none of the architectures that hosts may have.%s", name, goArch(name)), "Architectures are spelled as Go does: amd64 and arm64.")
	}
}

var hexSum = regexp.MustCompile(`^[0-9a-f]{64}$`)

// sum checks a SHA-256 and returns it in lower case.
func (l *loader) sum(text string, at hcl.Range) string {
	lower := strings.ToLower(text)
	if cause := fmt.Sprintf("%q has %d characters.", text, len(text)); !hexSum.MatchString(lower) {
		if len(text) == 64 {
			cause = fmt.Sprintf("%q has other characters.", text)
		}
		l.fail(at, "Bad SHA-256", "A SHA-256 has 64 hex digits, and "+cause, "Take it from the release's SHA256SUMS, or from sha256sum FILE.")
	}
	return lower
}

func goArch(s string) string {
	switch strings.ToLower(s) {
	case "x86_64", "x86-64", "x64":
		return ` Did you mean "amd64"?`
	case "aarch64", "armv8":
		return ` Did you mean "arm64"?`
	}
	return ""
}

// sourceURL checks a URL or path without net/url, which would bring in the network.
func (l *loader) sourceURL(v value) string {
	scheme, rest, ok := strings.Cut(v.text, "://")
	if !ok {
		return l.localPath(v)
	}
	host, _, _ := strings.Cut(rest, "/")
	switch {
	case scheme != "http" && scheme != "https":
		l.fail(v.at, "Bad URL", fmt.Sprintf("%q cannot be fetched: only http and https can.", v.text), "Download the file and write its path.")
	case host == "" || strings.ContainsAny(v.text, " \"<>\\^`{|}"):
		l.fail(v.at, "Bad URL", fmt.Sprintf("%q is no URL: it lacks a host, or has characters that a URL cannot have.", v.text), `For example: url = "https://example.com/etcd-v3.6.11-linux-amd64.tar.gz"`)
	case strings.Contains(host, "@"):
		l.fail(v.at, "Secret in a URL", "The URL holds a user name or a password, and URLs are shown.", "Download the file and write its path.")
	}
	return v.text
}

var semver = regexp.MustCompile(`^v?([0-9]+)\.([0-9]+)\.([0-9]+)(-[0-9A-Za-z.-]+)?$`)

// version checks an etcd version and returns it without the v.
func (l *loader) version(v value) string {
	major, minor, ok := majorMinor(v.text)
	switch {
	case !ok:
		l.fail(v.at, "Bad version", fmt.Sprintf("%q is no version of etcd: those have three numbers.", v.text), `For example: version = "3.6.11"`)
	case major != 3 || minor < 4 || minor > 7:
		l.fail(v.at, "Unsupported version", fmt.Sprintf("etcd %s cannot be provisioned: 3.4 to 3.7 can.", strings.TrimPrefix(v.text, "v")), `For example: version = "3.6.11"`)
	}
	return strings.TrimPrefix(v.text, "v")
}

// majorMinor are the first two numbers of a complete version.
func majorMinor(version string) (major, minor int, ok bool) {
	m := semver.FindStringSubmatch(version)
	if m == nil {
		return 0, 0, false
	}
	major, err := strconv.Atoi(m[1])
	minor, err2 := strconv.Atoi(m[2])
	return major, minor, err == nil && err2 == nil
}
