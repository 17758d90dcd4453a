// Package ssh reaches hosts over SSH: x/crypto/ssh for the connection, the
// posix package's scripts for the work. It knows
// ssh_config, bastions, agents, known_hosts and sudo.
//
// It does not run OpenSSH's programs, forwards no agent to a host, and never
// accepts a host key that changed. Only connecting is ever retried. The
// commands that it runs here are those of Match exec in ssh_config.
package ssh

import (
	"context"
	"net"
	"time"
)

// Config says how one host is reached. Explicit values win over ssh_config.
type Config struct {
	// Name of the host for output and errors.
	Name string
	// Host to dial, or the alias under which ssh_config knows it.
	Host string
	// Port; 0 is ssh_config's, else 22.
	Port int
	// User to log in as; empty is ssh_config's, else LocalUser.
	User string
	// IdentityFile are private key files, or the .pub files of keys in the agent, tried in order before anything else.
	// Empty means ssh_config's, else the agent's keys and OpenSSH's default files. A bastion is offered
	// ssh_config's for it first of all, these if there are none.
	IdentityFile []string
	// Passphrase opens encrypted key files.
	Passphrase string
	// Password logs in, tried before keys. It is sent to the host only, not to bastions.
	Password string
	// Agent says whether the agent at AuthSock is asked.
	Agent bool
	// SSHConfig is the only file to read; empty is Home/.ssh/config and /etc/ssh/ssh_config as far as they exist, "none" reads none.
	SSHConfig string
	// ProxyJump is a chain of bastions, "[user@]host[:port]", outermost first.
	// Nil is ssh_config's; ["none"] is none.
	ProxyJump []string
	// KnownHostsFile; empty is ssh_config's, else Home/.ssh/known_hosts. Those of GlobalKnownHostsFile,
	// else /etc/ssh/ssh_known_hosts, are read as well.
	KnownHostsFile string
	// HostKeys pins the host's keys, "ssh-ed25519 AAAA…" or "SHA256:…"; known_hosts is then not read for it
	// (bastions still are looked up there).
	HostKeys []string
	// StrictHostKeyChecking is "yes" or "accept-new"; empty is ssh_config's, else "yes".
	// ssh_config's "no" means accept-new here: a changed key is always refused.
	StrictHostKeyChecking string
	// Sudo is "auto" (the default: when the user is not root), "always" or "never".
	Sudo string
	// SudoPassword for sudo; empty is Password. sudo may need none.
	SudoPassword string
	// ConnectTimeout bounds one attempt to connect, login included, for each hop; 0 is 15 s.
	ConnectTimeout time.Duration
	// WaitForHost bounds how long attempts are repeated while a host is being born; 0 is one attempt.
	WaitForHost time.Duration
	// KeepAlive is the interval of keepalives; the connection is given up when
	// three in a row go unanswered. 0 sends none.
	KeepAlive time.Duration

	// Reads says that few commands follow, as when hosts are only looked at: one
	// session is kept ahead for the first of them, and none is opened after that.
	// Each costs the host a shell.
	Reads bool

	// Home is the operator's home folder, LocalUser their login name, AuthSock the agent's socket (SSH_AUTH_SOCK).
	Home, LocalUser, AuthSock string
	// LocalHost is this machine's name, for the tokens of ssh_config; Env its environment, nil is empty.
	LocalHost string
	Env       func(name string) (string, bool)
	// Prompt asks for the passphrase of a key file that the host accepts and
	// Passphrase does not open; nil does not ask. It may be called from several
	// goroutines at once.
	Prompt func(ctx context.Context, keyFile string) (string, error)
	// Dialer makes the outermost connection; nil is net.Dialer's.
	Dialer func(ctx context.Context, network, address string) (net.Conn, error)
	// Retrying, if set, is told before an attempt is repeated.
	Retrying func(attempt int, cause error)
	// Now is the clock, for the host's own; nil is time.Now.
	Now func() time.Time

	etc string // where the system's files are; empty is /etc/ssh
}

const (
	defaultTimeout = 15 * time.Second
	// missedKeepAlives before a connection is given up: OpenSSH's ServerAliveCountMax.
	missedKeepAlives = 3
	// maxHops bounds chains of bastions, against loops in ssh_config.
	maxHops = 8
)

func (c Config) withDefaults() Config {
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = defaultTimeout
	}
	if c.etc == "" {
		c.etc = "/etc/ssh"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sudo == "" {
		c.Sudo = "auto"
	}
	if c.SudoPassword == "" {
		c.SudoPassword = c.Password
	}
	return c
}
