package sshconfig

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// hostName is the host to dial, as far as it is known yet.
func (e *evaluation) hostName() (string, error) {
	v, ok := e.set["hostname"]
	if e.final || !ok {
		return e.host, nil
	}
	name, err := e.expand(v.words[0], map[byte]string{'h': e.host}, false)
	if err != nil {
		return "", v.at.broken("%w", err)
	}
	return name, nil
}

func (e *evaluation) user() string {
	if u := e.word("user"); u != "" {
		return u
	}
	return e.LocalUser
}

// early are the tokens while the files are read: Match exec and Include have them.
func (e *evaluation) early() (map[byte]string, error) {
	host, err := e.hostName()
	if err != nil {
		return nil, err
	}
	return e.tokens(host, host), nil
}

// tokens of most keywords.
func (e *evaluation) tokens(host, keyName string) map[byte]string {
	port, jump := "22", ""
	if p := e.word("port"); p != "" {
		port = p
	}
	if alias := e.word("hostkeyalias"); alias != "" {
		keyName = alias
	}
	if chain, err := ParseJumps(e.word("proxyjump")); err == nil && len(chain) > 0 {
		jump = chain[len(chain)-1].Host
	}
	short, _, _ := strings.Cut(e.LocalHost, ".")
	hash := sha1.Sum([]byte(e.LocalHost + host + port + e.user() + jump))
	return map[byte]string{
		'C': hex.EncodeToString(hash[:]), 'L': short, 'd': e.Home, 'h': host, 'i': strconv.Itoa(e.UID), 'j': jump,
		'k': keyName, 'l': e.LocalHost, 'n': e.Host, 'p': port, 'r': e.user(), 'u': e.LocalUser,
	}
}

// expand replaces tokens, and ${NAME} if env says so.
func (e *evaluation) expand(s string, tokens map[byte]string, env bool) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case env && strings.HasPrefix(s[i:], "${"):
			name, _, closed := strings.Cut(s[i+2:], "}")
			if !closed || name == "" {
				return "", fmt.Errorf("%q has a variable without a name or without its end", s)
			}
			v, ok := "", false
			if e.Env != nil {
				v, ok = e.Env(name)
			}
			if !ok {
				return "", fmt.Errorf("%q needs the environment variable %q, which is not set", s, name)
			}
			b.WriteString(v)
			i += len(name) + 2
		case s[i] != '%':
			b.WriteByte(s[i])
		case i+1 == len(s):
			return "", fmt.Errorf("%q ends in %%", s)
		case s[i+1] == '%':
			b.WriteByte('%')
			i++
		default:
			v, ok := tokens[s[i+1]]
			if !ok {
				return "", fmt.Errorf("%q has the token %%%c, which this keyword does not take", s, s[i+1])
			}
			b.WriteString(v)
			i++
		}
	}
	return b.String(), nil
}

// tilde expands ~ and ~name at the start of a path.
func (e *evaluation) tilde(p string) (string, error) {
	tail, ok := strings.CutPrefix(p, "~")
	if !ok {
		return p, nil
	}
	name, tail, _ := strings.Cut(tail, "/")
	home := e.Home
	if name != "" {
		if e.HomeOf == nil {
			return "", fmt.Errorf("cannot expand %q: the homes of others are not known", p)
		}
		var err error
		if home, err = e.HomeOf(name); err != nil {
			return "", fmt.Errorf("cannot expand %q: %w", p, err)
		}
	}
	if home == "" {
		return "", fmt.Errorf("cannot expand %q: there is no home folder", p)
	}
	return strings.TrimSuffix(home, "/") + "/" + strings.TrimLeft(tail, "/"), nil
}
