package spec

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// connection merges a member's connection block with the cluster's, attribute
// by attribute, and fills the defaults.
func (l *loader) connection(n, cluster *node, m *Member, c *Cluster) Connection {
	n.parent = cluster
	kind := n.text("type")
	l.checkConnection(n, kind)
	if kind == "local" {
		return Connection{Type: kind, Root: l.root(n, cluster, m, c)}
	}
	conn := l.login(n)
	if conn.Host == "" {
		conn.Host = m.Address
	}
	return conn
}

// outside is how the host of a member is reached that the spec does not have: by what the cluster's block
// says, without anything that is one host's own.
func (l *loader) outside(n *node, c *Cluster) Connection {
	if n.text("type") == "local" {
		root := ".quorate/" + c.Name
		if v, ok := n.given("root"); ok {
			root = l.localPath(v)
		}
		return Connection{Type: "local", Root: root}
	}
	conn := l.login(n)
	conn.Host, conn.HostKeys = "", nil
	return conn
}

// login is what a block says of an SSH connection.
func (l *loader) login(n *node) Connection {
	conn := Connection{
		Type:                  "ssh",
		Host:                  n.text("host"),
		Port:                  int(n.number("port")),
		User:                  n.text("user"),
		Passphrase:            n.secret("passphrase"),
		Password:              n.secret("password"),
		Agent:                 n.flag("agent"),
		SSHConfig:             l.home(n.text("ssh_config")),
		ProxyJump:             n.texts("proxy_jump"),
		KnownHostsFile:        l.home(n.text("known_hosts_file")),
		HostKeys:              n.texts("host_keys"),
		StrictHostKeyChecking: n.text("strict_host_key_checking"),
		Sudo:                  n.text("sudo"),
		SudoPassword:          n.secret("sudo_password"),
		ConnectTimeout:        n.value("connect_timeout").span,
		WaitForHost:           n.value("wait_for_host").span,
		KeepAlive:             n.value("keep_alive").span,
	}
	for _, f := range n.texts("identity_file") {
		conn.IdentityFile = append(conn.IdentityFile, l.home(f))
	}
	return conn
}

// root is the folder of a local host: relative to the spec's folder unless absolute.
func (l *loader) root(n, cluster *node, m *Member, c *Cluster) string {
	if v, ok := n.given("root"); ok {
		return l.localPath(v)
	}
	if v, ok := cluster.given("root"); ok && !n.bad("root") {
		return path.Join(l.localPath(v), m.Name)
	}
	return l.defaultValue(n.block.attr("root"), map[string]string{"cluster": c.Name, "member": m.Name}, n.at).text
}

// checkConnection looks at what this very block says; kind is the type that
// its member ends up with.
func (l *loader) checkConnection(n *node, kind string) {
	for _, a := range n.block.attrs {
		v := n.values[a.name]
		if !v.given || a.name == "type" {
			continue
		}
		switch {
		case kind == "local" && a.name != "root":
			l.fail(v.at, "Attribute without use", fmt.Sprintf("%s is about SSH, and this connection is local.", a.name), "Remove it, or write type = \"ssh\".")
		case kind == "ssh" && a.name == "root":
			l.fail(v.at, "Attribute without use", "root is about local hosts, and this connection goes over SSH.", "Remove it, or write type = \"local\".")
		}
	}
	if kind == "local" {
		if v, ok := n.given("root"); ok && cleanPath(l.home(v.text)) == "/" {
			l.fail(v.at, "Bad root", "A local host whose root is / would write into this machine's own system folders.", `Name a folder for it, for example: root = ".quorate/lab/etcd1"`)
		}
		return
	}
	l.checkLogin(n)
	l.checkHostKeys(n)
	if v, ok := n.given("connect_timeout"); ok && v.span == 0 {
		l.fail(v.at, "Bad timeout", "With a connect_timeout of zero every attempt fails at once.", `For example: connect_timeout = "10s"`)
	}
}

