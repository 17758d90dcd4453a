package sshconfig

import (
	"errors"
	"fmt"
	"strings"
)

const space = " \t\r\n"

// position is a line of a file.
type position struct {
	file string
	line int
}

func (p position) fail(format string, args ...any) error {
	return fmt.Errorf("cannot read ssh_config %q: line %d: %w", p.file, p.line, fmt.Errorf(format, args...))
}

// broken is fail for a line that ssh would not read either.
func (p position) broken(format string, args ...any) error {
	return p.fail("%w\n  Mend that line, or set ssh_config = \"none\" in the connection to do without the file", fmt.Errorf(format, args...))
}

// splitLine separates the keyword of a line from its arguments, as OpenSSH's
// strdelim does: "key value", "key=value", "key = value". There is no keyword
// on an empty line and on a comment.
func splitLine(line string) (keyword, rest string) {
	line = strings.TrimLeft(strings.TrimRight(line, space+"\f"), space)
	if line == "" || line[0] == '#' {
		return "", ""
	}
	if quoted, ok := strings.CutPrefix(line, `"`); ok {
		keyword, rest, _ = strings.Cut(quoted, `"`)
		return keyword, strings.TrimLeft(rest, space)
	}
	end := strings.IndexAny(line, space+`"=`)
	if end < 0 {
		return line, ""
	}
	keyword, rest = line[:end], strings.TrimLeft(line[end:], space)
	return keyword, strings.TrimLeft(strings.TrimPrefix(rest, "="), space)
}

// splitWords separates arguments as OpenSSH's argv_split does: quotes of both
// kinds, a backslash before quotes, backslashes and spaces, and comments.
func splitWords(s string) ([]string, error) {
	var words []string
	for i := 0; i < len(s); i++ {
		if s[i] == ' ' || s[i] == '\t' {
			continue
		}
		if s[i] == '#' {
			break
		}
		var word strings.Builder
		quote := byte(0)
		for ; i < len(s) && (quote != 0 || s[i] != ' ' && s[i] != '\t'); i++ {
			switch c := s[i]; {
			case c == '\\' && i+1 < len(s) && (strings.IndexByte(`'"\`, s[i+1]) >= 0 || quote == 0 && s[i+1] == ' '):
				i++
				word.WriteByte(s[i])
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
			case quote != 0 && c == quote:
				quote = 0
			default:
				word.WriteByte(c)
			}
		}
		if quote != 0 {
			return nil, errors.New("a quote is not closed")
		}
		words = append(words, word.String())
	}
	return words, nil
}
