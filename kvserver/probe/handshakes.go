package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"quorate/kvserver"
)

// RunHandshakes reads one [kvserver.Handshakes] as JSON and writes a [kvserver.HandshakesAnswer].
func RunHandshakes(ctx context.Context, in io.Reader, out io.Writer) error {
	var h kvserver.Handshakes
	if err := json.NewDecoder(in).Decode(&h); err != nil {
		return fmt.Errorf("cannot read with whom to shake hands: %w", err)
	}
	a, err := ShakeHands(ctx, h)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(a)
}

// ShakeHands makes a new connection to each peer as the member here would, and sees that both ends show
// the common name, that each accepts the other's certificate, and that the peer answers. The error
// is about the files of this end.
func ShakeHands(ctx context.Context, h kvserver.Handshakes) (kvserver.HandshakesAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, min(time.Duration(h.TimeoutMS)*time.Millisecond, longest))
	defer cancel()
	var a kvserver.HandshakesAnswer
	pair, err := tls.LoadX509KeyPair(h.Cert, h.Key)
	if err != nil {
		return a, fmt.Errorf("cannot use the peer certificate: %w", err)
	}
	if have := pair.Leaf.Subject.CommonName; have != h.CommonName {
		return a, fmt.Errorf("the peer certificate %s has the common name %q, not %q", h.Cert, have, h.CommonName)
	}
	text, err := os.ReadFile(h.CA)
	if err != nil {
		return a, fmt.Errorf("cannot read the CA certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return a, fmt.Errorf("%s has no certificate", h.CA)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12,
		VerifyConnection: func(s tls.ConnectionState) error {
			if have := s.PeerCertificates[0].Subject.CommonName; have != h.CommonName {
				return fmt.Errorf("it shows a certificate with the common name %q, not %q", have, h.CommonName)
			}
			return nil
		},
	}}
	a.Failed = failures(h.Peers, func(p kvserver.ProbePeer) error { return Greet(ctx, transport, "https://"+p.Address) })
	return a, nil
}

// Greet asks the peer at a URL for its version, as etcd itself does before it joins, on a connection of
// its own: with TLS 1.3 only an answer says that our own certificate was accepted.
func Greet(ctx context.Context, transport http.RoundTripper, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/version", nil)
	if err != nil {
		return err
	}
	r.Close = true
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // without the request's own words
		}
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 1<<10)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}
