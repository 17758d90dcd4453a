package sshconfig

import "strings"

// include reads the files that the patterns name. Where the line does not
// apply they are only checked.
func (e *evaluation) include(patterns []string, at position, s scope) error {
	if s.depth >= maxDepth {
		return at.broken("more than %d files include one another", maxDepth)
	}
	for _, p := range patterns {
		tokens, err := e.early()
		if err != nil {
			return err
		}
		p, err = e.expand(p, tokens, true)
		if err != nil && !s.active {
			continue
		}
		if err != nil {
			return at.broken("%w", err)
		}
		if !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "~") {
			p = map[bool]string{true: "~/.ssh", false: e.Etc}[s.file.User] + "/" + p
		} else if p[0] == '~' && !s.file.User {
			return at.broken("bad include path %q: ~ is only for the files of users", p)
		}
		if p, err = e.tilde(p); err != nil {
			return at.broken("%w", err)
		}
		files, err := e.Glob(p)
		if err != nil {
			return at.broken("cannot list %q: %w", p, err)
		}
		for _, name := range files {
			text, err := e.Read(name, true)
			if err != nil {
				return at.broken("cannot include %q: %w", name, err)
			}
			inner := scope{File{Name: name, User: s.file.User}, s.active, s.never || !s.active, s.depth + 1}
			if err := e.lines(string(text), inner); err != nil {
				return err
			}
		}
	}
	return nil
}
