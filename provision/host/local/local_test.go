package local

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

func TestSuite(t *testing.T) {
	hosttest.Suite(t, func(t *testing.T) hosttest.Fixture {
		root := filepath.Join(t.TempDir(), "etcd1")
		address, port := talker(t)
		return hosttest.Fixture{
			Open: func(t *testing.T) host.Host { return New(Config{Name: "etcd1", Root: root, Now: time.Now}) },
			Dir:  filepath.Join(root, "suite"), Talker: address, ListeningPort: port,
			NoServices: "todo",
		}
	})
}

// talker listens on this machine and greets whoever connects.
func talker(t *testing.T) (address string, port int) {
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
			_, _ = c.Write([]byte("hello"))
			c.Close()
		}
	}()
	return l.Addr().String(), l.Addr().(*net.TCPAddr).Port
}
