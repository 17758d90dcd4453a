package provision

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"quorate/kvserver/node"
	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision/host"
)

// Session is the connections with one cluster's hosts. Hosts are connected
// when first needed, each once. Methods may be called from many goroutines.
// Close ends everything, locks included.
type Session struct {
	world   World
	cluster *spec.Cluster
	layout  map[string]plan.Layout
	hosts   map[string]*connection

	mu       sync.Mutex
	admin    Admin
	verb     plan.Verb                                  // that locks are taken for
	outside  map[string]outsider                        // members that the spec does not have, by the names of their hosts
	relayed  map[string]bool                            // members whose hosts forbid forwarding
	moved    map[string]string                          // client addresses of members that serve elsewhere than the spec says
	locks    map[string]func() error                    // by member: what gives its host's lock back
	unlocked map[string]error                           // by member: why its host's lock could not be taken
	wrap     func(member string, h host.Host) host.Host // the journal's ear, nil outside a run
	lost     map[string]error                           // hosts whose connection has died since
	found    map[string]*host.Look                      // by member: what was seen as its host was locked, until somebody observes

	dependents bool // see WithDependents
}

// connection is a host that may not be connected yet.
type connection struct {
	member *spec.Member
	once   sync.Once
	ready  chan struct{}
	host   host.Host
	err    error
}

// Open prepares a session; it connects nothing yet.
func Open(w World, c *spec.Cluster) *Session {
	s := &Session{
		world: w, cluster: c, layout: map[string]plan.Layout{}, hosts: map[string]*connection{}, relayed: map[string]bool{},
		moved: map[string]string{}, locks: map[string]func() error{}, unlocked: map[string]error{}, lost: map[string]error{}, found: map[string]*host.Look{}, outside: map[string]outsider{},
	}
	for _, m := range slices.Concat(s.machines(), c.DependentMachines()) {
		if s.hosts[m.Name] != nil {
			continue
		}
		s.layout[m.Name] = plan.LayoutOf(c, m)
		s.hosts[m.Name] = &connection{member: m, ready: make(chan struct{})}
	}
	return s
}

// machines are the members, and the machines that are no members and that something is installed on.
func (s *Session) machines() []*spec.Member {
	return slices.Concat(s.cluster.Members, s.cluster.Consumers())
}

// Host is the connected host of a member, connecting it first if need be. The
// error of a failed connection is kept: nobody waits for it twice.
func (s *Session) Host(ctx context.Context, member string) (host.Host, error) {
	s.mu.Lock()
	c, ok := s.hosts[member]
	s.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("cluster %q has no member %q", s.cluster.Name, member)
	}
	c.once.Do(func() {
		defer close(c.ready)
		c.host, c.err = s.world.Connect(ctx, c.member)
	})
	select {
	case <-c.ready:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if c.err != nil {
		return nil, c.err
	}
	s.mu.Lock()
	wrap := s.wrap
	s.mu.Unlock()
	if wrap != nil {
		return wrap(member, c.host), nil
	}
	return c.host, nil
}

// Reader is a member's host for those who only look: it has no method that writes.
func (s *Session) Reader(ctx context.Context, member string) (host.Reader, error) {
	return s.Host(ctx, member)
}

// Admin is the client of the members' API. Who asks, in this order: the
// client certificate that was named; a certificate made for this session, where
// the CA's key can be had without asking anybody; each host's own client
// certificate, used on the host through kvserver relay. The last needs nothing
// on this side, and costs a process on each host.
func (s *Session) Admin(ctx context.Context) (Admin, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.admin != nil {
		return s.admin, nil
	}
	t, err := s.credentials(ctx)
	if err != nil {
		return nil, err
	}
	dial := s.Dial
	if t == nil {
		dial = s.relay
	} else {
		// What is asked here are ids, versions and health, and it goes through SSH, which carries all else that a
		// look reads: a post-quantum exchange of its own would cost a twentieth of the look. ctl has one.
		t = t.Clone()
		t.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}
	}
	ends := s.endpoints()
	for _, name := range slices.Sorted(maps.Keys(s.outside)) {
		ends = append(ends, Endpoint{Name: name, Address: s.outside[name].address})
	}
	s.admin = s.world.Admin(ends, t, dial)
	return s.admin, nil
}

// AskAs has the members asked with the certificate of a client of the spec's;
// "" leaves the choice as it is. To be called before anything is asked.
func (s *Session) AskAs(client string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if client != "" {
		s.world.Client = client
	}
}

// forgetAdmin has the next question decide anew who asks.
func (s *Session) forgetAdmin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.closeAdmin() // nothing is on its way
}

// closeAdmin ends the client of the members' API, if there is one; the caller holds mu.
func (s *Session) closeAdmin() error {
	if s.admin == nil {
		return nil
	}
	err := s.admin.Close()
	s.admin = nil
	return err
}

// How long the certificate is valid that members are asked with: who only looks is done in
// seconds; a run, or a watch through ctl, shows it again whenever it connects anew, for a working day.
const (
	lookLifetime = 10 * time.Minute
	runLifetime  = 8 * time.Hour
)

