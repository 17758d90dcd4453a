package ssh

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"quorate/provision/host/ssh/sshconfig"
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
	certificates   []string // instead of those beside the identities
	agentSock      string
	password       string
	knownHosts     []string
	recordIn       string // the file of known hosts that is written to
	revoked        []string
	hostKeys       []string
	acceptNew      bool
	network        string // as net.Dial's
	bindAddress    string

	hostKeyAlgorithms    string // as ssh_config writes it
	ciphers, kexes, macs []string
}

func (h hop) address() string { return net.JoinHostPort(h.host, strconv.Itoa(h.port)) }

// knownName is the address known_hosts is asked for: the final host's, also behind bastions.
func (h hop) knownName() string {
	if h.keyName != h.host {
		return net.JoinHostPort(h.keyName, "22") // OpenSSH takes a HostKeyAlias as it is, without the port
	}
	return h.address()
}

// resolver finds ways by a configuration and by ssh_config.
type resolver struct {
	ctx   context.Context // of commands of Match exec
	c     Config
	files []sshconfig.File
}

// route resolves the way to the host: the bastions, outermost first, and the host itself.
func route(ctx context.Context, c Config) ([]hop, error) {
	r := resolver{ctx: ctx, c: c}
	switch {
	case c.SSHConfig == "none":
	case c.SSHConfig != "":
		r.files = []sshconfig.File{{Name: expandHome(c.SSHConfig, c.Home), User: true, Required: true}}
	default:
		if c.Home != "" {
			r.files = append(r.files, sshconfig.File{Name: filepath.Join(c.Home, ".ssh", "config"), User: true, Guarded: true})
		}
		r.files = append(r.files, sshconfig.File{Name: filepath.Join(c.etc, "ssh_config")})
	}
	jump := strings.Join(c.ProxyJump, ",")
	if c.ProxyJump != nil && jump == "" {
		jump = "none"
	}
	s, err := r.ask(sshconfig.Query{Host: c.Host, User: c.User, Port: c.Port, Jump: jump, Command: "sh"})
	if err != nil {
		return nil, err
	}
	identities := c.IdentityFile
	if len(identities) == 0 {
		identities = s.IdentityFile
	}
	last, err := r.hop(c.Host, s, identities, c.HostKeys)
	if err != nil {
		return nil, err
	}
	last.password = c.Password
	bastions, err := r.chain(s.ProxyJump, 0)
	if err != nil {
		return nil, err
	}
	return append(bastions, last), nil
}

// ask asks ssh_config about a host.
func (r resolver) ask(q sshconfig.Query) (sshconfig.Settings, error) {
	q.Home, q.LocalUser, q.LocalHost, q.UID, q.Etc, q.Env = r.c.Home, r.c.LocalUser, r.c.LocalHost, os.Getuid(), r.c.etc, r.c.Env
	q.Read, q.Glob = sshconfig.ReadFile, sshconfig.Glob
	q.Exec = func(command string) (bool, error) { return matchExec(r.ctx, r.c.shell(), command) }
	q.HomeOf = func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.HomeDir, nil
	}
	return sshconfig.Evaluate(q, r.files...)
}

// chain resolves bastions; the outermost may itself be behind others by ssh_config.
func (r resolver) chain(jumps []sshconfig.Jump, depth int) ([]hop, error) {
	if depth+len(jumps) > maxHops {
		return nil, fmt.Errorf("the chain of bastions is longer than %d; is there a loop of ProxyJump in ssh_config?", maxHops)
	}
	var hops []hop
	for i, j := range jumps {
		q := sshconfig.Query{Host: j.Host, User: j.User, Port: j.Port, SessionType: "none"}
		if i > 0 {
			q.Jump = jumps[i-1].Host
		}
		s, err := r.ask(q)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			if hops, err = r.chain(s.ProxyJump, depth+len(jumps)); err != nil {
				return nil, err
			}
		}
		identities := s.IdentityFile
		if identities == nil && len(r.c.IdentityFile) > 0 {
			identities = r.c.IdentityFile
		}
		h, err := r.hop(j.Host, s, identities, nil)
		if err != nil {
			return nil, err
		}
		hops = append(hops, h)
	}
	return hops, nil
}

