package ssh

import (
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// What waits in a spare session becomes exactly the command that it is told,
// and leaves the command's input alone, in every shell there is.
func TestWaitingForACommand(t *testing.T) {
	t.Parallel()
	argv := []string{"printf", "[%s]", "a b", "", "new\nline\n", `\n \\n \c \0101 \x41 %s %%`, `'quoted' "twice" $HOME $(id) !x`, "tab\tend\r", "\xff\xfe é", "-"}
	var want strings.Builder
	for _, a := range argv[2:] {
		want.WriteString("[" + a + "]")
	}
	input := "first\nlast without an end"
	tried := 0
	for _, shell := range [][]string{{"dash"}, {"bash"}, {"busybox", "sh"}, {"sh"}} {
		if _, err := exec.LookPath(shell[0]); err != nil {
			continue
		}
		tried++
		cmd := exec.Command(shell[0], append(shell[1:], "-c", waiting)...)
		line := "exec " + quote([]string{"sh", "-c", `"$@"; cat`, "x"}) + " " + quote(argv)
		cmd.Stdin = io.MultiReader(strings.NewReader(asLine(line)), strings.NewReader(input))
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != want.String()+input {
			t.Errorf("%s: %v\ngot  %q\nwant %q", shell, err, out, want.String()+input)
		}
	}
	if tried == 0 {
		t.Fatal("there is no shell here")
	}
}

// A spare session that has ended meanwhile is not used.
func TestSparesThatEnded(t *testing.T) {
	t.Parallel()
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users()})
	c := newBox(t, s, "root").mustDial(t)
	for _, s := range c.spares {
		<-s.done
		if !s.ready {
			t.Fatal("a spare session that nobody waited for is not ready")
		}
		if err := s.channel.CloseWrite(); err != nil { // what waits in it reads the end, and ends
			t.Fatal(err)
		}
		for len(s.requests) == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	r, err := New(c).Run(t.Context(), host.Command{Argv: []string{"cat"}, Stdin: []byte("in")})
	if err != nil || string(r.Stdout) != "in" {
		t.Errorf("%q, %v", r.Stdout, err)
	}
}

// Who only looks at a host keeps one session ahead, for the first command, and opens none after it.
func TestSparesOfAReader(t *testing.T) {
	t.Parallel()
	s := hosttest.NewServer(t, hosttest.ServerOptions{Users: users()})
	b := newBox(t, s, "root")
	b.c.Reads = true
	c := b.mustDial(t)
	for left := range 2 {
		if n := len(c.spares); n != 1-left {
			t.Errorf("%d sessions are kept ahead after %d commands", n, left)
		}
		r, err := New(c).Run(t.Context(), host.Command{Argv: []string{"cat"}, Stdin: []byte("in")})
		if err != nil || string(r.Stdout) != "in" {
			t.Errorf("%q, %v", r.Stdout, err)
		}
	}
}

// TestDistance: how far a host is, by the fastest answer, decides what is opened ahead and how files travel.
func TestDistance(t *testing.T) {
	t.Parallel()
	k := &Conn{}
	if k.Near() || k.ahead() != reserved {
		t.Error("a host of which nothing is known counts as near, or as far")
	}
	for _, step := range []struct {
		took  time.Duration
		ahead int
		near  bool
	}{
		{farAway, reservedFar, false},
		{time.Second, reservedFar, false}, // a busy moment
		{farAway - 1, reserved, false},
		{lan, reserved, false},
		{lan / 2, reserved, true},
		{0, reserved, true}, // a coarse clock
	} {
		k.travelled(step.took)
		if k.ahead() != step.ahead || k.Near() != step.near {
			t.Errorf("after %s: %d ahead, near %t", step.took, k.ahead(), k.Near())
		}
	}
	k.c.Reads = true
	if k.ahead() != 1 {
		t.Error("who only looks keeps more than one session ahead")
	}
}
