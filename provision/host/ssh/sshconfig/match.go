package sshconfig

import (
	"errors"
	"strings"
)

// match reports whether a Match line holds. Where that depends on a criterion
// that cannot be evaluated it is an error, unless never says that nothing
// depends on the line.
func (e *evaluation) match(words []string, at position, never bool) (bool, error) {
	holds, criteria := true, 0
	var doubt error
	for len(words) > 0 && !strings.HasPrefix(words[0], "#") {
		name, negated := strings.CutPrefix(words[0], "!")
		name, arg, hasArg := strings.Cut(name, "=")
		name = strings.ToLower(name)
		words = words[1:]
		if name == "all" {
			if criteria > 1 || len(words) > 0 && words[0] != "" && words[0][0] != '#' {
				return false, at.broken("Match all cannot be combined with other criteria")
			}
			holds, criteria = holds && !negated, criteria+1
			break
		}
		criteria++
		if name == "final" || name == "canonical" {
			e.wantsFinal = e.wantsFinal || name == "final" && !negated
			holds = holds && e.final != negated
			continue
		}
		if !hasArg && len(words) > 0 {
			arg, words, hasArg = words[0], words[1:], true
		}
		if !hasArg || strings.HasPrefix(arg, "#") || arg == "" && name != "tagged" && name != "command" {
			return false, at.broken("Match %s has no argument", name)
		}
		if name == "exec" && (!holds || doubt != nil || never) {
			continue // what it says does not matter, or only with the doubt
		}
		is, err := e.criterion(name, arg, at)
		var unknown *unknownError
		switch {
		case errors.As(err, &unknown):
			doubt = err
		case err != nil:
			return false, err
		default:
			holds = holds && is != negated
		}
	}
	if criteria == 0 {
		return false, at.broken("Match has no criteria")
	}
	if never || !holds {
		return false, nil
	}
	if doubt != nil {
		return false, at.fail("%w, and the rest of the line holds for %q\n  Choose by another criterion there, such as host, or set ssh_config = \"none\" in the connection", doubt, e.Host)
	}
	return true, nil
}

// unknownError is a criterion that cannot be evaluated.
type unknownError struct{ text string }

func (u *unknownError) Error() string { return u.text }

func (e *evaluation) criterion(name, arg string, at position) (bool, error) {
	orEmpty := func(s string) bool { return s == "" && arg == "" || s != "" && matchList(s, arg) }
	switch name {
	case "host":
		host, err := e.hostName()
		return matchList(strings.ToLower(host), strings.ToLower(arg)), err
	case "originalhost":
		return matchList(strings.ToLower(e.Host), strings.ToLower(arg)), nil
	case "user":
		return matchList(e.user(), arg), nil
	case "localuser":
		return matchList(e.LocalUser, arg), nil
	case "version":
		return matchList(Version, arg), nil
	case "tagged":
		return orEmpty(e.word("tag")), nil
	case "command":
		return orEmpty(e.Command), nil
	case "sessiontype":
		session := e.word("sessiontype")
		if session == "" || session == "default" {
			session = map[bool]string{true: "exec", false: "shell"}[e.Command != ""]
		}
		return matchList(session, arg), nil
	case "exec":
		if e.Exec == nil {
			return false, &unknownError{"Match exec cannot be evaluated, since no commands are run here"}
		}
		tokens, err := e.early()
		if err != nil {
			return false, err
		}
		command, err := e.expand(arg, tokens, false)
		if err != nil {
			return false, at.broken("%w", err)
		}
		succeeded, err := e.Exec(command)
		if err != nil {
			return false, at.broken("%w", err)
		}
		return succeeded, nil
	}
	return false, &unknownError{"Match " + name + " cannot be evaluated"}
}