// credentials to ask members with; nil is those of their hosts.
func (s *Session) credentials(ctx context.Context) (*tls.Config, error) {
	switch {
	case s.world.Client != "":
		return s.world.Authority.ClientTLS(s.world.Client)
	case s.world.Authority.Ready():
		lifetime := lookLifetime
		if len(s.locks) > 0 {
			lifetime = runLifetime
		}
		t, err := s.world.Authority.Operator(ctx, lifetime)
		if err != nil {
			return nil, fmt.Errorf("cannot make a client certificate for this run: %w", err)
		}
		return t, nil
	}
	return nil, nil
}

// direct reports whether members are asked through forwarded connections, which cost their hosts no process.
func (s *Session) direct() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.relayed) == 0 && (s.world.Client != "" || s.world.Authority.Ready())
}

// relay is a connection with a member that its host has made, with its own certificate.
func (s *Session) relay(ctx context.Context, member, _, address string) (net.Conn, error) {
	member = s.askedThrough(member)
	h, err := s.Reader(ctx, member)
	if err != nil {
		return nil, err
	}
	l := s.layout[member]
	return h.Relay(ctx, []string{l.KVServer, "relay", "--address", address, "--ca", l.CA, "--cert", l.Cert("client"), "--key", l.Key("client")})
}

// Endpoints are the members' client addresses in the spec's order: where they
// serve now, which may not be where the spec wants them.
func (s *Session) Endpoints() []Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endpoints()
}

func (s *Session) endpoints() []Endpoint {
	var out []Endpoint
	for _, m := range s.cluster.Members {
		out = append(out, Endpoint{Name: m.Name, Address: cmp.Or(s.moved[m.Name], wanted(m))})
	}
	return out
}

// wanted is the client address that the spec gives a member.
func wanted(m *spec.Member) string { return node.HostPort(m.Address, m.ClientPort) }

// relocate has a member asked at another address from now on; "" is the
// spec's. Questions on their way are ended.
func (s *Session) relocate(member, address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moved[member] == address {
		return
	}
	s.moved[member] = address
	_ = s.closeAdmin() // its endpoints are not the members' any more
}

// Operator gives the TLS configuration of the client that was named, see
// [Session.AskAs]; else of a short-lived client certificate, for which the CA's key is opened.
func (s *Session) Operator(ctx context.Context) (*tls.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.world.Client != "" {
		return s.world.Authority.ClientTLS(s.world.Client)
	}
	return s.world.Authority.Operator(ctx, runLifetime)
}

// Dial opens a connection from a member's host: the tunnel.
func (s *Session) Dial(ctx context.Context, member, network, address string) (net.Conn, error) {
	member = s.askedThrough(member)
	h, err := s.Reader(ctx, member)
	if err != nil {
		return nil, err
	}
	conn, err := s.tunnel(ctx, h, member, network, address)
	var dead *host.UnreachableError
	if errors.As(err, &dead) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lost[member] = err
	}
	return conn, err
}

// tunnel is a connection from the host: forwarded by its SSH server, or, where
// that forbids it, relayed by kvserver there, which sees the same bytes.
func (s *Session) tunnel(ctx context.Context, h host.Reader, member, network, address string) (net.Conn, error) {
	s.mu.Lock()
	relayed := s.relayed[member]
	s.mu.Unlock()
	var forbidden *host.ForwardingError
	if !relayed {
		conn, err := h.DialContext(ctx, network, address)
		if !errors.As(err, &forbidden) {
			return conn, err
		}
		s.mu.Lock()
		s.relayed[member] = true // it will say no again
		s.mu.Unlock()
	}
	return h.Relay(ctx, []string{s.layout[member].KVServer, "relay", "--raw", "--address", address})
}

// alive is nil as long as nobody has found the connection with a host dead, or failed to make it. A
// connection is not made twice in a session: its lock is gone with it.
func (s *Session) alive(member string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.hosts[member]; c != nil {
		select {
		case <-c.ready:
			return cmp.Or(s.lost[member], c.err)
		default:
		}
	}
	return s.lost[member]
}

// anybody is nil as long as some host of the spec's may still answer in this session; else it says why none does.
func (s *Session) anybody() error {
	var errs []error
	for _, m := range s.cluster.Members {
		err := s.alive(m.Name)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// connectAll connects every host, together, and waits until each has or has not.
func (s *Session) connectAll(ctx context.Context) {
	all := s.machines()
	parallel(len(all), func(i int) { _, _ = s.Host(ctx, all[i].Name) })
}

// Close ends the session.
func (s *Session) Close() error {
	s.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := []error{s.closeAdmin()}
	for _, name := range slices.Sorted(maps.Keys(s.hosts)) {
		c := s.hosts[name]
		c.once.Do(func() { c.err = net.ErrClosed; close(c.ready) })
		<-c.ready
		if c.host != nil {
			errs = append(errs, c.host.Close())
		}
	}
	if s.world.Stamps != nil {
		errs = append(errs, s.world.Stamps.Save())
	}
	return errors.Join(errs...)
}

// parallel runs f(0) … f(n-1) together and waits for all.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}
