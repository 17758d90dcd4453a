package provision

import (
	"strings"
	"testing"

	"quorate/kvserver"
	"quorate/kvserver/node"
)

// What a host says of a disk is taken where it fits together and fits the look; else it is unknown.
func TestInspection(t *testing.T) {
	t.Parallel()
	const whole = `{"data_dir":"/d","member":true,"cluster_id":"c","member_id":"1","bootstrap_only":true,"log":{"last_index":3}}`
	for _, tt := range []struct {
		said          string
		member, known bool
	}{
		{whole, true, true},
		{`{"data_dir":"/d","member":true,"problems":["damaged"]}`, true, true},
		{`{"data_dir":"/d","member":false}`, false, true},
		{whole, false, false},
		{`null`, false, false},
		{`{}`, false, false},
		{`{"data_dir":"/d"}`, true, false},
		{strings.Replace(whole, "/d", "/e", 1), true, false},
		{strings.Replace(whole, `"member_id":"1",`, "", 1), true, false},
		{strings.Replace(whole, `,"log":{"last_index":3}`, "", 1), true, false},
		{`{"data_dir":"/d","member":false,"cluster_id":"c","member_id":"1"}`, false, false},
		{`{"data_dir":"/d","member":false,"removed":["2"]}`, false, false},
	} {
		if got := inspection(node.ProbeState{Ran: true, Stdout: []byte(tt.said)}, "/d", tt.member); (got != nil) != tt.known {
			t.Errorf("%s beside a look that says %t: %+v", tt.said, tt.member, got)
		}
	}
}

// What the host says of keys is noted down of those that certificates were installed for, and only if it is a digest.
func TestDigestsOfKeys(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("ab", 32)
	r := &run{keys: map[string]map[string]string{}}
	r.installed("a", []kvserver.CertificatePair{{Key: "/1"}, {Key: "/2"}, {Key: "/3"}, {Key: "/4"}},
		map[string]string{"/1": sum, "/2": sum[:62], "/3": "\x1b[2J", "/etc/shadow": sum})
	if got := r.keys["a"]; len(got) != 1 || got["/1"] != sum {
		t.Errorf("noted down: %q", got)
	}
}