// hop decides everything about one machine.
func (r resolver) hop(alias string, s sshconfig.Settings, identities, hostKeys []string) (hop, error) {
	c := r.c
	h := hop{
		alias: alias, host: s.HostName, port: s.Port, user: s.User, keyName: s.HostName,
		ownIdentities: identities != nil, identitiesOnly: s.IdentitiesOnly, certificates: s.CertificateFile,
		revoked: s.RevokedHostKeys, hostKeys: hostKeys, hostKeyAlgorithms: s.HostKeyAlgorithms,
		network: map[string]string{"inet": "tcp4", "inet6": "tcp6"}[s.AddressFamily], bindAddress: s.BindAddress,
	}
	if h.network == "" {
		h.network = "tcp"
	}
	if s.HostKeyAlias != "" {
		h.keyName = s.HostKeyAlias
	}
	if h.user == "" {
		return h, fmt.Errorf("no user to log in to %q as\n  Set user in the connection", alias)
	}
	if err := unsupported(alias, s, len(c.IdentityFile) > 0, len(hostKeys) > 0); err != nil {
		return h, err
	}
	for _, f := range identities {
		h.identities = append(h.identities, expandHome(f, c.Home))
	}
	if identities == nil && c.Home != "" {
		for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			h.identities = append(h.identities, filepath.Join(c.Home, ".ssh", name))
		}
	}
	if c.Agent {
		if h.agentSock = c.AuthSock; s.IdentityAgent != "" {
			h.agentSock = s.IdentityAgent
		}
		if h.agentSock == "none" {
			h.agentSock = ""
		}
	}
	if err := h.algorithms(s); err != nil {
		return h, err
	}
	return h, h.trust(c, s)
}

// unsupported refuses what would reach or identify the host in a way that there is not here.
func unsupported(alias string, s sshconfig.Settings, identified, pinned bool) error {
	refuse := func(keyword, way string) error {
		return fmt.Errorf("ssh_config has a %s for %q, which is not supported\n  %s", keyword, alias, way)
	}
	keys := "Add the key to the agent and name its .pub as identity_file of the connection, or set it to none there"
	switch {
	case s.ProxyCommand != "":
		return refuse("ProxyCommand", "Use ProxyJump there, or proxy_jump in the connection")
	case s.PKCS11Provider != "" && !identified:
		return refuse("PKCS11Provider", keys)
	case s.SecurityKeyProvider != "" && s.SecurityKeyProvider != "internal" && s.SecurityKeyProvider != "$SSH_SK_PROVIDER" && !identified:
		return refuse("SecurityKeyProvider", keys)
	case s.KnownHostsCommand != "" && !pinned:
		return refuse("KnownHostsCommand", "Pin the keys with host_keys in the connection, or set it to none there")
	}
	return nil
}

// algorithms takes over those that ssh_config asks for and that there are.
func (h *hop) algorithms(s sshconfig.Settings) error {
	safe, unsafe := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	var ignored []string
	for _, a := range []struct {
		keyword, list string
		safe, unsafe  []string
		to            *[]string
	}{
		{"Ciphers", s.Ciphers, safe.Ciphers, unsafe.Ciphers, &h.ciphers},
		{"KexAlgorithms", s.KexAlgorithms, safe.KeyExchanges, unsafe.KeyExchanges, &h.kexes},
		{"MACs", s.MACs, safe.MACs, unsafe.MACs, &h.macs},
		{"HostKeyAlgorithms", s.HostKeyAlgorithms, safe.HostKeys, unsafe.HostKeys, &ignored},
	} {
		if a.list == "" {
			continue
		}
		if *a.to = sshconfig.Algorithms(a.list, a.safe, append(slices.Clone(a.safe), a.unsafe...)); len(*a.to) == 0 {
			return fmt.Errorf("ssh_config has %s %s for %q, and none of them is supported\n  Supported are: %s", a.keyword, a.list, h.alias, strings.Join(a.safe, ", "))
		}
	}
	return nil
}

// trust decides where host keys are known from.
func (h *hop) trust(c Config, s sshconfig.Settings) error {
	users := s.UserKnownHostsFile
	if c.KnownHostsFile != "" {
		users = []string{expandHome(c.KnownHostsFile, c.Home)}
	}
	switch {
	case len(users) > 0:
		h.recordIn = users[0]
	case c.Home != "":
		h.recordIn = os.DevNull // UserKnownHostsFile none
	}
	h.knownHosts = slices.Concat(users, s.GlobalKnownHostsFile)
	switch c.StrictHostKeyChecking {
	case "":
		h.acceptNew = s.StrictHostKeyChecking != "yes" && s.StrictHostKeyChecking != "ask"
	case "yes":
	case "accept-new":
		h.acceptNew = true
	default:
		return fmt.Errorf("strict_host_key_checking is %q; want \"yes\" or \"accept-new\"", c.StrictHostKeyChecking)
	}
	return nil
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
