package ssh

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// hop is one machine on the way, with everything decided.
type hop struct {
	alias          string // as the user names it
	host           string // to dial, and the name in known_hosts
	port           int
	user           string
	keyName        string // name in known_hosts
	identities     []string
	ownIdentities  bool // the user named them: nothing else than they and their like in the agent, unless they fail
	identitiesOnly bool
	agentSock      string
	password       string
	knownHosts     []string // first is the one that is written to
	hostKeys       []string
	acceptNew      bool
}

func (h hop) address() string { return net.JoinHostPort(h.host, strconv.Itoa(h.port)) }

// knownName is the address known_hosts is asked for: the final host's, also behind bastions.
func (h hop) knownName() string {
	if h.keyName != h.host {
		return net.JoinHostPort(h.keyName, "22") // OpenSSH takes a HostKeyAlias as it is, without the port
	}
	return net.JoinHostPort(h.host, strconv.Itoa(h.port))
}

// settings reads one ssh_config; a nil file has nothing to say.
type settings struct{ file *ssh_config.Config }

func (s settings) one(alias, key string) string {
	if s.file == nil {
		return ""
	}
	v, _ := s.file.Get(alias, key) // errors only for nodes the parser never makes
	return strings.Trim(v, `"`)
}

func (s settings) all(alias, key string) []string {
	if s.file == nil {
		return nil
	}
	vs, _ := s.file.GetAll(alias, key)
	for i := range vs {
		vs[i] = strings.Trim(vs[i], `"`)
	}
	return vs
}

func readSettings(c Config) (settings, error) {
	name := c.SSHConfig
	if name == "none" {
		return settings{}, nil
	}
	if name == "" {
		if c.Home == "" {
			return settings{}, nil
		}
		name = filepath.Join(c.Home, ".ssh", "config")
	}
	f, err := os.Open(expandHome(name, c.Home))
	if errors.Is(err, fs.ErrNotExist) && c.SSHConfig == "" {
		return settings{}, nil
	}
	if err != nil {
		return settings{}, fmt.Errorf("cannot read ssh_config: %w", err)
	}
	defer f.Close()
	parsed, err := ssh_config.Decode(f)
	if err != nil {
		return settings{}, fmt.Errorf("cannot read ssh_config %q: %w\n  Set ssh_config = \"none\" in the connection to do without it, or name another file", name, err)
	}
	return settings{parsed}, nil
}

// route resolves the way to the host: the bastions, outermost first, and the host itself.
func route(c Config) ([]hop, error) {
	s, err := readSettings(c)
	if err != nil {
		return nil, err
	}
	last, err := resolve(c, s, c.Host, c.User, c.Port)
	if err != nil {
		return nil, err
	}
	last.password, last.hostKeys = c.Password, c.HostKeys
	jumps := c.ProxyJump
	if jumps == nil {
		jumps = splitJumps(s.one(c.Host, "ProxyJump"))
	}
	bastions, err := chain(c, s, jumps, 0)
	if err != nil {
		return nil, err
	}
	return append(bastions, last), nil
}

func splitJumps(v string) []string {
	if v == "" {
		return nil
	}
	return strings.Split(v, ",")
}

// chain resolves bastions; the outermost may itself be behind others by ssh_config.
func chain(c Config, s settings, jumps []string, depth int) ([]hop, error) {
	if len(jumps) == 0 || len(jumps) == 1 && strings.EqualFold(jumps[0], "none") {
		return nil, nil
	}
	if depth+len(jumps) > maxHops {
		return nil, fmt.Errorf("the chain of bastions is longer than %d; is there a loop of ProxyJump in ssh_config?", maxHops)
	}
	var hops []hop
	for i, j := range jumps {
		user, host, port, err := parseJump(strings.TrimSpace(j))
		if err != nil {
			return nil, err
		}
		if i == 0 {
			before, err := chain(c, s, splitJumps(s.one(host, "ProxyJump")), depth+len(jumps))
			if err != nil {
				return nil, err
			}
			hops = before
		}
		h, err := resolve(c, s, host, user, port)
		if err != nil {
			return nil, err
		}
		hops = append(hops, h)
	}
	return hops, nil
}

// parseJump reads "[user@]host[:port]", with or without "ssh://".
func parseJump(j string) (user, host string, port int, err error) {
	rest := strings.TrimPrefix(j, "ssh://")
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		user, rest = rest[:i], rest[i+1:]
	}
	host = rest
	if h, p, splitErr := net.SplitHostPort(rest); splitErr == nil {
		if port, err = strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return "", "", 0, fmt.Errorf("the bastion %q has no valid port", j)
		}
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "" {
		return "", "", 0, fmt.Errorf("the bastion %q has no host", j)
	}
	return user, host, port, nil
}

