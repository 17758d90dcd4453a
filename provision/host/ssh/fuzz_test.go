package ssh

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// FuzzBeforeTheMark: what a login shell prints is no part of a command's output, which is passed on as it
// is, however both come in pieces; and what sudo says goes into an error that ends.
func FuzzBeforeTheMark(f *testing.F) {
	const mark = "quorate-MARK"
	for _, said := range []string{"", "ops is not in the sudoers file.\n", "Sorry, try again.\n", "sudo: a password is required\n", "\xff\x00\n\n", "hello from bashrc"} {
		f.Add([]byte(said), []byte("err\n"+mark+"\n"), uint8(3))
	}
	f.Fuzz(func(t *testing.T, said, rest []byte, piece uint8) {
		var to bytes.Buffer
		a := &afterMark{mark: mark, to: &to}
		text := slices.Concat(said, []byte(mark+"\n"), rest)
		for p := range slices.Chunk(text, int(piece)+1) {
			if n, err := a.Write(p); err != nil {
				if len(text) <= mostBefore {
					t.Fatal(err)
				}
				return
			} else if n != len(p) {
				t.Fatalf("%d of %d bytes were taken", n, len(p))
			}
		}
		_, want, _ := bytes.Cut(text, []byte(mark+"\n"))
		if !a.began || !bytes.Equal(to.Bytes(), want) {
			t.Errorf("%q came out of %q", to.Bytes(), text)
		}
		k := &Conn{hop: hop{host: "h", user: "ops"}}
		for _, err := range []error{k.explainSudo(1, &told{said: said}), k.noShell(1, string(said))} {
			if text := err.Error(); len(text) > 2*len(said)+700 || strings.Count(text, "\n") != 1 {
				t.Errorf("%q", text)
			}
		}
	})
}
