package sshconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// maxDepth of includes within includes, as OpenSSH's.
const maxDepth = 16

// value is what one keyword was set to, and where.
type value struct {
	keyword string // as it is written there
	words   []string
	at      position
}

// evaluation is one question being answered.
type evaluation struct {
	Query
	set map[string]value // by canonical keyword; those that collect are in identities and certificates
	// identities and certificates in the order of their lines, without repetitions.
	identities, certificates []value

	host       string // what Host and Match host compare: the name asked for, and the name to dial in the final pass
	final      bool   // this is the second pass
	wantsFinal bool
}

// word is a value with one argument, or "".
func (e *evaluation) word(keyword string) string {
	if v, ok := e.set[keyword]; ok {
		return v.words[0]
	}
	return ""
}

func (e *evaluation) pass(files []File) error {
	for _, f := range files {
		text, err := e.Read(f.Name, f.Guarded)
		if errors.Is(err, fs.ErrNotExist) && !f.Required {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot read ssh_config %q: %w", f.Name, err)
		}
		if err := e.lines(string(text), scope{file: f, active: true}); err != nil {
			return err
		}
	}
	return nil
}

// scope is where in the files a line is.
type scope struct {
	file   File
	active bool // the lines apply
	never  bool // included from a block that does not apply: nothing here does
	depth  int
}

func (e *evaluation) lines(text string, s scope) error {
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		if err := e.line(line, position{s.file.Name, n}, &s); err != nil {
			return err
		}
	}
	return nil
}

// line takes one line in. Lines that do not apply are checked all the same, as OpenSSH does.
func (e *evaluation) line(text string, at position, s *scope) error {
	name, tail := splitLine(text)
	if name == "" {
		return nil
	}
	if tail == "" {
		return at.broken("%s has no argument", name)
	}
	words, err := splitWords(tail)
	if err != nil {
		return at.broken("%w", err)
	}
	key, k, ok := lookup(name)
	if !ok {
		if matchList(key, strings.ToLower(e.word("ignoreunknown"))) {
			return nil
		}
		return at.broken("bad configuration option: %s", name)
	}
	if k.kind == skip {
		return nil
	}
	if k.kind == rest || k.kind == jump {
		words = []string{strings.TrimLeft(tail, space+"=")}
	}
	if len(words) == 0 && k.kind != block && k.kind != list { // those of a comment alone are lists of nothing
		return at.broken("%s has no argument", name)
	}
	if key != "match" && slices.Contains(words, "") {
		return at.broken("%s has an empty argument", name)
	}
	switch key {
	case "host":
		s.active = !s.never && matchHost(e.host, words)
		return nil
	case "match":
		s.active, err = e.match(words, at, s.never)
		return err
	case "include":
		return e.include(words, at, *s)
	}
	v := value{name, words, at}
	if err := k.check(&v); err != nil {
		return err
	}
	if s.active && len(words) > 0 {
		return e.take(key, k, v)
	}
	return nil
}

// matchHost is a Host line: one pattern that matches, and no negated one.
func matchHost(host string, patterns []string) bool {
	found := false
	for _, p := range patterns {
		p, negated := strings.CutPrefix(p, "!")
		if matchPattern(host, p) {
			if negated {
				return false
			}
			found = true
		}
	}
	return found
}

// check judges and tidies a value by its kind.
func (k keyword) check(v *value) error {
	if k.kind == list {
		if len(v.words) > 1 && slices.ContainsFunc(v.words, none) {
			return v.at.broken("%s: \"none\" must stand alone", v.keyword)
		}
		return nil
	}
	if len(v.words) > 1 {
		return v.at.broken("%s has more than one argument", v.keyword)
	}
	w := v.words[0]
	switch k.kind {
	case choice:
		w = strings.ToLower(w)
		if !slices.Contains(strings.Fields(k.choices), w) {
			return v.at.broken("%s is %q; want one of %s", v.keyword, w, k.choices)
		}
		v.words[0] = map[string]string{"true": "yes", "false": "no"}[w]
		if v.words[0] == "" {
			v.words[0] = w
		}
	case port:
		if w == "ssh" {
			v.words[0] = "22"
		} else if n, err := strconv.Atoi(w); err != nil || n < 1 || n > 65535 {
			return v.at.broken("bad port %q", w)
		}
	case jump:
		w, _, _ = strings.Cut(w, "#")
		if v.words[0] = strings.TrimRight(w, space); v.words[0] == "" {
			return v.at.broken("%s has no argument", v.keyword)
		}
		if _, err := ParseJumps(v.words[0]); err != nil {
			return v.at.broken("%w", err)
		}
	}
	return nil
}

// take sets what is not set yet.
func (e *evaluation) take(key string, k keyword, v value) error {
	same := func(o value) bool { return o.words[0] == v.words[0] }
	switch {
	case key == "refuseconnection":
		return v.at.fail("RefuseConnection: %s", v.words[0])
	case key == "identityfile":
		if !slices.ContainsFunc(e.identities, same) {
			e.identities = append(e.identities, v)
		}
		return nil
	case key == "certificatefile":
		if !slices.ContainsFunc(e.certificates, same) {
			e.certificates = append(e.certificates, v)
		}
		return nil
	}
	_, taken := e.set[key]
	if key == "proxyjump" && e.word("proxycommand") != "" && !none(v.words[0]) {
		taken = true // of the two, the first wins
	}
	if taken {
		return nil
	}
	e.set[key] = v
	if key == "proxyjump" && !none(v.words[0]) {
		e.set["proxycommand"] = value{words: []string{"none"}}
	}
	return nil
}
