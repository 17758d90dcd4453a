package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"quorate/kvserver"
	"quorate/plan"
)

// disarm ends NOSPACE once there is room, and sees that writes are taken again.
func (r *run) disarm(ctx context.Context, _ plan.Step, a *plan.Disarm) (outcome, error) {
	admin, now, err := r.surveyed(ctx)
	if err != nil {
		return outcome{}, err
	}
	raised, err := noSpace(ctx, admin, now.via)
	if err != nil {
		return outcome{}, err
	}
	if err := room(now, a, raised); err != nil {
		return outcome{}, err
	}
	for _, alarm := range raised {
		one, cancel := context.WithTimeout(ctx, apiTimeout)
		err := admin.Disarm(one, now.via, alarm)
		cancel()
		if err != nil {
			return outcome{}, err
		}
	}
	voters := slices.Sorted(maps.Keys(now.voters()))
	for _, name := range voters {
		one, cancel := context.WithTimeout(ctx, apiTimeout)
		err := admin.TryWrite(one, name)
		cancel()
		if errors.Is(err, kvserver.ErrNoSpace) {
			return outcome{}, fmt.Errorf("a write through %s is refused, so a database has reached its quota again: %w\n  run again with fewer revisions to keep (--keep), or raise quota_backend_bytes and apply first", name, err)
		}
		if err != nil {
			return outcome{}, fmt.Errorf("whether writes through %s are taken is not known: %w", name, err)
		}
	}
	return outcome{changed: len(raised) > 0, detail: "writes are taken through " + strings.Join(voters, ", ")}, nil
}

// noSpace are the alarms of that kind that stand.
func noSpace(ctx context.Context, admin Admin, via string) ([]kvserver.Alarm, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	all, err := admin.Alarms(ctx, via)
	return slices.DeleteFunc(all, func(a kvserver.Alarm) bool { return a.Kind != kvserver.AlarmNoSpace }), err
}

// room is an error unless the database of every member that answers is below its quota. One that raised the alarm
// and is listed has to answer.
func room(now answers, a *plan.Disarm, raised []kvserver.Alarm) error {
	var full []string
	for _, name := range slices.Sorted(maps.Keys(now.status)) {
		if st := now.status[name]; st.DBSize >= a.QuotaOf(st) {
			full = append(full, fmt.Sprintf("the database of %s has %s (%s in use), and its quota is %s", name, plan.Bytes(st.DBSize), plan.Bytes(st.DBSizeInUse), plan.Bytes(a.QuotaOf(st))))
		}
	}
	for _, alarm := range raised {
		if m, listed := (plan.Ref{ID: kvserver.ID(alarm.Member)}).In(now.list); listed && now.named(alarm.Member) == "" {
			full = append(full, fmt.Sprintf("%s (%s) has raised it, and does not say how large its database is", m.Name, kvserver.ID(m.ID)))
		}
	}
	if len(full) > 0 {
		return fmt.Errorf("there is no room yet, and NOSPACE stays\n  %s\n  raise quota_backend_bytes and apply, which NOSPACE does not hold up; or keep fewer revisions (--keep), or delete keys, then run again", strings.Join(full, "\n  "))
	}
	return nil
}
