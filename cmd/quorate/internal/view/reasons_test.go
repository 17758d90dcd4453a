package view

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGather(t *testing.T) {
	t.Parallel()
	got := gather([]string{
		"account quorate is missing",
		"not there yet: /etc/quorate/lab, /etc/quorate/lab/etcd.yaml, /var/lib/quorate/lab",
		"not there yet: server, peer",
		"not there yet: /var/log/x",
		"/etc/quorate/lab/etcd.yaml was changed",
		"/etc/quorate/lab is missing",
		"/etc/quorate/lab/pki/server.pem: there is no key",
		"/var/lib/quorate/lab is missing",
		"/etc/quorate/lab/pki/peer.pem: there is no key",
		"/etc/quorate/lab/pki has mode 0755 instead of 0700",
	})
	want := []string{
		"account quorate is missing",
		"not there yet, below /: etc/quorate/lab, etc/quorate/lab/etcd.yaml, var/lib/quorate/lab",
		"not there yet: server, peer",
		"not there yet: /var/log/x",
		"/etc/quorate/lab/etcd.yaml was changed",
		"missing, below /: etc/quorate/lab, var/lib/quorate/lab",
		"there is no key, below /etc/quorate/lab/pki: server.pem, peer.pem",
		"/etc/quorate/lab/pki has mode 0755 instead of 0700",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
