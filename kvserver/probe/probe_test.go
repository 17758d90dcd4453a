package probe

import (
	"bytes"
	"encoding/json"
	"net"
	"strings"
	"sync"
	"testing"

	"quorate/kvserver"
)

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// meet runs the probe of each member at the same time.
func meet(t *testing.T, probes ...kvserver.PeerProbe) []kvserver.PeerProbeAnswer {
	t.Helper()
	out := make([]kvserver.PeerProbeAnswer, len(probes))
	var wg sync.WaitGroup
	for i, p := range probes {
		wg.Go(func() {
			in, err := json.Marshal(p)
			if err != nil {
				t.Error(err)
				return
			}
			var b bytes.Buffer
			if err := Run(t.Context(), bytes.NewReader(in), &b); err != nil {
				t.Error(err)
				return
			}
			if err := json.Unmarshal(b.Bytes(), &out[i]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return out
}

func TestEverybodyMeets(t *testing.T) {
	t.Parallel()
	at := map[string]string{"a": free(t), "b": free(t), "c": free(t)}
	var probes []kvserver.PeerProbe
	for _, n := range []string{"a", "b", "c"} {
		p := kvserver.PeerProbe{Name: n, Listen: at[n], TimeoutMS: 20_000}
		for _, o := range []string{"a", "b", "c"} {
			if o != n {
				p.Peers = append(p.Peers, kvserver.ProbePeer{Name: o, Address: at[o]})
			}
		}
		probes = append(probes, p)
	}
	for i, a := range meet(t, probes...) {
		if a.ListenError != "" || len(a.Unreached) > 0 {
			t.Errorf("%s: %+v", probes[i].Name, a)
		}
	}
}

// Two that cannot be reached: one where nobody is, one that is somebody else.
func TestUnreached(t *testing.T) {
	t.Parallel()
	a, b, nobody := free(t), free(t), free(t)
	out := meet(t,
		kvserver.PeerProbe{Name: "a", Listen: a, TimeoutMS: 400, Peers: []kvserver.ProbePeer{{Name: "b", Address: b}, {Name: "c", Address: nobody}, {Name: "d", Address: b}}},
		// It waits for one that never calls, so that it is there as long as a asks.
		kvserver.PeerProbe{Name: "b", Listen: b, TimeoutMS: 2000, Peers: []kvserver.ProbePeer{{Name: "a", Address: a}, {Name: "c", Address: nobody}}})
	if why := out[0].Unreached; len(why) != 2 || !strings.Contains(why["c"], "refused") || !strings.Contains(why["d"], `leads to "b"`) {
		t.Errorf("a: %v", why)
	}
	if why := out[1].Unreached; len(why) != 1 || why["c"] == "" {
		t.Errorf("b: %v", why)
	}
}

// A port that somebody has, and an address that this machine has not.
func TestCannotListen(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for at, want := range map[string]string{l.Addr().String(): "in use", "198.18.255.1:2380": "cannot assign"} {
		out := meet(t, kvserver.PeerProbe{Name: "a", Listen: at, TimeoutMS: 200})
		if !strings.Contains(out[0].ListenError, want) {
			t.Errorf("%s: %+v", at, out[0])
		}
	}
}

// Who is not asked about does not count: the probe goes on until its own peers have called.
func TestStrangersCall(t *testing.T) {
	t.Parallel()
	m := &meeting{missing: map[string]bool{"b": true}, all: make(chan struct{})}
	over := func() bool {
		select {
		case <-m.all:
			return true
		default:
			return false
		}
	}
	for _, caller := range []string{"", "x", "y"} {
		if m.met(caller); over() {
			t.Fatalf("it is over once %q has called", caller)
		}
	}
	m.met("b")
	m.met("b")
	if !over() {
		t.Error("it is not over once all have called")
	}
}
