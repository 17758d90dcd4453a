package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEtcdctlArgs(t *testing.T) {
	t.Parallel()
	ours := []string{"--endpoints=https://a:1,https://b:1", "--cacert=/d/ca.pem", "--cert=/d/cert.pem", "--key=/d/key.pem"}
	for _, c := range []struct{ args, want []string }{
		{[]string{"get", "/x"}, append([]string{"etcdctl"}, append(ours, "get", "/x")...)},
		{[]string{"--endpoints=https://b:1", "get", "x"}, append([]string{"etcdctl"}, append(ours[1:], "--endpoints=https://b:1", "get", "x")...)},
		{[]string{"--endpoints", "https://b:1", "get", "x"}, append([]string{"etcdctl"}, append(ours[1:], "--endpoints", "https://b:1", "get", "x")...)},
		{[]string{"put", "k", "--", "--endpoints"}, append([]string{"etcdctl"}, append(ours, "put", "k", "--", "--endpoints")...)},
	} {
		if d := cmp.Diff(c.want, etcdctlArgs(map[string]string{"cacert": "/d/ca.pem", "cert": "/d/cert.pem", "key": "/d/key.pem"}, []string{"https://a:1", "https://b:1"}, c.args)); d != "" {
			t.Errorf("%q: %s", c.args, d)
		}
	}
}

func TestOneEndpoint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want bool
	}{
		{[]string{"snapshot", "save", "f"}, true},
		{[]string{"-w", "json", "snapshot", "save", "f"}, true},
		{[]string{"--endpoints=https://b:1", "snapshot", "save", "f"}, false},
		{[]string{"put", "endpoint", "x"}, true},
		{[]string{"get", "x"}, true},
		{[]string{"--debug", "get", "x"}, true},
		{[]string{"-w", "json", "endpoint", "status"}, false},
		{[]string{"-wtable", "member", "list"}, true},
		{[]string{"--command-timeout", "9s", "defrag"}, false},
		{[]string{"move-leader", "8e9e05c52164694d"}, false},
		{[]string{"get", "--help"}, false},
		{[]string{"-w", "json"}, false},
	} {
		if got := oneEndpoint(c.args); got != c.want {
			t.Errorf("%q: %t", c.args, got)
		}
	}
}

func TestChildEnvironment(t *testing.T) {
	t.Parallel()
	got := childEnvironment([]string{"HOME=/h", "ETCDCTL_API=3", "ETCDCTL_ENDPOINTS=x", "https_proxy=p", "NO_PROXY=*", "ALL_PROXY=p", "LANG=C", "ETCD_NAME=x"})
	if d := cmp.Diff([]string{"HOME=/h", "LANG=C", "ETCD_NAME=x"}, got); d != "" {
		t.Error(d)
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{"127.0.0.1": true, "127.9.9.9": true, "::1": true, "localhost": true, "192.168.7.101": false, "node1": false} {
		if loopback(host) != want {
			t.Errorf("%s: %t", host, !want)
		}
	}
}

func TestShellQuote(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/a/b-c_d.pem":          "/a/b-c_d.pem",
		"https://10.0.0.1:2379": "https://10.0.0.1:2379",
		"":                      "''",
		"a b":                   "'a b'",
		"it's":                  `'it'\''s'`,
		"$(reboot)":             "'$(reboot)'",
		"~/x":                   "'~/x'",
	} {
		if got := shellQuote(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
