package node_test

import (
	"fmt"
	"testing"

	"quorate/kvserver/node"
)

func TestInTheWay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		have, want string
		in         bool
	}{
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "127.0.0.2", false},
		{"0.0.0.0", "127.0.0.2", true},
		{"127.0.0.1", "0.0.0.0", true},
		{"0.0.0.0", "fd00::1", false},
		{"::", "fd00::1", true},
		{"::", "127.0.0.1", true}, // unless it was told otherwise, which cannot be seen
		{"fd00::1", "fd00::2", false},
		{"::ffff:10.0.0.1", "10.0.0.1", true},
		{"fe80::1", "fe80::1%eth0", true},
		{"10.0.0.1", "", true},
		{"10.0.0.1", "etcd1.example.com", true},
	} {
		t.Run(fmt.Sprintf("%s for %s", c.have, c.want), func(t *testing.T) {
			p := node.PortState{Known: true, Listeners: []node.PortListener{{Address: c.have, PID: 7}}}
			if got := len(p.InTheWay(c.want)) == 1; got != c.in {
				t.Errorf("in the way: %t, want %t", got, c.in)
			}
		})
	}
	if p := (node.PortState{Known: true}); p.Listening() || p.InTheWay("") != nil {
		t.Error("somebody listens where nobody does")
	}
}
