package history

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
	"golang.org/x/sync/errgroup"
)

// ErrTimeout is what Check returns when it could not decide in time. It says nothing about the history.
var ErrTimeout = errors.New("the history could not be judged in time")

// Check judges a history, key by key, in which no key has a value at first. It
// returns nil only if every key is linearizable; ErrTimeout if that was not decided within limit for
// each key; and else what is wrong, with the operations of the first key that is not.
func Check(ops []Operation, limit time.Duration) error {
	keys := map[string][]Operation{}
	for _, op := range ops {
		keys[op.Key] = append(keys[op.Key], op)
	}
	names := slices.Sorted(maps.Keys(keys))
	wrong := make([]error, len(names)) // the first in the order of keys is told, whoever is done first
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, name := range names {
		g.Go(func() error {
			if err := checkKey(keys[name], limit); err != nil {
				wrong[i] = fmt.Errorf("key %q: %w", name, err)
			}
			return nil
		})
	}
	_ = g.Wait()
	for _, err := range wrong {
		if err != nil && !errors.Is(err, ErrTimeout) {
			return err
		}
	}
	return errors.Join(wrong...)
}

// never is the return of a write that nobody has seen the effect of.
const never = time.Duration(math.MaxInt64)

// checkKey judges the operations on one key.
func checkKey(ops []Operation, limit time.Duration) error {
	if err := valid(ops); err != nil {
		return err
	}
	var history []porcupine.Operation
	for _, op := range bounded(ops) {
		history = append(history, porcupine.Operation{ClientId: op.Client, Input: op, Output: op, Call: int64(op.Call), Return: int64(op.Return)})
	}
	switch porcupine.CheckOperationsTimeout(register, history, limit) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("%w: %d operations, %s", ErrTimeout, len(history), limit)
	}
	return fmt.Errorf("the history is not linearizable:\n%s", explain(history, limit))
}

// valid says what makes a history unfit to be judged: a fault of who recorded it.
func valid(ops []Operation) error {
	written := map[string]bool{"": true}
	for _, op := range ops {
		if op.Return < op.Call {
			return fmt.Errorf("an operation returned before it was called: %s", op)
		}
		known := op.Outcome == Done || op.Outcome == Unknown || op.Outcome == Failed && op.Kind == CAS
		if !known || op.Kind != Put && op.Kind != Get && op.Kind != CAS {
			return fmt.Errorf("no such kind or outcome: %s", op)
		}
		if op.Kind == Get {
			continue
		}
		if written[op.Value] {
			return fmt.Errorf("value %q is written twice, or none: %s", op.Value, op)
		}
		written[op.Value] = true
	}
	return nil
}

// bounded replaces what is unknown by what follows for it. The answer is the same for both histories, and
// a search over unknown operations that may happen at any time would not end.
//
// A read that is unknown says nothing. A write that is unknown, and whose value nobody has found or compared with, may as
// well not have happened: whoever came after it on the key overwrote it unseen. One whose value was
// found (every value is written by one operation) has taken effect before the first who found it had its answer.
// What is left is one that only another unknown operation compared with: it may happen at any time, or
// at the end of all, which is as good as never.
func bounded(ops []Operation) []Operation {
	found := map[string]time.Duration{} // the first return of those that found a value
	find := func(value string, at time.Duration) {
		if before, ok := found[value]; !ok || at < before {
			found[value] = at
		}
	}
	for _, op := range ops {
		switch {
		case op.Outcome == Failed, op.Kind == Get && op.Outcome == Done:
			find(op.Seen, op.Return)
		case op.Kind == CAS && op.Outcome == Done:
			find(op.Expected, op.Return)
		case op.Kind == CAS:
			find(op.Expected, never)
		}
	}
	var out []Operation
	for _, op := range ops {
		if op.Outcome == Unknown {
			end, ok := found[op.Value]
			if op.Kind == Get || !ok {
				continue
			}
			// Found before it was called: porcupine shall say so, and wants an interval.
			op.Return = max(end, op.Call)
		}
		out = append(out, op)
	}
	return out
}

// register is one key; its state is the value, "" if it has none.
var register = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		value, op := state.(string), input.(Operation)
		switch {
		case op.Kind == Get:
			return op.Seen == value, value
		case op.Kind == Put:
			return true, op.Value
		case op.Outcome == Done:
			return op.Expected == value, op.Value
		case op.Outcome == Failed:
			return op.Seen == value && op.Expected != value, value
		case op.Expected == value: // an unknown CAS that takes effect
			return true, op.Value
		}
		return true, value
	},
}

// explain shows where the longest explanation of a history ends.
func explain(history []porcupine.Operation, limit time.Duration) string {
	_, info := porcupine.CheckOperationsVerbose(register, history, limit)
	var longest []porcupine.Operation
	for _, partial := range info.PartialLinearizationsOperations()[0] {
		if len(partial) > len(longest) {
			longest = partial
		}
	}
	placed := map[Operation]bool{}
	for _, op := range longest {
		placed[op.Input.(Operation)] = true
	}
	const most = 10 // of each, or nobody reads it
	var b strings.Builder
	fmt.Fprintf(&b, "  %d of %d operations can be put in an order; the last of them:\n", len(longest), len(history))
	for _, op := range longest[max(0, len(longest)-most):] {
		fmt.Fprintf(&b, "    %s\n", op.Input)
	}
	b.WriteString("  and the first of those that then cannot:\n")
	var left []Operation
	for _, op := range history {
		if o := op.Input.(Operation); !placed[o] {
			left = append(left, o)
		}
	}
	slices.SortFunc(left, func(a, b Operation) int { return cmp.Compare(a.Call, b.Call) })
	for _, op := range left[:min(most, len(left))] {
		fmt.Fprintf(&b, "    %s\n", op)
	}
	return b.String()
}
