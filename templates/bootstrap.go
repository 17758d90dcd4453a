package templates

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// InitialPeer is one member as a newcomer is told about it.
type InitialPeer struct {
	Name string
	URLs []string // of the peer traffic
}

// BootstrapParams is how a member with an empty data directory finds its cluster.
type BootstrapParams struct {
	Cluster string // for the comment at the top only
	Name    string // the member's name; one of Peers
	// Peers are all members of the cluster at that moment, the newcomer included, in any order.
	Peers []InitialPeer
	// Token tells this cluster from others; the same on all members of a new cluster.
	Token string
	// Existing: the member joins a cluster that lives; otherwise all Peers start a new one together.
	Existing bool
}

// Bootstrap renders the file that is merged over the configuration while the
// data directory holds no member, and not read any more once it does.
func Bootstrap(p BootstrapParams) ([]byte, error) {
	fail := func(err error) ([]byte, error) {
		return nil, fmt.Errorf("cannot write the bootstrap file of member %q: %w", p.Name, err)
	}
	if p.Token == "" {
		return fail(errors.New("the token is missing"))
	}
	for _, t := range []struct{ what, text string }{{"cluster name", p.Cluster}, {"name", p.Name}, {"token", p.Token}} {
		if err := oneLine(t.what, t.text); err != nil {
			return fail(err)
		}
	}
	peers := slices.Clone(p.Peers)
	slices.SortFunc(peers, func(a, b InitialPeer) int { return strings.Compare(a.Name, b.Name) })
	var list []string
	found := false
	for i, peer := range peers {
		if peer.Name == "" || strings.ContainsAny(peer.Name, "=,") {
			return fail(fmt.Errorf("%q cannot be the name of a member", peer.Name))
		}
		if len(peer.URLs) == 0 {
			return fail(fmt.Errorf("member %q has no peer URL", peer.Name))
		}
		for _, u := range peer.URLs {
			if strings.ContainsAny(u, ", ") || !strings.Contains(u, "://") {
				return fail(fmt.Errorf("%q of member %q is no peer URL", u, peer.Name))
			}
			list = append(list, peer.Name+"="+u)
		}
		if i > 0 && peers[i-1].Name == peer.Name {
			return fail(fmt.Errorf("member %q is listed twice", peer.Name))
		}
		found = found || peer.Name == p.Name
	}
	if !found {
		return fail(errors.New("it is not among the initial members"))
	}
	state := "new"
	if p.Existing {
		state = "existing"
	}
	return marshal([]string{
		fmt.Sprintf("How etcd member %s first finds cluster %s: merged over the configuration while", p.Name, p.Cluster),
		"the data directory holds no member, and not read any more once it does.",
	}, map[string]any{
		"initial-cluster":       strings.Join(list, ","),
		"initial-cluster-state": state,
		"initial-cluster-token": p.Token,
	})
}
