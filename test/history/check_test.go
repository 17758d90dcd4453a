package history

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// story makes a history of one key. A line is "CALL RETURN CLIENT" and then one of
//
//	put VALUE | put VALUE ? | get VALUE | get ? | cas EXPECTED VALUE | cas EXPECTED VALUE found VALUE | cas EXPECTED VALUE ?
//
// with times in seconds; "?" is unknown and "-" no value.
func story(t *testing.T, text string) []Operation {
	t.Helper()
	none := func(s string) string { return strings.TrimPrefix(s, "-") }
	var ops []Operation
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		var call, ret float64
		op := Operation{Key: "k", Outcome: Done}
		if _, err := fmt.Sscan(strings.Join(f[:4], " "), &call, &ret, &op.Client, &op.Kind); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		op.Call, op.Return = time.Duration(call*1e9), time.Duration(ret*1e9)
		rest := f[4:]
		if rest[len(rest)-1] == "?" {
			op.Outcome = Unknown
		}
		switch op.Kind {
		case Put:
			op.Value = rest[0]
		case Get:
			if op.Outcome == Done {
				op.Seen = none(rest[0])
			}
		case CAS:
			op.Expected, op.Value = none(rest[0]), rest[1]
			if len(rest) == 4 {
				op.Outcome, op.Seen = Failed, none(rest[3])
			}
		}
		ops = append(ops, op)
	}
	return ops
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, story string
		want        string // in the error; "" is linearizable
	}{
		// What may be.
		{"nothing", "", ""},
		{"one after the other", `
			0 1 1 get -
			2 3 1 put a
			4 5 2 get a
			6 7 2 cas a b
			8 9 1 cas a c found b
			10 11 1 get b`, ""},
		{"beside each other, in either order", `
			0 9 1 put a
			0 9 2 put b
			1 8 3 get -
			10 11 3 get a`, ""},
		{"a write is seen before it is acknowledged", `
			0 9 1 put a
			1 2 2 get a
			3 4 3 get a`, ""},
		{"a key that is made by a compare-and-swap", `
			0 1 1 cas - a
			2 3 2 cas - b found a`, ""},
		{"an unknown write never happens", `
			0 1 1 put a
			2 3 2 put u ?
			4 5 1 get a
			6 7 1 get a`, ""},
		{"an unknown write happens after its client gave up", `
			0 1 1 put a
			2 3 2 put u ?
			4 5 1 get a
			6 7 1 put b
			8 9 1 get b
			10 11 3 get u`, ""},
		{"an unknown compare-and-swap happens late", `
			0 1 1 put a
			2 3 2 cas a u ?
			4 5 1 get a
			6 7 1 get u`, ""},
		{"unknown on unknown", `
			0 1 1 put u ?
			2 3 1 cas u v ?
			4 5 2 get -
			6 7 2 get v`, ""},
		{"an unknown read says nothing", `
			0 1 1 put a
			2 3 2 get ?
			4 5 1 get a`, ""},

		// What may not.
		{"a lost acknowledged write", `
			0 1 1 put a
			2 3 1 put b
			4 5 2 get a`, "not linearizable"},
		{"a lost acknowledged write, and nothing else there", `
			0 1 1 put a
			2 3 2 get -`, "not linearizable"},
		{"a lost acknowledged compare-and-swap", `
			0 1 1 put a
			2 3 1 cas a b
			4 5 2 get a`, "not linearizable"},
		{"a stale read", `
			0 1 1 put a
			2 3 1 put b
			4 5 2 get b
			6 7 3 get a`, "not linearizable"},
		{"a stale read while the write is under way", `
			0 1 1 put a
			2 9 1 put b
			3 4 2 get b
			5 6 3 get a`, "not linearizable"},
		{"a compare-and-swap that succeeded twice", `
			0 1 1 put a
			2 9 1 cas a b
			2 9 2 cas a c`, "not linearizable"},
		{"a compare-and-swap that failed for no reason", `
			0 1 1 put a
			2 3 2 cas a b found a`, "not linearizable"},
		{"a value that nobody wrote", `
			0 1 1 put a
			2 3 2 get x`, "not linearizable"},
		{"an unknown write that happens twice", `
			0 1 1 put u ?
			2 3 2 get u
			4 5 2 put b
			6 7 3 get b
			8 9 3 get u`, "not linearizable"},
		{"an unknown write that happens before it is called", `
			0 1 2 get u
			2 3 1 put u ?`, "not linearizable"},
		{"an unknown compare-and-swap whose value never was", `
			0 1 1 put a
			2 3 2 cas x u ?
			4 5 1 get u`, "not linearizable"},

		// What nobody can judge.
		{"the same value twice", `
			0 1 1 put a
			2 3 2 put a`, "written twice"},
		{"an operation from the end to the beginning", `
			2 1 1 put a`, "returned before it was called"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := Check(story(t, c.story), time.Minute)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("want an error with %q, got %v", c.want, err)
			}
		})
	}
}