// loginName is what ssh takes before the @ of a destination.
var loginName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+@\\-]*$`)

func (l *loader) checkLogin(n *node) {
	if v, ok := n.given("host"); ok && !sshHost(v.text) {
		l.fail(v.at, "Bad host", fmt.Sprintf("%q is neither an IP address nor a host name.", v.text), "Write only the host, and user and port in their own attributes.")
	}
	if v, ok := n.given("user"); ok && !loginName.MatchString(v.text) {
		l.fail(v.at, "Bad user", fmt.Sprintf("%q is no login name.", v.text), `For example: user = "admin"`)
	}
	if v, ok := n.given("proxy_jump"); ok {
		for i, j := range v.texts {
			if cause := checkJump(j); cause != "" && !(j == "none" && len(v.texts) == 1) {
				l.fail(v.element(i), "Bad bastion", fmt.Sprintf("%q is no bastion: %s.", j, cause), `Bastions are written [user@]host[:port], one in each string, for example: proxy_jump = ["admin@bastion.example.com:22"]`)
			}
		}
	}
	if v, ok := n.given("sudo_password"); ok && n.text("sudo") == "never" {
		l.fail(v.at, "Attribute without use", "sudo_password is given, and sudo is \"never\".", "Remove one of them.")
	}
}

// sshHost reports whether s can be dialled or be an alias in ssh_config,
// where names may have underscores.
func sshHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return hostName(strings.ReplaceAll(s, "_", "x"))
}

// checkJump says what is wrong with "[user@]host[:port]", or "".
func checkJump(s string) string {
	if strings.Contains(s, ",") {
		return "it has a comma"
	}
	host := s
	if i := strings.LastIndex(s, "@"); i >= 0 {
		if !loginName.MatchString(s[:i]) {
			return "it has no login name before the @"
		}
		host = s[i+1:]
	}
	port := ""
	if rest, ok := strings.CutPrefix(host, "["); ok {
		var after string
		if host, after, ok = strings.Cut(rest, "]"); !ok {
			return "its bracket is not closed"
		}
		if after != "" {
			if port, ok = strings.CutPrefix(after, ":"); !ok || port == "" {
				return "something other than a port follows the bracket"
			}
		}
	} else if h, p, ok := strings.Cut(host, ":"); ok && !strings.Contains(p, ":") {
		if host, port = h, p; port == "" {
			return "its port is missing"
		}
	}
	if port != "" {
		if p, err := strconv.Atoi(port); err != nil || p < 1 || p > 65535 {
			return fmt.Sprintf("%q is no port", port)
		}
	}
	if !sshHost(host) {
		return fmt.Sprintf("%q is neither an IP address nor a host name", host)
	}
	return ""
}

// keyTypes are the host key algorithms that x/crypto/ssh verifies.
var keyTypes = []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa",
	"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"}

func (l *loader) checkHostKeys(n *node) {
	v, ok := n.given("host_keys")
	if !ok {
		return
	}
	for i, k := range v.texts {
		if cause := checkHostKey(k); cause != "" {
			l.fail(v.element(i), "Bad host key", fmt.Sprintf("%q is no host key: %s.", k, cause), "Take it from ssh-keyscan HOST (\"ssh-ed25519 AAAA…\", without the host's name) or from ssh-keygen -lf FILE (\"SHA256:…\").")
		}
	}
	if s, ok := n.given("strict_host_key_checking"); ok && s.text == "accept-new" && len(v.texts) > 0 {
		l.fail(s.at, "Attributes against each other", "host_keys pins the keys, so there is no new one to accept.", "Remove strict_host_key_checking or host_keys.")
	}
}

func checkHostKey(k string) string {
	if fp, ok := strings.CutPrefix(k, "SHA256:"); ok {
		if b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(fp, "=")); err != nil || len(b) != 32 {
			return "a fingerprint is the base64 of 32 bytes"
		}
		return ""
	}
	fields := strings.Fields(k)
	switch {
	case len(fields) > 1 && slices.Contains(keyTypes, fields[1]):
		return "something stands before its type"
	case len(fields) == 0 || !slices.Contains(keyTypes, fields[0]):
		return "it starts with none of " + strings.Join(keyTypes[:5], ", ")
	case len(fields) == 1:
		return "the key itself is missing"
	}
	// The blob begins with the length and the name of its type (RFC 4253, 6.6).
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil || len(blob) < 4+len(fields[0]) || string(blob[4:4+len(fields[0])]) != fields[0] {
		return "what follows its type is not such a key in base64"
	}
	return ""
}

// checkReachable warns about an address that other machines cannot dial.
func (l *loader) checkReachable(n *node, m *Member) {
	ip, err := netip.ParseAddr(m.Address)
	if (err == nil && ip.IsLoopback()) || m.Address == "localhost" {
		l.warn(n.where("address"), "Loopback address", fmt.Sprintf("%s reaches member %q only from its own host.", m.Address, m.Name),
			"Use the host's address in the network, or connection { type = \"local\" } for members on this machine.")
	}
}
