package admintest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"quorate/kvserver"
)

// Keeper is what looks after the members' databases: provision.Upkeep.
type Keeper interface {
	Compact(ctx context.Context, via string, revision int64) error
	Compacted(ctx context.Context, via string) (int64, error)
	Defragment(ctx context.Context, name string) error
	Alarms(ctx context.Context, via string) ([]kvserver.Alarm, error)
	Disarm(ctx context.Context, via string, a kvserver.Alarm) error
	TryWrite(ctx context.Context, via string) error
}

// Kept is a cluster of three voters that serve, with small quotas and nothing in it, and a client of it.
type Kept struct {
	Subject
	Keeper Keeper
	// Write puts a value of that many bytes in the place of what one key has, through a member; Delete deletes the key.
	Write  func(ctx context.Context, via string, bytes int) error
	Delete func(ctx context.Context, via string) error
	// Quota in bytes of each member's database.
	Quota int64
}

// Upkeep runs it. The parts follow one another.
func Upkeep(t *testing.T, s Kept) {
	t.Run("compaction", s.compaction)
	t.Run("defragmentation", s.defragmentation)
	t.Run("no space", s.noSpace)
	t.Run("no such alarm", s.noSuchAlarm)
}

// status of a member.
func (s Kept) status(t *testing.T, name string) (st kvserver.Status) {
	t.Helper()
	s.until(t, func(ctx context.Context) (err error) { st, err = s.Admin.Status(ctx, name); return err })
	return st
}

// agreed is the newest revision, once all members have it.
func (s Kept) agreed(t *testing.T) (revision int64) {
	t.Helper()
	s.until(t, func(ctx context.Context) error {
		revision = s.status(t, s.Names[0]).Revision
		for _, n := range s.Names {
			if st := s.status(t, n); st.Revision != revision {
				return fmt.Errorf("%s has revision %d, another one %d", n, st.Revision, revision)
			}
		}
		return nil
	})
	return revision
}

// written writes a quarter of the quota, in pieces that each take the place of the one before.
func (s Kept) written(t *testing.T) {
	t.Helper()
	for range 8 {
		s.until(t, func(ctx context.Context) error { return s.Write(ctx, s.Names[0], int(s.Quota/32)) })
	}
}

// compacted compacts through one member, and waits for the others.
func (s Kept) compacted(t *testing.T, revision int64) {
	t.Helper()
	if err := s.Keeper.Compact(t.Context(), s.Names[0], revision); err != nil {
		t.Fatal(err)
	}
	for _, n := range s.Names { // the first one again, too
		if err := s.Keeper.Compact(t.Context(), n, revision); !errors.Is(err, kvserver.ErrCompacted) {
			t.Fatalf("compacting to the same revision again through %s: %v", n, err)
		}
	}
}

func (s Kept) compaction(t *testing.T) {
	if got, err := s.Keeper.Compacted(t.Context(), s.Names[0]); err != nil || got != 0 {
		t.Errorf("nothing is compacted yet, and it is said to be up to %d (%v)", got, err)
	}
	s.written(t)
	newest := s.agreed(t)
	before := map[string]kvserver.Status{}
	for _, n := range s.Names { // etcd says how large it is as of its last commit, a tenth of a second ago
		s.until(t, func(context.Context) error {
			if before[n] = s.status(t, n); before[n].DBSizeInUse < s.Quota/4 {
				return fmt.Errorf("a quarter of its quota was written, and %s has %d bytes in use", n, before[n].DBSizeInUse)
			}
			return nil
		})
	}
	if err := s.Keeper.Compact(t.Context(), s.Names[0], newest+1); err == nil || errors.Is(err, kvserver.ErrCompacted) {
		t.Errorf("compacting to a revision that is yet to come: %v", err)
	}
	s.compacted(t, newest-1)
	for _, n := range s.Names {
		if got, err := s.Keeper.Compacted(t.Context(), n); err != nil || got != newest-1 {
			t.Errorf("%s has compacted up to %d and not %d (%v)", n, got, newest-1, err)
		}
		// What it frees is free on each of them, and their files are as large as before. Pages are free with the commit after the
		// one that deleted them, and without a write there is none.
		s.until(t, func(ctx context.Context) error {
			if err := s.Keeper.TryWrite(ctx, n); err != nil {
				return err
			}
			if st := s.status(t, n); st.DBSizeInUse > before[n].DBSizeInUse-s.Quota/8 || st.DBSize < before[n].DBSize {
				return fmt.Errorf("%s had %d of %d bytes in use, and has %d of %d", n, before[n].DBSizeInUse, before[n].DBSize, st.DBSizeInUse, st.DBSize)
			}
			return nil
		})
		if err := s.Keeper.Compact(t.Context(), n, newest-3); !errors.Is(err, kvserver.ErrCompacted) {
			t.Errorf("compacting to a revision that is gone, through %s: %v", n, err)
		}
	}
	if now := s.agreed(t); now != newest {
		t.Errorf("compacting made revision %d of %d", now, newest)
	}
}

