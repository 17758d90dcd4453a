// Package sshconfig says what OpenSSH's ssh_config files say about one host.
// It follows OpenSSH's own reader (readconf.c, ssh.c), so that a name means
// here what it means to ssh.
//
// It is pure: files, environment and the running of commands come in as
// functions. What it cannot evaluate and what concerns the host is an error.
package sshconfig

import (
	"net/netip"
	"strconv"
	"strings"
)

// Version is the OpenSSH whose ssh_config this package reads, for Match version.
const Version = "OpenSSH_10.5p1"

// Query is the host that is asked about, and where the question is asked.
type Query struct {
	// Host as the user names it. User and Port are explicit, as by ssh's -l
	// and -p; "" and 0 leave them to the files.
	Host, User string
	Port       int
	// Jump is an explicit chain of bastions, as by ssh's -J; "" leaves it to the files.
	Jump string
	// Command is what will run at the host, for Match command; SessionType is
	// for Match sessiontype, "" is what follows from Command.
	Command, SessionType string

	Home, LocalUser, LocalHost string
	UID                        int
	// Etc is the folder of the system's files; "" is /etc/ssh.
	Etc string
	// Env looks an environment variable up.
	Env func(name string) (string, bool)
	// HomeOf is another user's home folder, for ~name; nil knows none.
	HomeOf func(user string) (string, error)
	// Read reads a file. With guarded, a file that others than root and the
	// user own or may write to is an error. One that does not exist is fs.ErrNotExist.
	Read func(name string, guarded bool) ([]byte, error)
	// Glob is glob(3) for an absolute pattern, in order.
	Glob func(pattern string) ([]string, error)
	// Exec runs the command of a Match exec by the user's shell, and reports
	// whether it exited with 0. Nil refuses such lines.
	Exec func(command string) (bool, error)
}

// File is a file to read; one that does not exist is passed over unless it is Required.
type File struct {
	Name string
	// User says that relative includes are in ~/.ssh, not in /etc/ssh, and that ~ is allowed.
	User bool
	// Guarded files may not be writable by others; all that are included are guarded.
	Guarded, Required bool
}

// Settings are what holds for the host. Tokens, variables and ~ are expanded;
// texts are empty and lists nil where the files say nothing, unless noted.
type Settings struct {
	// HostName to dial, Port and User to log in as: never empty, but for User
	// without a Query.LocalUser.
	HostName, User string
	Port           int
	HostKeyAlias   string
	// ProxyJump is outermost first; ProxyCommand is never "none".
	ProxyJump    []Jump
	ProxyCommand string

	// IdentityFile is empty, and not nil, if the files say "none".
	IdentityFile, CertificateFile []string
	IdentitiesOnly                bool
	// IdentityAgent is a socket, "none", or empty for SSH_AUTH_SOCK's.
	IdentityAgent string

	// The files of known hosts are OpenSSH's defaults if nothing is said, and empty if it is "none".
	UserKnownHostsFile, GlobalKnownHostsFile []string
	RevokedHostKeys                          []string
	// StrictHostKeyChecking is "yes", "no", "off", "ask" or "accept-new".
	StrictHostKeyChecking string
	KnownHostsCommand     string

	// Lists of algorithms as they are written; see Algorithms.
	HostKeyAlgorithms, Ciphers, KexAlgorithms, MACs string

	AddressFamily, BindAddress          string
	PKCS11Provider, SecurityKeyProvider string
}

// Evaluate reads the files, where earlier ones win over later ones. Errors name
// file and line, and say what to do.
func Evaluate(q Query, files ...File) (Settings, error) {
	e := &evaluation{Query: q, set: map[string]value{}}
	if e.Etc == "" {
		e.Etc = "/etc/ssh"
	}
	explicit := func(keyword, v string) {
		if v != "" {
			e.set[keyword] = value{words: []string{v}}
		}
	}
	explicit("user", q.User)
	explicit("sessiontype", q.SessionType)
	if q.Port != 0 {
		explicit("port", strconv.Itoa(q.Port))
	}
	if explicit("proxyjump", q.Jump); q.Jump != "" {
		explicit("proxycommand", "none")
	}
	e.host = q.Host
	if err := e.pass(files); err != nil {
		return Settings{}, err
	}
	host, err := e.hostName()
	if err != nil {
		return Settings{}, err
	}
	e.host = canonical(host)
	if err := e.refuseCanonicalization(); err != nil {
		return Settings{}, err
	}
	if e.wantsFinal || e.canonicalizes() {
		e.final = true
		if err := e.pass(files); err != nil {
			return Settings{}, err
		}
	}
	return e.settings()
}

// canonical is an address in its usual form, and a name in lower case.
func canonical(host string) string {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String()
	}
	return strings.ToLower(host)
}

func (e *evaluation) canonicalizes() bool {
	v := e.word("canonicalizehostname")
	return v == "yes" || v == "always"
}

// refuseCanonicalization refuses where ssh would look up what the host is really called.
func (e *evaluation) refuseCanonicalization() error {
	always := e.word("canonicalizehostname") == "always"
	direct := none(e.word("proxycommand")) && none(e.word("proxyjump"))
	if _, err := netip.ParseAddr(e.host); err == nil || !direct && !always {
		return nil
	}
	var keyword, off string
	maxDots, err := strconv.Atoi(e.word("canonicalizemaxdots"))
	if err != nil {
		maxDots = 1
	}
	switch {
	case e.canonicalizes() && !none(e.word("canonicaldomains")) && strings.Count(e.host, ".") <= maxDots:
		keyword, off = "canonicalizehostname", "no"
	case !none(e.word("canonicalizepermittedcnames")):
		keyword, off = "canonicalizepermittedcnames", "none"
	default:
		return nil
	}
	v := e.set[keyword]
	return v.at.fail("%s asks for the canonical name of %q, which is not supported\n  Write the full name as HostName, and %s %s for this host before that line",
		v.keyword, e.Host, v.keyword, off)
}

// none says that a value is unset, or switched off.
func none(v string) bool { return v == "" || strings.EqualFold(v, "none") }
