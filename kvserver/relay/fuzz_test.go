package relay

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/iotest"
)

// FuzzRun: what goes in comes out as the member gave it back, however it comes in pieces.
func FuzzRun(f *testing.F) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); c.Close() }()
		}
	}()
	f.Add([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, in []byte, pieces bool) {
		var out bytes.Buffer
		o := Options{Address: l.Addr().String(), Raw: true, In: bytes.NewReader(in), Out: &out}
		if pieces {
			o.In = iotest.HalfReader(o.In)
		}
		if err := Run(t.Context(), o); err != nil || !bytes.Equal(out.Bytes(), in) {
			t.Errorf("%q came back as %q, %v", in, out.Bytes(), err)
		}
	})
}
