package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"quorate/kvserver/servertest"
)

// process is a net.Conn over the input and output of a command.
type process struct {
	io.Reader
	io.WriteCloser
	cmd   *exec.Cmd
	once  sync.Once
	ended chan error // what it ended with, once closed
}

func (p *process) Close() error {
	p.once.Do(func() {
		p.WriteCloser.Close()
		p.ended <- p.cmd.Wait()
	})
	return nil
}

func (p *process) LocalAddr() net.Addr              { return &net.UnixAddr{Name: "relay"} }
func (p *process) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "relay"} }
func (p *process) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (p *process) SetReadDeadline(time.Time) error  { return nil }
func (p *process) SetWriteDeadline(time.Time) error { return nil }

func relayTo(m *servertest.Member) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	at := func(name string) string { return filepath.Join(m.Dir, name) }
	c := exec.Command(exe, "relay", "--address", m.Endpoint().Address, "--ca", at("ca.pem"), "--cert", at("server.pem"), "--key", at("server-key.pem"))
	c.Env = append(os.Environ(), "QUORATE_SERVERTEST_MAIN=1")
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &process{Reader: out, WriteCloser: in, cmd: c, ended: make(chan error, 1)}, c.Start()
}

// A gRPC client without TLS of its own, over the relay's pipe, with a real member behind it.
func TestRelay(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 1)
	c.Start()
	m := c.Members[0]
	var last *process
	client, err := grpc.NewClient("passthrough:///"+m.Name, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			p, err := relayTo(m)
			last = p
			return p, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), servertest.Wait)
	defer cancel()
	s, err := pb.NewMaintenanceClient(client).Status(ctx, &pb.StatusRequest{})
	if err != nil || s.GetVersion() != "3.7.3" {
		t.Fatalf("%v %v", s, err)
	}
	l, err := pb.NewClusterClient(client).MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
	if err != nil || len(l.GetMembers()) != 1 || l.GetMembers()[0].GetName() != "m1" {
		t.Fatalf("%v %v", l, err)
	}
	// Something larger, both ways and at once.
	value := []byte(strings.Repeat("v", 1<<20))
	done := make(chan error)
	for i := range 4 {
		go func() {
			key := fmt.Appendf(nil, "k%d", i)
			_, err := pb.NewKVClient(client).Put(ctx, &pb.PutRequest{Key: key, Value: value})
			if err == nil {
				var r *pb.RangeResponse
				r, err = pb.NewKVClient(client).Range(ctx, &pb.RangeRequest{Key: key})
				if err == nil && len(r.GetKvs()[0].GetValue()) != len(value) {
					err = errors.New("cut short")
				}
			}
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	client.Close()
	// It ends with its input, and nothing went wrong.
	select {
	case err := <-last.ended:
		if err != nil {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Error("it still runs")
	}
	if out, err := run(t, "relay", "--address", "192.0.2.1:2379", "--ca", filepath.Join(m.Dir, "ca.pem")); err == nil || !strings.Contains(out, "no address of this host") || strings.Count(out, "\n") != 1 {
		t.Errorf("%v %s", err, out)
	}
}
