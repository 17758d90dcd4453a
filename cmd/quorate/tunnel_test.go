package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// echo serves a listener that says its name and then what it is told.
func echo(t *testing.T, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				fmt.Fprintln(c, name)
				_, _ = io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func testTunnel(t *testing.T) *tunnel {
	t.Helper()
	real := echo(t, "member")
	dial := func(ctx context.Context, member, network, address string) (net.Conn, error) {
		if member != "etcd1" || address != "192.0.2.1:2379" {
			return nil, errors.New("host is down")
		}
		return new(net.Dialer).DialContext(ctx, network, real)
	}
	tun, err := openTunnel(t.Context(), "s3cret", map[string]string{"192.0.2.1:2379": "etcd1", "192.0.2.2:2379": "etcd2"}, dial)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tun.Close)
	return tun
}

// connectThrough asks the proxy for an address and gives the connection and the status.
func connectThrough(t *testing.T, proxy, address string) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	u, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Host: address}, Header: http.Header{}}
	if u.User != nil {
		password, _ := u.User.Password()
		plain := &http.Request{Header: http.Header{}}
		plain.SetBasicAuth(u.User.Username(), password)
		r.Header.Set("Proxy-Authorization", plain.Header.Get("Authorization"))
	}
	if err := r.Write(c); err != nil {
		t.Fatal(err)
	}
	b := bufio.NewReader(c)
	resp, err := http.ReadResponse(b, r)
	if err != nil {
		t.Fatal(err)
	}
	return c, b, resp
}

func TestTunnel(t *testing.T) {
	t.Parallel()
	tun := testTunnel(t)
	c, b, resp := connectThrough(t, tun.proxyURL(), "192.0.2.1:2379")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %s", resp.Status)
	}
	fmt.Fprintln(c, "hello")
	for _, want := range []string{"member\n", "hello\n"} {
		if got, err := b.ReadString('\n'); err != nil || got != want {
			t.Fatalf("read %q, %v; want %q", got, err, want)
		}
	}
	// What is no member is dialled from here.
	other := echo(t, "elsewhere")
	_, b, resp = connectThrough(t, tun.proxyURL(), other)
	if got, err := b.ReadString('\n'); resp.StatusCode != http.StatusOK || err != nil || got != "elsewhere\n" {
		t.Errorf("elsewhere: %s %q %v", resp.Status, got, err)
	}
}

func TestTunnelRefuses(t *testing.T) {
	t.Parallel()
	tun := testTunnel(t)
	wrong := strings.Replace(tun.proxyURL(), "s3cret", "guess", 1)
	none := strings.Replace(tun.proxyURL(), "quorate:s3cret@", "", 1)
	for _, proxy := range []string{wrong, none} {
		if _, _, resp := connectThrough(t, proxy, "192.0.2.1:2379"); resp.StatusCode != http.StatusProxyAuthRequired {
			t.Errorf("a stranger got %s", resp.Status)
		}
	}
	if _, _, resp := connectThrough(t, tun.proxyURL(), "192.0.2.2:2379"); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("a dead member gave %s", resp.Status)
	} else if body, _ := io.ReadAll(resp.Body); !strings.Contains(string(body), "host is down") {
		t.Errorf("the reason is lost: %q", body)
	}
	r, err := http.NewRequest(http.MethodGet, "http://"+tun.listener.Addr().String()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Proxy-Authorization", "Basic cXVvcmF0ZTpzM2NyZXQ=")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET gave %s", resp.Status)
	}
}

func TestForward(t *testing.T) {
	t.Parallel()
	tun := testTunnel(t)
	address, err := tun.forward(t.Context(), "etcd1", "192.0.2.1:2379")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := bufio.NewReader(c).ReadString('\n'); err != nil || got != "member\n" {
		t.Errorf("read %q, %v", got, err)
	}
}
