package main

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"quorate/provision"
)

// tunnel lets a child process reach members through their hosts: an HTTP proxy
// on a loopback port that serves CONNECT only, to who knows this run's
// password. With a proxy the child names members by their real addresses.
type tunnel struct {
	ctx      context.Context
	password string
	owner    map[string]string // member by address
	dial     provision.Dial

	listener net.Listener
	server   *http.Server
	mu       sync.Mutex
	forwards []net.Listener
}

// openTunnel listens. Connections are made with ctx: a host that is slow to
// reach is reached once, however often the child gives up and asks again.
func openTunnel(ctx context.Context, password string, owner map[string]string, dial provision.Dial) (*tunnel, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("cannot open the tunnel: %w", err)
	}
	t := &tunnel{ctx: ctx, password: password, owner: owner, dial: dial, listener: l}
	t.server = &http.Server{Handler: t, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = t.server.Serve(l) }() // ends with Close
	return t, nil
}

// proxyURL is what HTTPS_PROXY is set to; it holds the password.
func (t *tunnel) proxyURL() string {
	return "http://quorate:" + t.password + "@" + t.listener.Addr().String()
}

// Close ends it.
func (t *tunnel) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.forwards {
		_ = l.Close()
	}
	_ = t.server.Close()
}

// ServeHTTP answers CONNECT.
func (t *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("quorate:"+t.password))
	switch {
	case subtle.ConstantTimeCompare([]byte(r.Header.Get("Proxy-Authorization")), []byte(want)) != 1:
		http.Error(w, "not for you", http.StatusProxyAuthRequired)
		return
	case r.Method != http.MethodConnect:
		http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
		return
	}
	far, err := t.connect(r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = far.Close()
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if _, err := io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		_, _ = near.Close(), far.Close()
		return
	}
	join(near, buffered, far)
}

// connect dials a member through its host, anything else from here, as etcdctl would.
func (t *tunnel) connect(address string) (net.Conn, error) {
	if member, ok := t.owner[address]; ok {
		return t.dial(t.ctx, member, "tcp", address)
	}
	return new(net.Dialer).DialContext(t.ctx, "tcp", address)
}

// forward opens a loopback port that stands for a member's address, and gives its address.
func (t *tunnel) forward(ctx context.Context, member, address string) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("cannot open the tunnel to member %q: %w", member, err)
	}
	t.mu.Lock()
	t.forwards = append(t.forwards, l)
	t.mu.Unlock()
	go func() {
		for {
			near, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			go func() {
				far, err := t.dial(ctx, member, "tcp", address)
				if err != nil {
					_ = near.Close()
					return
				}
				join(near, near, far)
			}()
		}
	}()
	return l.Addr().String(), nil
}

// join copies both ways until either side ends, and closes both.
func join(near net.Conn, from io.Reader, far net.Conn) {
	done := make(chan struct{}, 2)
	go func() { _, _ = io.Copy(far, from); done <- struct{}{} }()
	go func() { _, _ = io.Copy(near, far); done <- struct{}{} }()
	<-done
	_, _ = near.Close(), far.Close()
	<-done
}