func (s Kept) defragmentation(t *testing.T) {
	for _, n := range s.Names {
		before := s.status(t, n)
		if err := s.Keeper.Defragment(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		s.until(t, func(ctx context.Context) error { _, err := s.Admin.Members(ctx, n); return err })
		after := s.status(t, n)
		if after.DBSize > before.DBSize-s.Quota/8 || after.DBSize < after.DBSizeInUse {
			t.Errorf("%s had %d of %d bytes in use, and has %d of %d", n, before.DBSizeInUse, before.DBSize, after.DBSizeInUse, after.DBSize)
		}
		for _, other := range s.Names {
			if st := s.status(t, other); other > n && st.DBSize < before.DBSize/2 {
				t.Errorf("the database of %s was written anew by asking %s", other, n)
			}
		}
	}
}

func (s Kept) noSpace(t *testing.T) {
	via := s.Names[1]
	if err := s.Keeper.TryWrite(t.Context(), via); err != nil {
		t.Errorf("with room left: %v", err)
	}
	var err error
	for range 64 {
		if err = s.Write(t.Context(), via, int(s.Quota/32)); err != nil {
			break
		}
	}
	if !errors.Is(err, kvserver.ErrNoSpace) {
		t.Fatalf("twice as much as there is room for: %v", err)
	}
	// It stands for all, in the name of one, and a write on trial is refused as any other.
	s.refused(t)
	alarms, err := s.Keeper.Alarms(t.Context(), s.Names[0])
	if err != nil || len(alarms) == 0 {
		t.Errorf("the alarms are %v (%v)", alarms, err)
	}
	for _, n := range s.Names {
		st := s.status(t, n)
		raised := slices.Contains(alarms, kvserver.Alarm{Member: st.MemberID, Kind: kvserver.AlarmNoSpace})
		if raised && !slices.Contains(st.Alarms, kvserver.AlarmNoSpace) {
			t.Errorf("%s raised it, and says %v", n, st.Alarms)
		}
	}
	// What makes room is not refused: deletions, compaction, defragmentation. None of it ends the alarm.
	if err := s.Delete(t.Context(), via); err != nil {
		t.Errorf("a deletion is refused: %v", err)
	}
	s.compacted(t, s.agreed(t))
	s.refused(t)
	for _, n := range s.Names {
		if err := s.Keeper.Defragment(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		if st := s.status(t, n); st.DBSize > s.Quota/2 {
			t.Errorf("%s has %d bytes of %d after all", n, st.DBSize, s.Quota)
		}
	}
	s.refused(t)
	// Each member has found by itself that it is over its quota, some a little later than others.
	if alarms, err = s.Keeper.Alarms(t.Context(), s.Names[0]); err != nil {
		t.Fatal(err)
	}
	for range 2 { // what does not stand any more is disarmed as well
		for _, a := range alarms {
			if err := s.Keeper.Disarm(t.Context(), s.Names[0], a); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := s.agreed(t)
	for _, n := range s.Names {
		if err := s.Keeper.TryWrite(t.Context(), n); err != nil {
			t.Errorf("after all through %s: %v", n, err)
		}
	}
	if now := s.agreed(t); now != before {
		t.Errorf("writes on trial made revision %d of %d", now, before)
	}
	if err := s.Write(t.Context(), via, 100); err != nil {
		t.Error(err)
	}
	if left, err := s.Keeper.Alarms(t.Context(), via); err != nil || len(left) > 0 {
		t.Errorf("left are %v (%v)", left, err)
	}
}

// refused sees that a write is, through every member.
func (s Kept) refused(t *testing.T) {
	t.Helper()
	for _, n := range s.Names {
		s.until(t, func(ctx context.Context) error { // until it has heard of the alarm
			if err := s.Keeper.TryWrite(ctx, n); !errors.Is(err, kvserver.ErrNoSpace) {
				return fmt.Errorf("while NOSPACE stands a write through %s came to: %w", n, err)
			}
			return nil
		})
	}
}

func (s Kept) noSuchAlarm(t *testing.T) {
	if err := s.Keeper.Disarm(t.Context(), s.Names[0], kvserver.Alarm{Member: 1, Kind: "FIRE"}); err == nil {
		t.Error("an alarm that there is none of was disarmed")
	}
}
