package sshconfig

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Jump is one bastion; User is "" and Port 0 where they are not written.
type Jump struct {
	User, Host string
	Port       int
}

// ParseJumps reads a chain of bastions, "[user@]host[:port]" or the same after
// "ssh://", with commas between them. "" and "none" are none.
func ParseJumps(chain string) ([]Jump, error) {
	if none(chain) {
		return nil, nil
	}
	var jumps []Jump
	for text := range strings.SplitSeq(chain, ",") {
		text = strings.TrimSpace(text)
		var j Jump
		rest := strings.TrimPrefix(text, "ssh://")
		if i := strings.LastIndex(rest, "@"); i >= 0 {
			if j.User, rest = rest[:i], rest[i+1:]; j.User == "" {
				return nil, fmt.Errorf("the bastion %q has no user before the @", text)
			}
		}
		j.Host = rest
		if host, port, err := net.SplitHostPort(rest); err == nil {
			if j.Port, err = strconv.Atoi(port); err != nil || j.Port < 1 || j.Port > 65535 {
				return nil, fmt.Errorf("the bastion %q has no valid port", text)
			}
			j.Host = host
		}
		j.Host = strings.TrimSuffix(strings.TrimPrefix(j.Host, "["), "]")
		if j.Host == "" || strings.ContainsAny(text, space) {
			return nil, fmt.Errorf("the bastion %q has no host", text)
		}
		jumps = append(jumps, j)
	}
	return jumps, nil
}
