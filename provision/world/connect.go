package world

import (
	"cmp"
	"context"

	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision/host"
	"quorate/provision/host/local"
	"quorate/provision/host/ssh"
)

// connector opens sessions with hosts as the spec says.
func connector(c *spec.Cluster, e Environment) func(context.Context, *spec.Member) (host.Host, error) {
	return func(ctx context.Context, m *spec.Member) (host.Host, error) {
		if m.Connection.Type == "local" {
			return local.New(local.Config{Name: m.Name, Root: plan.LayoutOf(c, m).Root, Now: e.Clock}), nil
		}
		conn, err := ssh.Dial(ctx, sshConfig(c, m, e))
		if err != nil {
			return nil, err
		}
		return ssh.New(conn), nil
	}
}

// sshConfig puts a connection of the spec into the adapter's words. Paths are
// relative to the spec's folder.
func sshConfig(c *spec.Cluster, m *spec.Member, e Environment) ssh.Config {
	s := m.Connection
	out := ssh.Config{
		Name: m.Name, Host: cmp.Or(s.Host, m.Address), Port: s.Port, User: s.User,
		Passphrase: s.Passphrase.Reveal(), Password: s.Password.Reveal(), Agent: s.Agent,
		SSHConfig: s.SSHConfig, ProxyJump: s.ProxyJump, KnownHostsFile: within(c, s.KnownHostsFile),
		HostKeys: s.HostKeys, StrictHostKeyChecking: s.StrictHostKeyChecking,
		Sudo: s.Sudo, SudoPassword: s.SudoPassword.Reveal(),
		ConnectTimeout: s.ConnectTimeout, WaitForHost: s.WaitForHost, KeepAlive: s.KeepAlive,
		Reads: e.Reads,
		Home:  e.Home, LocalUser: e.User, LocalHost: e.Hostname, AuthSock: e.AuthSock, Env: e.Env, Now: e.Clock,
	}
	if s.SSHConfig != "none" {
		out.SSHConfig = within(c, s.SSHConfig)
	}
	for _, f := range s.IdentityFile {
		out.IdentityFile = append(out.IdentityFile, within(c, f))
	}
	if e.Prompt != nil {
		out.Prompt = func(_ context.Context, file string) (string, error) {
			return e.Prompt("Passphrase for the SSH key "+file, false)
		}
	}
	return out
}
