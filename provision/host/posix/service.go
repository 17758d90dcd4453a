package posix

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"quorate/provision/host"
)

// Service implements host.Host. With systemd it is one run of service.sh,
// which waits on the host. Stopping or disabling a unit that systemd does not
// know is done already.
func (h *Host) Service(ctx context.Context, r host.ServiceRequest) (s host.UnitState, err error) {
	verb := cmp.Or(r.Verb, "set up")
	defer saying(&err, "cannot %s %s on host %q", verb, r.Unit, h.o.Name)
	if err := h.changing(); err != nil {
		return s, err
	}
	if !slices.Contains([]string{"", "start", "stop", "restart"}, r.Verb) {
		return s, fmt.Errorf("unknown verb %q", r.Verb)
	}
	if h.o.Services != nil {
		return h.o.Services.Service(ctx, r, h.knownDigests())
	}
	if err := checkUnit(r.Unit); err != nil {
		return s, err
	}
	request := []string{r.Unit, cmp.Or(r.Verb, "-"), fmt.Sprint(int((r.Wait + time.Second - 1) / time.Second))}
	if r.Reload {
		request = append(request, "reload")
	}
	if r.Enable {
		request = append(request, "enable")
	}
	if r.Disable {
		request = append(request, "disable")
	}
	for _, stamp := range slices.Sorted(maps.Keys(h.knownDigests())) {
		request = append(request, "x\t"+stamp)
	}
	progress := func(line string) {
		if s, ok := progressOf(line); ok && r.Progress != nil {
			r.Progress(s)
		}
	}
	ctx, cancel := within(ctx, r.Wait+answerTime)
	defer cancel()
	body, err := h.talk(ctx, "service", serviceScript, strings.NewReader(framed(request)), progress)
	if err != nil {
		return s, err
	}
	a, err := parseAnswer(body)
	if err != nil {
		return s, err
	}
	if len(a.units) != 1 {
		return s, fmt.Errorf("the answer tells of %d units", len(a.units))
	}
	s = h.process(a.units[0], a)
	if len(a.cause) == 0 {
		return s, nil
	}
	host.ReadLog(&s, strings.Join(a.logs[r.Unit], "\n"))
	return s, &host.ServiceError{Host: h.o.Name, Unit: r.Unit, Verb: verb, State: s, Cause: strings.Join(a.cause, "\n")}
}

// progressOf reads "ACTIVE SUB RESTARTS PID".
func progressOf(line string) (s host.UnitState, ok bool) {
	f := strings.Split(line, "\t")
	if len(f) != 4 {
		return s, false
	}
	restarts, err1 := number(f[2])
	pid, err2 := number(f[3])
	return host.UnitState{Loaded: true, Active: f[0], Sub: f[1], Restarts: restarts, PID: pid}, err1 == nil && err2 == nil
}