func resolve(c Config, s settings, alias, user string, port int) (hop, error) {
	h := hop{alias: alias, host: alias, port: port, user: user, identities: c.IdentityFile, ownIdentities: len(c.IdentityFile) > 0}
	if s.one(alias, "ProxyCommand") != "" && !strings.EqualFold(s.one(alias, "ProxyCommand"), "none") && s.one(alias, "ProxyJump") == "" && len(c.ProxyJump) == 0 {
		return h, fmt.Errorf("ssh_config has a ProxyCommand for %q, which is not supported\n  Use ProxyJump there, or proxy_jump in the connection", alias)
	}
	if v := s.one(alias, "HostName"); v != "" {
		h.host = strings.NewReplacer("%h", alias, "%n", alias, "%%", "%").Replace(v)
	}
	if v := s.one(alias, "Port"); h.port == 0 && v != "" {
		p, err := strconv.Atoi(v)
		if err != nil {
			return h, fmt.Errorf("ssh_config has the port %q for %q", v, alias)
		}
		h.port = p
	}
	if h.port == 0 {
		h.port = 22
	}
	if h.user == "" {
		h.user = s.one(alias, "User")
	}
	if h.user == "" {
		h.user = c.LocalUser
	}
	if h.user == "" {
		return h, fmt.Errorf("no user to log in to %q as\n  Set user in the connection", alias)
	}
	h.keyName = h.host
	if v := s.one(alias, "HostKeyAlias"); v != "" {
		h.keyName = v
	}
	expand := func(v string) string {
		v = strings.NewReplacer("%d", c.Home, "%h", h.host, "%n", alias, "%p", strconv.Itoa(h.port), "%r", h.user, "%u", c.LocalUser, "%%", "%").Replace(v)
		return expandHome(v, c.Home)
	}
	if len(h.identities) == 0 {
		h.identities = s.all(alias, "IdentityFile")
		h.ownIdentities = len(h.identities) > 0
	}
	for i, f := range h.identities {
		if i == 0 {
			h.identities = append([]string(nil), h.identities...)
		}
		h.identities[i] = expand(f)
	}
	h.identitiesOnly = strings.EqualFold(s.one(alias, "IdentitiesOnly"), "yes")
	if len(h.identities) == 0 && c.Home != "" {
		for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			h.identities = append(h.identities, filepath.Join(c.Home, ".ssh", name))
		}
	}
	if c.Agent {
		h.agentSock = c.AuthSock
		if v := s.one(alias, "IdentityAgent"); v != "" && v != "SSH_AUTH_SOCK" {
			h.agentSock = expand(v)
		}
		if strings.EqualFold(h.agentSock, "none") {
			h.agentSock = ""
		}
	}
	return h, h.trust(c, s, expand)
}

// trust decides where host keys are known from.
func (h *hop) trust(c Config, s settings, expand func(string) string) error {
	switch {
	case c.KnownHostsFile != "":
		h.knownHosts = []string{expandHome(c.KnownHostsFile, c.Home)}
	case s.one(h.alias, "UserKnownHostsFile") != "":
		raw, _ := s.file.Get(h.alias, "UserKnownHostsFile")
		for _, f := range words(raw) {
			h.knownHosts = append(h.knownHosts, expand(f))
		}
	case c.Home != "":
		h.knownHosts = []string{filepath.Join(c.Home, ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts"}
	}
	policy := c.StrictHostKeyChecking
	if policy == "" {
		policy = strings.ToLower(s.one(h.alias, "StrictHostKeyChecking"))
		switch policy {
		case "no", "off":
			policy = "accept-new"
		case "", "ask":
			policy = "yes"
		}
	}
	switch policy {
	case "yes":
	case "accept-new":
		h.acceptNew = true
	default:
		return fmt.Errorf("strict_host_key_checking is %q; want \"yes\" or \"accept-new\"", policy)
	}
	return nil
}

// words splits a value at spaces, except within double quotes.
func words(v string) []string {
	quoted := false
	fields := strings.FieldsFunc(v, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\t')
	})
	for i := range fields {
		fields[i] = strings.Trim(fields[i], `"`)
	}
	return fields
}

func expandHome(p, home string) string {
	if p == "~" {
		return home
	}
	if rest, ok := strings.CutPrefix(p, "~/"); ok && home != "" {
		return filepath.Join(home, rest)
	}
	return p
}
