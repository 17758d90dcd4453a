package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quorate/pki"
	"quorate/pki/authority"
	"quorate/pki/keypair"
)

// place is a host's folder with an authority and certificates of it.
type place struct {
	t  *testing.T
	ca *authority.Authority
	// names of the server's certificate
	names []string
	Options
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir := t.TempDir()
	ca, _, err := authority.Store{Dir: dir, Name: "CA", KeyAlgorithm: "ecdsa-p256", Lifetime: time.Hour}.Open(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, ca: ca, names: []string{"127.0.0.1", "localhost"}, Options: Options{CA: filepath.Join(dir, "bundle.pem"), In: strings.NewReader(""), Out: io.Discard}}
	if err := os.WriteFile(p.CA, ca.Bundle(), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Cert, p.Key = p.sign("client", pki.Client)
	return p
}

func (p *place) sign(name string, profile pki.Profile, sans ...string) (cert, key string) {
	p.t.Helper()
	k, err := keypair.Generate("ecdsa-p256")
	if err != nil {
		p.t.Fatal(err)
	}
	csr, _ := keypair.Request(k, name)
	text, _, err := p.ca.Sign(p.t.Context(), csr, "ecdsa-p256", pki.Request{Profile: profile, CommonName: name, SANs: sans, Lifetime: time.Hour}, time.Now())
	if err != nil {
		p.t.Fatal(err)
	}
	dir := filepath.Dir(p.CA)
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem")
	keyText, _ := keypair.Encode(k)
	if err := errors.Join(os.WriteFile(cert, text, 0o600), os.WriteFile(key, keyText, 0o600)); err != nil {
		p.t.Fatal(err)
	}
	return cert, key
}

// serve runs a TLS server for one connection.
func (p *place) serve(f func(net.Conn), protocols ...string) {
	p.t.Helper()
	cert, key := p.sign("server", pki.Server, p.names...)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		p.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.ca.Bundle())
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots, NextProtos: protocols})
	if err != nil {
		p.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		f(c)
	}()
	p.t.Cleanup(func() { l.Close(); <-done })
	p.Address = l.Addr().String()
}

func (p *place) fails(want ...string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	err := Run(ctx, p.Options)
	if err == nil {
		p.t.Error("no error")
		return
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			p.t.Errorf("%v, want %q", err, w)
		}
	}
}

func TestRelay(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.serve(func(c net.Conn) { io.Copy(c, c) }, "h2") // until the caller ends
	p.Address = strings.Replace(p.Address, "127.0.0.1", "localhost", 1)
	var out strings.Builder
	text := strings.Repeat("0123456789", 100_000)
	p.In, p.Out = strings.NewReader(text), &out
	if err := Run(t.Context(), p.Options); err != nil {
		t.Fatal(err)
	}
	if out.String() != text {
		t.Errorf("%d of %d bytes came back", out.Len(), len(text))
	}
}

// The ends: the member's, and nobody's.
func TestEnds(t *testing.T) {
	t.Parallel()
	t.Run("the member closes", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		p.serve(func(c net.Conn) { c.Write([]byte("bye")) }, "h2")
		r, w := io.Pipe()
		defer w.Close()
		var out strings.Builder
		p.In, p.Out = r, &out
		if err := Run(t.Context(), p.Options); err != nil || out.String() != "bye" {
			t.Errorf("%v %q", err, out.String())
		}
	})
	t.Run("nothing is heard", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		p.serve(func(c net.Conn) { io.Copy(io.Discard, c) }, "h2")
		r, w := io.Pipe()
		defer w.Close()
		p.In, p.Idle = r, 50*time.Millisecond
		p.fails("nothing was heard for 50ms")
	})
	t.Run("the caller ends, and the member does not", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		stay := make(chan struct{})
		p.serve(func(c net.Conn) { io.ReadFull(c, make([]byte, 2)); <-stay }, "h2")
		p.In = strings.NewReader("hi")
		if err := Run(t.Context(), p.Options); err != nil {
			t.Error(err)
		}
		close(stay)
	})
	t.Run("nobody takes the answer", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		p.serve(func(c net.Conn) { c.Write([]byte("hello")); io.Copy(io.Discard, c) }, "h2")
		r, w := io.Pipe()
		defer w.Close()
		or, ow := io.Pipe()
		or.Close()
		p.In, p.Out = r, ow
		p.fails("cannot pass its answer on")
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.1:2379":   "no address of this host", // RFC 5737: nobody's
		"[2001:db8::1]:80": "no address of this host",
		"0.0.0.0:2379":     "no address of this host",
		"127.0.0.1":        "missing port",
		"127.0.0.1:https":  "HOST:PORT",
		"127.0.0.1:0":      "HOST:PORT",
		":2379":            "HOST:PORT",
		"127.0.0.1:1":      "refused",
	} {
		p := newPlace(t)
		p.Address = address
		p.fails(address, want)
	}
	for name, tc := range map[string]struct {
		spoil func(p *place)
		want  string
	}{
		"no authority":           {func(p *place) { p.CA = "" }, "no such file"},
		"an authority of others": {func(p *place) { p.CA = newPlace(p.t).CA }, "unknown authority"},
		"no certificate in it":   {func(p *place) { p.CA = p.Key }, "has no certificate"},
		"half a pair":            {func(p *place) { p.Key = "" }, "with key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.serve(func(c net.Conn) { io.Copy(io.Discard, c) }, "h2")
			tc.spoil(p)
			p.fails(tc.want)
		})
	}
	t.Run("another name", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		p.names = []string{"etcd9.example.org"}
		p.serve(func(c net.Conn) { io.Copy(io.Discard, c) }, "h2")
		p.fails("127.0.0.1", "x509")
	})
	t.Run("no certificate shown", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		p.serve(func(c net.Conn) { io.Copy(io.Discard, c) }, "h2")
		p.Cert, p.Key = "", ""
		r, w := io.Pipe()
		defer w.Close()
		p.In = r
		p.fails("certificate required")
	})
	t.Run("no HTTP/2", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		p.serve(func(c net.Conn) { io.Copy(io.Discard, c) })
		p.fails("does not speak HTTP/2")
	})
	t.Run("no TLS", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if c, err := l.Accept(); err == nil {
				c.Write([]byte("220 hello\r\n"))
				c.Close()
			}
		}()
		defer l.Close()
		p := newPlace(t)
		p.Address = l.Addr().String()
		p.fails("tls")
	})
}

// TestRaw: the bytes go through as they are; nobody here speaks TLS.
func TestRaw(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	var out strings.Builder
	text := strings.Repeat("not TLS ", 100_000)
	if err := Run(t.Context(), Options{Address: l.Addr().String(), Raw: true, In: strings.NewReader(text), Out: &out}); err != nil {
		t.Fatal(err)
	}
	if out.String() != text {
		t.Errorf("%d of %d bytes came back", out.Len(), len(text))
	}
}
