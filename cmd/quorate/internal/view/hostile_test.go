package view

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"quorate/plan"
	"quorate/provision"
)

// evil clears the screen, sets the clipboard, hides, and turns the order of what follows around.
const evil = "x\x1b[2J\x1b]52;c;eA==\a\x1b[8m\r\u202e\u009b1A\x7f\u2066"

// taint puts evil into every text below v; what v shares with others is copied first.
func taint(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(v.String() + evil)
		}
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		if v.CanSet() {
			own := reflect.New(v.Type().Elem())
			own.Elem().Set(v.Elem())
			v.Set(own)
		}
		taint(v.Elem())
	case reflect.Interface:
		if !v.IsNil() {
			own := reflect.New(v.Elem().Type()).Elem()
			own.Set(v.Elem())
			taint(own)
			v.Set(own)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				taint(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.CanSet() && !v.IsNil() {
			own := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
			reflect.Copy(own, v)
			v.Set(own)
		}
		for i := range v.Len() {
			taint(v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(v.MapIndex(k))
			taint(e)
			v.SetMapIndex(k, e)
		}
	}
}

// clean reports what is left in text that steers a terminal, beside the colours of this package.
func clean(text string) error {
	for _, color := range []string{"0", bold, dim, red, green, yellow, cyan} {
		text = strings.ReplaceAll(text, "\x1b["+color+"m", "")
	}
	if i := strings.IndexFunc(text, func(r rune) bool {
		return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r))
	}); i >= 0 {
		return fmt.Errorf("%q steers the terminal", text[max(0, i-20):min(len(text), i+20)])
	}
	if strings.Contains(text, "\x1b") {
		return fmt.Errorf("an escape is left in %q", text)
	}
	return nil
}

// Whatever hosts, members, files and plans say, no view lets it steer the terminal. Each draws texts
// that have all been tainted, whatever field they stand in.
func TestNothingSteersTheTerminal(t *testing.T) {
	t.Parallel()
	for _, color := range []bool{true, false} {
		o := Options{Color: color, Width: 100, Now: now, Diff: DiffAll}
		for name, draw := range map[string]func(io.Writer) error{
			"plan": func(w io.Writer) error {
				for _, p := range []*plan.Plan{bootstrap(), roll(), held(true), held(false), destroy()} {
					taint(reflect.ValueOf(p))
					if err := Plan(w, p, o); err != nil {
						return err
					}
				}
				return nil
			},
			"status": func(w io.Writer) error {
				c := trio()
				s := StatusOf(c, observed(c), now)
				s.Problems, s.Warnings, s.Data = []string{"p"}, []string{"w"}, &DataStatus{Members: []DataMember{{Name: "m", Problem: "p"}}}
				s.Members[0].HostProblem, s.Members[0].Aside = "h", []string{"/a"}
				taint(reflect.ValueOf(&s))
				return StatusText(w, s, o)
			},
			"report": func(w io.Writer) error {
				r := provision.Report{Run: "r", Cluster: "c", Steps: []provision.StepReport{{ID: "i", Title: "t", Result: provision.Failed, Error: "e\nf"}}, Problem: "p", Journal: "j",
					Counts: map[provision.Result]int{provision.Failed: 1}, Voters: &plan.Voters{Total: 3, Healthy: 3}, Members: []provision.MemberReport{{Name: "m", Endpoint: "e", Healthy: true}, {Name: "n", Problem: "p"}}}
				result := r.Steps[0].Result
				taint(reflect.ValueOf(&r))
				r.Steps[0].Result = result
				if err := Report(w, &r, o); err != nil {
					return err
				}
				return Reach(w, &r, evil, o)
			},
			"audit": func(w io.Writer) error {
				a := Audit{Cluster: "c", Runs: runs(), Asked: []string{"etcd1"}, Unseen: map[string]string{"etcd1": evil}}
				s := &provision.PastStep{StepReport: provision.StepReport{Title: "t", Result: provision.Failed, Error: "e", Detail: "d"}, Calls: []provision.PastCall{{Member: "m", Call: "c", Error: "e"}}}
				r := Run{"c", cutOff(), []*provision.PastStep{s}}
				r.Here.Error = "e"
				taint(reflect.ValueOf(&r))
				taint(reflect.ValueOf(&a.Runs))
				if err := AuditText(w, a, o); err != nil {
					return err
				}
				for _, k := range append(a.Runs, r.KnownRun) {
					if err := errors.Join(RunText(w, Run{"c", k, r.Plan}, o), Earlier(w, k, o)); err != nil {
						return err
					}
				}
				return nil
			},
			"recovery": func(w io.Writer) error {
				s := remains()
				taint(reflect.ValueOf(s))
				return RecoveryText(w, evil, s, &s.All[0], o)
			},
			"moved": func(w io.Writer) error { return Moved(w, evil, []string{evil}, o) },
			"progress": func(w io.Writer) error {
				l := Lines(w, o)
				for _, e := range []provision.EventType{provision.Waiting, provision.StepDone, provision.StepSkipped, provision.StepFailed, provision.NotReached} {
					l.Event(provision.Event{Type: e, Step: evil, Title: evil, Member: evil, Detail: evil, Error: evil})
				}
				return nil
			},
		} {
			var b bytes.Buffer
			if err := draw(&b); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := clean(b.String()); err != nil {
				t.Errorf("%s, colours %v: %v", name, color, err)
			}
			if !strings.Contains(b.String(), `\u202e`) {
				t.Errorf("%s shows nothing of what it was given", name)
			}
		}
	}
}
