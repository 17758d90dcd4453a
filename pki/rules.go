package pki

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Backdate is how long before its making a certificate starts to be valid, so
// that a host whose clock is a little behind takes it at once. cfssl's own
// default is the same five minutes.
const Backdate = 5 * time.Minute

// Want is what a certificate is held against.
type Want struct {
	Request Request
	// CA is the authority that has to have signed it; a zero Fingerprint asks nothing.
	CA Certificate
	// KeyAlgorithm that its key has to be of; empty asks nothing.
	KeyAlgorithm string
	// PublicKey that it has to be for (the key at hand); empty asks nothing.
	PublicKey string
	Now       time.Time
	// RenewBefore is the window before expiry in which it counts as due.
	RenewBefore time.Duration
}

// Mismatch lists the reasons why certificate c does not serve w, in a fixed
// order; none means that it serves and is left alone. A changed lifetime alone
// is no reason: it counts from the next renewal on.
func Mismatch(c Certificate, w Want) []string {
	var why []string
	add := func(format string, a ...any) { why = append(why, fmt.Sprintf(format, a...)) }
	r := w.Request
	switch {
	case w.Now.Before(c.NotBefore):
		add("not valid before %s", day(c.NotBefore))
	case !w.Now.Before(c.NotAfter):
		add("expired on %s", day(c.NotAfter))
	case Due(c, w):
		add("expires on %s, within %s", day(c.NotAfter), span(window(r.Lifetime, w.RenewBefore)))
	}
	if w.CA.Fingerprint != "" && c.Issuer != w.CA.Fingerprint {
		add("not signed by the cluster's CA")
	}
	if w.PublicKey != "" && c.PublicKey != w.PublicKey {
		add("made for another key")
	}
	if w.KeyAlgorithm != "" && c.KeyAlgorithm != w.KeyAlgorithm {
		add("key is %s, not %s", c.KeyAlgorithm, w.KeyAlgorithm)
	}
	if c.IsCA {
		add("is a CA certificate")
	}
	if c.Subject != r.CommonName {
		add("common name is %q, not %q", c.Subject, r.CommonName)
	}
	if have, want := slices.Sorted(slices.Values(c.Organization)), slices.Sorted(slices.Values(r.Organization)); !slices.Equal(have, want) {
		add("organization is [%s], not [%s]", strings.Join(have, " "), strings.Join(want, " "))
	}
	have, want := CanonicalSANs(c.SANs), CanonicalSANs(r.SANs)
	if missing := without(want, have); len(missing) > 0 {
		add("lacks %s", strings.Join(missing, ", "))
	}
	// A name that the member no longer has lets its certificate pass for another machine.
	if extra := without(have, want); len(extra) > 0 {
		add("still carries %s", strings.Join(extra, ", "))
	}
	if !slices.Contains(c.Profiles, r.Profile) {
		add("lacks the usage %s", r.Profile)
	}
	return why
}

// Due reports whether c should be renewed now: it has expired, or expires
// within w.RenewBefore and a certificate made now would last longer. The
// second half matters when the CA itself ends soon: leaves end with their CA,
// and renewing them would go on for ever and gain nothing. For the same reason
// the window is never more than half the lifetime.
func Due(c Certificate, w Want) bool {
	if !w.Now.Before(c.NotAfter) {
		return true
	}
	if c.NotAfter.Sub(w.Now) > window(w.Request.Lifetime, w.RenewBefore) {
		return false
	}
	return NotAfter(w.Now, w.Request.Lifetime, w.CA).After(c.NotAfter)
}

// NotAfter is when a certificate made now ends: after its lifetime, but never
// after its CA, whose NotAfter is not looked at when it is zero.
func NotAfter(now time.Time, lifetime time.Duration, ca Certificate) time.Time {
	end := now.Add(lifetime)
	if !ca.NotAfter.IsZero() && ca.NotAfter.Before(end) {
		return ca.NotAfter
	}
	return end
}

// Usages are the profiles that a certificate made for profile p is good for.
// A server certificate is also a client's, since etcd's gRPC gateway dials its
// own listener with it; a peer certificate is for both ends.
func Usages(p Profile) (serverAuth, clientAuth bool) {
	switch p {
	case Server, Peer:
		return true, true
	case Client:
		return false, true
	}
	return false, false
}

// Profiles are the profiles that a certificate with these usages serves.
func Profiles(serverAuth, clientAuth bool) []Profile {
	switch {
	case serverAuth && clientAuth:
		return []Profile{Server, Peer, Client}
	case clientAuth:
		return []Profile{Client}
	case serverAuth:
		return nil // a bare server certificate breaks etcd's gateway, so it is no Server here
	}
	return nil
}

// CanonicalSANs returns the names sorted, each once, in the one spelling that
// certificates use: addresses as netip writes them (IPv4-mapped ones as IPv4),
// host names in lower case without a final dot.
func CanonicalSANs(names []string) []string {
	out := make([]string, 0, len(names))
	for _, n := range names {
		if ip, err := netip.ParseAddr(n); err == nil {
			out = append(out, ip.Unmap().WithZone("").String())
		} else if n = strings.TrimSuffix(strings.ToLower(n), "."); n != "" {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

func window(lifetime, renewBefore time.Duration) time.Duration {
	if lifetime > 0 && renewBefore > lifetime/2 {
		return lifetime / 2
	}
	return renewBefore
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

func span(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		if d == day {
			return "1 day"
		}
		return fmt.Sprintf("%d days", d/day)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
