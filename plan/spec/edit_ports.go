package spec

import "github.com/hashicorp/hcl/v2/hclsyntax"

// withPorts writes a member down with the ports it is to have, and loads that.
// write does it from the text as it is now, which is restored for a second try.
//
// Members of one machine cannot share ports. A local member that comes after
// others with the ports of their places gets those of its own, and nothing is written; otherwise
// the first pair behind the last member's, in steps of ten, that nobody has. On
// a host of its own a member gets what all the others have.
func (e *editor) withPorts(m NewMember, write func(NewMember) error) (*Edit, error) {
	begin, notes := e.text.bytes, e.notes
	try := func(m NewMember) (*Edit, error) {
		e.text.bytes, e.notes = begin, notes
		if err := e.parse(); err != nil {
			return nil, err
		}
		if err := write(m); err != nil {
			return nil, err
		}
		return e.load()
	}
	if !e.local() {
		return try(e.likeOthers(m))
	}
	last, n := e.cluster.Members[len(e.cluster.Members)-1], len(e.cluster.Members)
	inPlace := last.ClientPort == 2379+10*(n-1) && last.PeerPort == 2380+10*(n-1)
	// Beside a local member of another name that it replaces it has to run for a while.
	beside := e.replaces != nil && e.replaces.Name != m.Name
	if m.ClientPort != 0 && m.PeerPort != 0 || e.replaces != nil && !beside {
		return try(m)
	}
	if inPlace && !beside {
		if out, err := try(m); err == nil || !clashes(err) {
			return out, err
		}
	}
	var err error
	for i := 1; i <= maxTries; i++ {
		chosen := m
		if chosen.ClientPort == 0 {
			chosen.ClientPort = last.ClientPort + 10*i
		}
		if chosen.PeerPort == 0 {
			chosen.PeerPort = last.PeerPort + 10*i
		}
		var out *Edit
		if out, err = try(chosen); err == nil || !clashes(err) {
			return out, err
		}
	}
	return nil, err
}

// maxTries bounds the search for free ports; a machine has room for few members.
const maxTries = 100

// local reports whether all members are on this machine.
func (e *editor) local() bool {
	for _, m := range e.cluster.Members {
		if m.Connection.Type != "local" {
			return false
		}
	}
	return true
}

// likeOthers gives a member that says nothing of its ports those that all others have.
func (e *editor) likeOthers(m NewMember) NewMember {
	if e.replaces != nil {
		return m // it has its predecessor's
	}
	first := e.cluster.Members[0]
	client, peer := first.ClientPort, first.PeerPort
	for _, o := range e.cluster.Members {
		if o.ClientPort != client {
			client = 0
		}
		if o.PeerPort != peer {
			peer = 0
		}
	}
	if m.ClientPort == 0 && client != 2379 {
		m.ClientPort = client
	}
	if m.PeerPort == 0 && peer != 2380 {
		m.PeerPort = peer
	}
	return m
}

// pinPorts writes the ports of local members down that came of their place in
// the list, and would not be the same after a removal.
func (e *editor) pinPorts() error {
	now := e.text.bytes
	files := append([]File(nil), e.files...)
	files[e.file].Bytes = now
	s, _ := Load(files, e.options)
	if s == nil || s.Cluster(e.cluster.Name) == nil {
		// Ports that have shifted onto others' are pinned as well; whatever else it is, loading says so again.
		return e.pin(func(m *Member) (client, peer bool) { return m.Connection.Type == "local", m.Connection.Type == "local" })
	}
	return e.pin(func(m *Member) (client, peer bool) {
		is := s.Cluster(e.cluster.Name).Member(m.Name)
		return is != nil && is.ClientPort != m.ClientPort, is != nil && is.PeerPort != m.PeerPort
	})
}

// pin writes the ports down that shifted says of; those of members that do not stand in the text cannot be.
func (e *editor) pin(shifted func(*Member) (client, peer bool)) error {
	for _, m := range e.cluster.Members {
		client, peer := shifted(m)
		for _, p := range []struct {
			name  string
			port  int
			write bool
		}{{"client_port", m.ClientPort, client}, {"peer_port", m.PeerPort, peer}} {
			b := e.static(m.Name)
			if b == nil || !p.write || given(b, p.name) {
				continue
			}
			e.set(b, p.name, number(p.port))
			if err := e.parse(); err != nil {
				return err
			}
		}
	}
	return nil
}

// given reports whether a block has an attribute that is not plainly null.
func given(b *hclsyntax.Block, name string) bool {
	a := b.Body.Attributes[name]
	if a == nil {
		return false
	}
	l, ok := a.Expr.(*hclsyntax.LiteralValueExpr)
	return !ok || !l.Val.IsNull()
}
