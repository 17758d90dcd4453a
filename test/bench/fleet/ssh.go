package fleet

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"

	"quorate/provision/host/hosttest"
)

// server is the sshd of one simulated host.
type server struct {
	machine  *hosttest.Machine
	listener net.Listener
	config   *ssh.ServerConfig
}

func serve(m *hosttest.Machine, hostKey ssh.Signer, login ssh.PublicKey) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{machine: m, listener: l, config: &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if string(key.Marshal()) != string(login.Marshal()) {
				return nil, errors.New("refused")
			}
			return nil, nil
		},
	}}
	s.config.AddHostKey(hostKey)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.connection(c)
		}
	}()
	return s, nil
}

func (s *server) connection(c net.Conn) {
	defer c.Close()
	_, channels, requests, err := ssh.NewServerConn(c, s.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for n := range channels {
		switch n.ChannelType() {
		case "session":
			if channel, requests, err := n.Accept(); err == nil {
				go s.session(channel, requests)
			}
		case "direct-tcpip":
			go s.tunnel(n)
		default:
			_ = n.Reject(ssh.UnknownChannelType, "unknown")
		}
	}
}

// session answers one command: a look, asked for at once or as the first line
// of the input of a shell that waits.
func (s *server) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		if r.WantReply {
			_ = r.Reply(r.Type == "exec", nil)
		}
		var exec struct{ Command string }
		if r.Type != "exec" || ssh.Unmarshal(r.Payload, &exec) != nil {
			continue
		}
		go ssh.DiscardRequests(requests)
		in := bufio.NewReader(channel)
		command := exec.Command
		if !strings.Contains(command, "quorate-") { // what waits has no name
			var err error
			if command, err = in.ReadString('\n'); err != nil {
				return
			}
		}
		code := uint32(0)
		if err := s.look(command, in, channel); err != nil {
			_, _ = io.WriteString(channel.Stderr(), err.Error()+"\n")
			code = 1
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
		return
	}
}

func (s *server) look(command string, in io.Reader, out io.Writer) error {
	if !strings.Contains(command, "quorate-look") {
		return errors.New("a simulated host can be looked at and nothing else")
	}
	request, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	return answer(out, s.machine, string(request))
}

// tunnel joins a channel with the member's API.
func (s *server) tunnel(n ssh.NewChannel) {
	var to struct {
		Host     string
		Port     uint32
		From     string
		FromPort uint32
	}
	if err := ssh.Unmarshal(n.ExtraData(), &to); err != nil {
		_ = n.Reject(ssh.ConnectionFailed, "bad request")
		return
	}
	conn, err := s.machine.Host().DialContext(context.Background(), "tcp", to.Host)
	if err != nil {
		_ = n.Reject(ssh.ConnectionFailed, "Connection refused")
		return
	}
	defer conn.Close()
	channel, requests, err := n.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	go ssh.DiscardRequests(requests)
	go func() {
		_, _ = io.Copy(conn, channel)
		conn.Close()
	}()
	_, _ = io.Copy(channel, conn)
}
