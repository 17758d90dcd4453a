package supervise

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// listener is one child's NOTIFY_SOCKET. A new one for each child, so that the
// last word of a dead one is not taken for the next one's.
type listener struct {
	path string
	said chan map[string]string
	conn *net.UnixConn
	done chan struct{}
}

// listen opens a datagram socket in a folder that only this user can enter.
func listen() (*listener, error) {
	// A socket's path has room for 104 bytes on macOS, 108 on Linux; what
	// TMPDIR names may be longer.
	var errs []error
	for _, base := range []string{os.TempDir(), "/tmp"} {
		dir, err := os.MkdirTemp(base, "kvserver-")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		path := filepath.Join(dir, "notify")
		conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			os.Remove(dir)
			errs = append(errs, err)
			continue
		}
		l := &listener{path: path, said: make(chan map[string]string), conn: conn, done: make(chan struct{})}
		go l.read()
		return l, nil
	}
	return nil, errors.Join(errs...)
}

func (l *listener) read() {
	buf := make([]byte, 8192)
	for {
		n, err := l.conn.Read(buf)
		if err != nil {
			return
		}
		said := map[string]string{}
		for line := range strings.SplitSeq(string(buf[:n]), "\n") {
			if key, v, ok := strings.Cut(line, "="); ok {
				said[key] = v
			}
		}
		select {
		case l.said <- said:
		case <-l.done:
			return
		}
	}
}

// Close ends the reading and removes the socket with its folder.
func (l *listener) Close() {
	close(l.done)
	l.conn.Close() // removes the socket
	os.Remove(l.path)
	os.Remove(filepath.Dir(l.path))
}
