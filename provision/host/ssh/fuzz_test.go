package ssh

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// FuzzSudoWords: what sudo says goes into an error that ends, and what the
// command says is passed on as it is, however both come in pieces.
func FuzzSudoWords(f *testing.F) {
	for _, said := range []string{"", "ops is not in the sudoers file.\n", "Sorry, try again.\n", "sudo: a password is required\n", "\xff\x00\n\n"} {
		f.Add([]byte(said), []byte("err\n"+started+"\n"), uint8(3))
	}
	s := sudo{user: "ops"}
	f.Fuzz(func(t *testing.T, said, rest []byte, piece uint8) {
		var to bytes.Buffer
		a := &afterStart{to: &to}
		text := slices.Concat(said, []byte(started+"\n"), rest)
		for p := range slices.Chunk(text, int(piece)+1) {
			if n, err := a.Write(p); err != nil {
				if len(text) <= 64<<10 {
					t.Fatal(err)
				}
				return
			} else if n != len(p) {
				t.Fatalf("%d of %d bytes were taken", n, len(p))
			}
		}
		_, want, _ := bytes.Cut(text, []byte(started+"\n"))
		if !a.began || !bytes.Equal(to.Bytes(), want) {
			t.Errorf("%q came out of %q", to.Bytes(), text)
		}
		err := s.explain(string(said), &Conn{hop: hop{host: "h"}})
		if text := err.Error(); len(text) > 2*len(said)+300 || strings.Count(text, "\n") != 1 {
			t.Errorf("%q", text)
		}
	})
}
