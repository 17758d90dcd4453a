package sshconfig

import (
	"path"
	"strconv"
	"strings"
)

// settings puts together what was found, expanded.
func (e *evaluation) settings() (Settings, error) {
	s := Settings{
		HostName: e.host, Port: 22, HostKeyAlias: strings.ToLower(e.word("hostkeyalias")),
		IdentitiesOnly: e.word("identitiesonly") == "yes", StrictHostKeyChecking: e.word("stricthostkeychecking"),
		HostKeyAlgorithms: e.word("hostkeyalgorithms"), Ciphers: e.word("ciphers"), KexAlgorithms: e.word("kexalgorithms"), MACs: e.word("macs"),
		AddressFamily: e.word("addressfamily"), BindAddress: e.word("bindaddress"),
		GlobalKnownHostsFile: []string{path.Join(e.Etc, "ssh_known_hosts"), path.Join(e.Etc, "ssh_known_hosts2")},
	}
	if s.StrictHostKeyChecking == "" {
		s.StrictHostKeyChecking = "ask"
	}
	if e.Home != "" {
		s.UserKnownHostsFile = []string{path.Join(e.Home, ".ssh/known_hosts"), path.Join(e.Home, ".ssh/known_hosts2")}
	}
	if p := e.word("port"); p != "" {
		s.Port, _ = strconv.Atoi(p) // checked when it was read
	}
	for keyword, to := range map[string]*string{
		"proxycommand": &s.ProxyCommand, "knownhostscommand": &s.KnownHostsCommand,
		"pkcs11provider": &s.PKCS11Provider, "securitykeyprovider": &s.SecurityKeyProvider,
	} {
		if v := e.word(keyword); !none(v) {
			*to = v
		}
	}
	if err := e.loginUser(); err != nil {
		return s, err
	}
	s.User = e.user()
	tokens := e.tokens(e.host, e.Host)
	if err := e.bastions(&s, tokens); err != nil {
		return s, err
	}
	err := e.paths(&s, tokens)
	return s, err
}

// loginUser expands the User of a file, which all other tokens may contain.
func (e *evaluation) loginUser() error {
	v, ok := e.set["user"]
	if !ok || e.User != "" {
		return nil
	}
	tokens := e.tokens(e.host, e.Host)
	delete(tokens, 'r')
	delete(tokens, 'C')
	user, err := e.expand(v.words[0], tokens, true)
	if err != nil {
		return v.at.broken("%w", err)
	}
	e.set["user"] = value{v.keyword, []string{user}, v.at}
	return nil
}

func (e *evaluation) bastions(s *Settings, tokens map[byte]string) error {
	v := e.set["proxyjump"]
	jumps, err := ParseJumps(e.word("proxyjump"))
	if err != nil || e.Jump != "" {
		s.ProxyJump = jumps
		return err
	}
	few := map[byte]string{'h': tokens['h'], 'n': tokens['n'], 'p': tokens['p'], 'r': tokens['r']}
	for i := range jumps {
		for _, text := range []*string{&jumps[i].User, &jumps[i].Host} {
			if *text, err = e.expand(*text, few, false); err != nil {
				return v.at.broken("%w", err)
			}
		}
	}
	s.ProxyJump = jumps
	return nil
}

// paths expands all files.
func (e *evaluation) paths(s *Settings, tokens map[byte]string) error {
	expand := func(v value) (out []string, err error) {
		for _, w := range v.words {
			if none(w) {
				continue
			}
			if w, err = e.tilde(w); err == nil && !strings.EqualFold(v.keyword, "GlobalKnownHostsFile") { // which has no tokens
				w, err = e.expand(w, tokens, true)
			}
			if err != nil {
				return nil, v.at.broken("%w", err)
			}
			out = append(out, w)
		}
		return out, nil
	}
	for keyword, to := range map[string]*[]string{
		"userknownhostsfile": &s.UserKnownHostsFile, "globalknownhostsfile": &s.GlobalKnownHostsFile, "revokedhostkeys": &s.RevokedHostKeys,
	} {
		if v, ok := e.set[keyword]; ok {
			files, err := expand(v)
			if err != nil {
				return err
			}
			*to = files
		}
	}
	for _, c := range []struct {
		from []value
		to   *[]string
	}{{e.identities, &s.IdentityFile}, {e.certificates, &s.CertificateFile}} {
		if len(c.from) > 0 {
			*c.to = []string{} // also if all are "none"
		}
		for _, v := range c.from {
			files, err := expand(v)
			if err != nil {
				return err
			}
			*c.to = append(*c.to, files...)
		}
	}
	return e.agent(s, expand)
}

func (e *evaluation) agent(s *Settings, expand func(value) ([]string, error)) error {
	v, ok := e.set["identityagent"]
	if !ok || v.words[0] == "SSH_AUTH_SOCK" {
		return nil
	}
	s.IdentityAgent = "none"
	if v.words[0] == "none" {
		return nil
	}
	socket, err := expand(v)
	if err != nil {
		return err
	}
	if len(socket) == 0 {
		return nil
	}
	s.IdentityAgent = socket[0]
	if name, ok := strings.CutPrefix(socket[0], "$"); ok { // the older form of a variable
		s.IdentityAgent = "none"
		if e.Env != nil {
			if socket, ok := e.Env(name); ok {
				s.IdentityAgent = socket
			}
		}
	}
	return nil
}
