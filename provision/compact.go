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

// compact has the members drop history: one is asked, which makes it so for all, and then the other voters that answer
// are asked for the same, which waits until each has deleted what that frees. Whoever cannot be waited for is named.
func (r *run) compact(ctx context.Context, s plan.Step, a *plan.Compaction) (outcome, error) {
	admin, now, err := r.surveyed(ctx)
	if err != nil {
		return outcome{}, err
	}
	err = r.compactThrough(ctx, admin, s, now.via, a)
	if err != nil && !errors.Is(err, kvserver.ErrCompacted) {
		return outcome{}, err
	}
	out := outcome{changed: err == nil}
	others := slices.DeleteFunc(slices.Sorted(maps.Keys(now.voters())), func(name string) bool { return name == now.via })
	errs := make([]error, len(others))
	parallel(len(others), func(i int) { errs[i] = r.compactThrough(ctx, admin, s, others[i], a) })
	var left []string
	for i, name := range others {
		if errs[i] != nil && !errors.Is(errs[i], kvserver.ErrCompacted) {
			left = append(left, fmt.Sprintf("%s deletes what it frees by itself (%v)", name, errs[i]))
		}
	}
	out.detail = strings.Join(left, "; ")
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	return out, nil
}

// compactThrough asks one member, which returns once it has deleted what is free.
func (r *run) compactThrough(ctx context.Context, admin Admin, s plan.Step, member string, a *plan.Compaction) error {
	seen := func(ctx context.Context) (uint64, string) {
		one, cancel := context.WithTimeout(ctx, apiTimeout)
		defer cancel()
		st, err := admin.Status(one, member)
		if err != nil {
			return 0, "compacting, and does not say how far it is"
		}
		free := max(st.DBSize-st.DBSizeInUse, 0)
		return uint64(free), fmt.Sprintf("compacting, with %s free so far", plan.Bytes(free))
	}
	return r.attended(ctx, s, member, a.Idle, seen, func(ctx context.Context) error { return admin.Compact(ctx, member, a.Revision) })
}