// A search that does not end in time is no success.
func TestCheckThatTakesTooLong(t *testing.T) {
	t.Parallel()
	var ops []Operation
	for i := range 400 { // all at once, and a read that no order explains
		ops = append(ops, Operation{Client: i, Key: "k", Kind: Put, Value: fmt.Sprint(i), Outcome: Done, Return: time.Second})
	}
	ops = append(ops, Operation{Key: "k", Kind: Get, Seen: "x", Outcome: Done, Call: 2 * time.Second, Return: 3 * time.Second})
	if err := Check(ops, 50*time.Millisecond); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v, want %v", err, ErrTimeout)
	}
	// A key that is wrong is not hidden by one that takes too long.
	ops = append(ops, Operation{Key: "l", Kind: Get, Seen: "x", Outcome: Done})
	if err := Check(ops, 50*time.Millisecond); err == nil || errors.Is(err, ErrTimeout) {
		t.Errorf("got %v, want the key that is not linearizable", err)
	}
}

// simulated is a history of clients of real registers, as large as the stories' own: each operation takes
// effect at one instant between its call and its return, and one in fifty is unknown, half of those without an
// effect, some of them with one after their client gave up. At the end every key is read alone.
func simulated(seed uint64, clients, keys, operations int) []Operation {
	rnd := rand.New(rand.NewPCG(seed, seed))
	type pending struct {
		op Operation
		at time.Duration
	}
	var todo []pending
	clock := make([]time.Duration, clients)
	for i := range operations {
		c := rnd.IntN(clients)
		op := Operation{Client: c, Key: fmt.Sprintf("k%02d", rnd.IntN(keys)), Kind: []Kind{Put, Get, CAS}[rnd.IntN(3)], Outcome: Done}
		op.Call = clock[c] + time.Duration(1+rnd.IntN(100))
		op.Return = op.Call + time.Duration(1+rnd.IntN(1000))
		clock[c] = op.Return
		at := op.Call + time.Duration(rnd.Int64N(int64(op.Return-op.Call)+1))
		if op.Kind != Get {
			op.Value = fmt.Sprint("v", i)
		}
		if rnd.IntN(50) == 0 {
			op.Outcome = Unknown
			if at += time.Duration(rnd.IntN(3000)); rnd.IntN(2) == 0 {
				at = never
			}
		}
		todo = append(todo, pending{op, at})
	}
	// In the order of effect; what CAS expects is what somebody has just written, half of the time.
	var order []int
	for i := range todo {
		order = append(order, i)
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(todo[a].at, todo[b].at) })
	value := map[string]string{}
	end := time.Duration(0)
	for _, i := range order {
		p := &todo[i]
		now := value[p.op.Key]
		end = max(end, p.op.Return)
		if p.op.Kind == CAS {
			p.op.Expected = now
			if rnd.IntN(2) == 0 {
				p.op.Expected = "v0"
			}
		}
		if p.at == never {
			continue
		}
		end = max(end, p.at)
		wrote := p.op.Kind == Put || p.op.Kind == CAS && p.op.Expected == now
		if wrote {
			value[p.op.Key] = p.op.Value
		}
		if p.op.Outcome == Done && !wrote {
			p.op.Seen = now
			if p.op.Kind == CAS {
				p.op.Outcome = Failed
			}
		}
	}
	var ops []Operation
	for _, p := range todo {
		ops = append(ops, p.op)
	}
	for k := range keys {
		key := fmt.Sprintf("k%02d", k)
		ops = append(ops, Operation{Key: key, Kind: Get, Outcome: Done, Seen: value[key], Call: end + 1, Return: end + 2})
	}
	return ops
}

// A true history of full size is accepted, and the same one without a single acknowledged write is rejected.
func TestOneLostWriteOfTwentyThousandIsFound(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		ops := simulated(seed, 8, 64, 20_000)
		if err := Check(ops, time.Minute); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		lost, write, ok := LoseOne(ops)
		if !ok {
			t.Fatalf("seed %d: no write to lose", seed)
		}
		err := Check(lost, time.Minute)
		if err == nil || errors.Is(err, ErrTimeout) {
			t.Fatalf("seed %d: %s was lost, and the history was judged with %v", seed, write, err)
		}
		if !strings.Contains(err.Error(), fmt.Sprintf("key %q", write.Key)) {
			t.Errorf("seed %d: %s was lost, and the error says %v", seed, write, err)
		}
	}
}

func TestLoseOneNeedsALoneRead(t *testing.T) {
	t.Parallel()
	if _, _, ok := LoseOne(story(t, `
		0 1 1 put a
		2 3 1 put b
		3 4 2 get b`)); ok {
		t.Error("the read was not alone")
	}
	lost, write, ok := LoseOne(story(t, `
		0 1 1 put a
		2 3 1 put b
		4 5 2 get b`))
	if !ok || write.Value != "b" || lost[2].Seen != "a" {
		t.Errorf("got %v, %v, %v", lost, write, ok)
	}
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	r := NewRecorder()
	r.Do(Operation{Client: 3, Key: "k", Kind: Put, Value: "a"}, func() (Outcome, string) { return Done, "" })
	r.Do(Operation{Client: 3, Key: "k", Kind: Get}, func() (Outcome, string) {
		time.Sleep(time.Millisecond)
		return Done, "a"
	})
	r.Do(Operation{Client: 3, Key: "k", Kind: Get}, func() (Outcome, string) { return Unknown, "" })
	ops := r.Operations()
	if len(ops) != 3 || r.Count(Done) != 2 || r.Count(Unknown, Failed) != 1 {
		t.Fatalf("got %v", ops)
	}
	if ops[1].Call < ops[0].Return || ops[1].Return-ops[1].Call < time.Millisecond || ops[1].Seen != "a" {
		t.Errorf("got %v", ops)
	}
	if err := Check(ops, time.Second); err != nil {
		t.Error(err)
	}
}
