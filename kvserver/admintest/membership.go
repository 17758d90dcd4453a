package admintest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"quorate/kvserver"
)

// Changing is a cluster of three voters that serve, whose members come and go, and a client of it.
type Changing struct {
	Subject
	// Spare are two places more: the client knows them, and nothing has run there.
	Spare [2]string
	// PeerURL is where the member of that name listens for its peers, or will.
	PeerURL func(name string) string
	// Join starts a member without data as one of a cluster that exists, which has these members (initial-cluster,
	// by their peer URLs; initial-cluster-state existing).
	Join func(name string, members ...string)
	// Wipe removes the data of a member that does not run.
	Wipe func(name string)
	// Runs reports whether the process of a member is there.
	Runs func(name string) bool
	// HealthInterval is kvserver.HealthInterval, or what a model has in its place.
	HealthInterval time.Duration
	// Version of etcd that all of them run.
	Version string
}

// Membership runs it. The parts follow one another: each leaves the cluster as the next one wants it. At
// the end one of the three is left.
func Membership(t *testing.T, s Changing) {
	t.Run("an addition waits for connections", s.additionWaits)
	t.Run("learner", s.learner)
	t.Run("promotion", s.promotion)
	t.Run("one of four is down", s.additionWithOneDown)
	t.Run("removal of the leader", s.removalOfLeader)
	t.Run("removed for ever", s.removedForEver)
	t.Run("same place, another member", s.samePlace)
	t.Run("peer URLs", s.peerURLs)
	t.Run("one of three is down", s.changesWithOneDown)
	t.Run("down to one", s.downToOne)
	t.Run("up from one", s.upFromOne)
}

// members gives the list as one member has it, by id and by name; who has no name is in the first only.
func (s Changing) members(t *testing.T, via string) (byID map[uint64]kvserver.Member, byName map[string]kvserver.Member) {
	t.Helper()
	s.until(t, func(ctx context.Context) error {
		byID, byName = map[uint64]kvserver.Member{}, map[string]kvserver.Member{}
		all, err := s.Admin.Members(ctx, via)
		for _, m := range all {
			byID[m.ID] = m
			if m.Name != "" {
				byName[m.Name] = m
			}
		}
		return err
	})
	return byID, byName
}

// listed waits until a member lists exactly these names.
func (s Changing) listed(t *testing.T, via string, names ...string) {
	t.Helper()
	s.until(t, func(ctx context.Context) error {
		all, err := s.Admin.Members(ctx, via)
		if err != nil {
			return err
		}
		var have []string
		for _, m := range all {
			have = append(have, m.Name)
		}
		slices.Sort(have)
		if !slices.Equal(have, slices.Sorted(slices.Values(names))) {
			return fmt.Errorf("%s lists %q instead of %q", via, have, names)
		}
		return nil
	})
}

// ends waits until the process of a member is gone.
func (s Changing) ends(t *testing.T, name string) {
	t.Helper()
	s.until(t, func(context.Context) error {
		if s.Runs(name) {
			return fmt.Errorf("%s still runs", name)
		}
		return nil
	})
}

// refused sees that a change is refused as it should be.
func refused(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// add adds a learner at the place of that name, as soon as the member asked takes it. An id is made of
// the peer URLs and the second (computeMemberID in api/membership/member.go): within the second in which one was added
// that has been removed since, it is the removed one's.
func (s Changing) add(t *testing.T, via, name string) (learner kvserver.Member) {
	t.Helper()
	before, _ := s.members(t, via)
	s.until(t, func(ctx context.Context) error {
		m, all, err := s.Admin.AddLearner(ctx, via, []string{s.PeerURL(name)})
		if err != nil {
			if !errors.Is(err, kvserver.ErrTooFewStarted) && !errors.Is(err, kvserver.ErrMemberNotFound) {
				t.Errorf("adding %s: %v", name, err)
			}
			return err
		}
		i := slices.IndexFunc(all, func(o kvserver.Member) bool { return o.ID == m.ID })
		if _, old := before[m.ID]; old || m.ID == 0 || m.Name != "" || !m.Learner || !slices.Equal(m.PeerURLs, []string{s.PeerURL(name)}) ||
			len(all) != len(before)+1 || i < 0 || all[i].Name != "" || !all[i].Learner {
			t.Errorf("%+v was added, and the members are %+v", m, all)
		}
		learner = m
		return nil
	})
	return learner
}

// takeUp starts the learner of that id and sees that it is one.
func (s Changing) takeUp(t *testing.T, name string, id uint64, members ...string) {
	t.Helper()
	s.Join(name, members...)
	s.until(t, func(ctx context.Context) error {
		st, err := s.Admin.Status(ctx, name)
		if err == nil && (st.MemberID != id || !st.Learner || st.ClusterID == 0) {
			t.Errorf("%s says %+v and was added as %x", name, st, id)
		}
		return err
	})
}

// promote promotes a learner once it is ready, and waits until it lists the members itself.
func (s Changing) promote(t *testing.T, via, name string, id uint64) {
	t.Helper()
	s.until(t, func(ctx context.Context) error {
		all, err := s.Admin.Promote(ctx, via, id)
		if err != nil {
			if !errors.Is(err, kvserver.ErrLearnerNotReady) {
				t.Errorf("promoting %s: %v", name, err)
			}
			return err
		}
		if i := slices.IndexFunc(all, func(m kvserver.Member) bool { return m.ID == id }); i < 0 || all[i].Learner {
			t.Errorf("%s was promoted, and the members are %+v", name, all)
		}
		return nil
	})
	s.until(t, func(ctx context.Context) error { _, err := s.Admin.Members(ctx, name); return err })
	s.until(t, func(ctx context.Context) error {
		st, err := s.Admin.Status(ctx, name)
		if err == nil && st.Learner {
			err = fmt.Errorf("%s still says that it is a learner", name)
		}
		return err
	})
}

// follower is one of those that do not lead.
func (s Changing) follower(t *testing.T, names ...string) (leader, follower string) {
	t.Helper()
	leader = s.leads(t, names...)
	return leader, names[(slices.Index(names, leader)+1)%len(names)]
}

func (s Changing) additionWaits(t *testing.T) {
	leader, follower := s.follower(t, s.Names...)
	s.Stop(follower)
	s.until(t, func(ctx context.Context) error { // until it notices
		_, _, err := s.Admin.AddLearner(ctx, leader, []string{s.PeerURL(leader)})
		if errors.Is(err, kvserver.ErrTooFewStarted) {
			return nil
		}
		return fmt.Errorf("with one of three down, before an URL is looked at: %w", err)
	})
	began := time.Now() // it cannot have been connected before
	s.Start(follower)
	s.until(t, func(ctx context.Context) error { _, err := s.Admin.Members(ctx, follower); return err })
	s.until(t, func(ctx context.Context) error {
		_, _, err := s.Admin.AddLearner(ctx, leader, []string{s.PeerURL(leader)})
		if waited := time.Since(began); errors.Is(err, kvserver.ErrPeerURLExists) && waited < s.HealthInterval {
			t.Errorf("an addition was taken %s after a restart", waited)
		} else if errors.Is(err, kvserver.ErrTooFewStarted) {
			return err
		}
		refused(t, "a peer URL that is listed", err, kvserver.ErrPeerURLExists)
		return nil
	})
}

func (s Changing) learner(t *testing.T) {
	via := s.Names[0]
	_, byName := s.members(t, via)
	learner := s.add(t, via, s.Spare[0])
	_, _, err := s.Admin.AddLearner(t.Context(), via, []string{s.PeerURL(s.Spare[0])})
	refused(t, "the same once more", err, kvserver.ErrPeerURLExists)
	_, _, err = s.Admin.AddLearner(t.Context(), via, []string{s.PeerURL(s.Spare[1])})
	refused(t, "a second learner", err, kvserver.ErrTooManyLearners)
	_, err = s.Admin.Promote(t.Context(), via, learner.ID)
	refused(t, "promoted before it was started", err, kvserver.ErrLearnerNotReady)
	_, err = s.Admin.Promote(t.Context(), via, byName[via].ID)
	refused(t, "a voter promoted", err, kvserver.ErrNotLearner)
	_, err = s.Admin.Promote(t.Context(), via, 4711)
	refused(t, "nobody promoted", err, kvserver.ErrMemberNotFound)
	_, err = s.Admin.Remove(t.Context(), via, 4711)
	refused(t, "nobody removed", err, kvserver.ErrMemberNotFound)

	all := append(slices.Clone(s.Names), s.Spare[0])
	for _, wrong := range [][]string{all[1:], append(slices.Clone(all), s.Spare[1]), append(slices.Clone(all[1:]), s.Spare[1])} { // too few, too many, and others
		s.Join(s.Spare[0], wrong...)
		s.ends(t, s.Spare[0])
		s.Wipe(s.Spare[0])
	}
	if byID, _ := s.members(t, via); len(byID) != 4 || byID[learner.ID].Name != "" {
		t.Errorf("a start that was refused changed the members: %+v", byID)
	}
	s.takeUp(t, s.Spare[0], learner.ID, all...)
	s.listed(t, via, all...)
	_, err = s.Admin.Members(t.Context(), s.Spare[0])
	refused(t, "a learner asked for the members", err, kvserver.ErrIsLearner)
	_, err = s.Admin.MembersLocal(t.Context(), s.Spare[0])
	refused(t, "a learner asked for the members as it knows them", err, kvserver.ErrIsLearner)
	_, err = s.Admin.HashKV(t.Context(), s.Spare[0], 0)
	refused(t, "a learner asked for a hash", err, kvserver.ErrIsLearner)
	_, err = s.Admin.Remove(t.Context(), s.Spare[0], byName[via].ID)
	refused(t, "a learner asked to remove somebody", err, kvserver.ErrIsLearner)
	if err := s.Admin.MoveLeader(t.Context(), s.leads(t, s.Names...), learner.ID); err == nil {
		t.Error("leadership went to a learner")
	}
}

func (s Changing) promotion(t *testing.T) {
	byID, byName := s.members(t, s.Names[0])
	id := byName[s.Spare[0]].ID
	s.promote(t, s.Names[0], s.Spare[0], id)
	_, err := s.Admin.Promote(t.Context(), s.Names[0], id)
	refused(t, "promoted twice", err, kvserver.ErrNotLearner)
	if _, byName := s.members(t, s.Spare[0]); len(byName) != len(byID) || byName[s.Spare[0]].ID != id || len(byName[s.Spare[0]].ClientURLs) == 0 {
		t.Errorf("the new one lists %+v", byName)
	}
	all := append(slices.Clone(s.Names), s.Spare[0])
	if err := s.Admin.MoveLeader(t.Context(), s.leads(t, all...), id); err != nil {
		t.Error(err)
	}
	if now := s.leads(t, all...); now != s.Spare[0] {
		t.Errorf("%s leads, and the new one was to", now)
	}
}

// additionWithOneDown leaves one of the three down, and the fourth as the leader.
func (s Changing) additionWithOneDown(t *testing.T) {
	up := []string{s.Names[0], s.Names[2], s.Spare[0]}
	s.Stop(s.Names[1])
	if kvserver.VotersToAdd(4, s.Version) > 3 {
		_, _, err := s.Admin.AddLearner(t.Context(), up[0], []string{s.PeerURL(s.Spare[1])})
		refused(t, "an addition to four with one down", err, kvserver.ErrTooFewStarted)
		return
	}
	learner := s.add(t, up[0], s.Spare[1])
	if _, err := s.Admin.Remove(t.Context(), up[0], learner.ID); err != nil {
		t.Error(err)
	}
	s.leads(t, up...)
}

// removalOfLeader: three of four are enough, and whoever comes back finds it done.
func (s Changing) removalOfLeader(t *testing.T) {
	_, byName := s.members(t, s.Names[0])
	id := byName[s.Spare[0]].ID
	s.until(t, func(ctx context.Context) error { // until they have been connected for long enough
		left, err := s.Admin.Remove(ctx, s.Names[0], id)
		if errors.Is(err, kvserver.ErrTooFewStarted) {
			return err
		}
		if err != nil || len(left) != 3 || slices.ContainsFunc(left, func(m kvserver.Member) bool { return m.ID == id }) {
			t.Errorf("%+v, %v", left, err)
		}
		return nil
	})
	s.Start(s.Names[1])
	s.leads(t, s.Names...)
	for _, n := range s.Names {
		s.listed(t, n, s.Names...)
	}
	s.ends(t, s.Spare[0])
	_, err := s.Admin.Remove(t.Context(), s.Names[0], id)
	refused(t, "removed twice", err, kvserver.ErrMemberNotFound)
}

func (s Changing) removedForEver(t *testing.T) {
	s.Start(s.Spare[0])
	s.ends(t, s.Spare[0])
	s.listed(t, s.Names[0], s.Names...)
	s.Wipe(s.Spare[0])
	s.Join(s.Spare[0], append(slices.Clone(s.Names), s.Spare[0])...) // nobody has added it again
	s.ends(t, s.Spare[0])
	s.Wipe(s.Spare[0])
}

// samePlace leaves the three again: a learner goes unasked, whatever state it is in.
func (s Changing) samePlace(t *testing.T) {
	all := append(slices.Clone(s.Names), s.Spare[0])
	never := s.add(t, s.Names[0], s.Spare[0])
	if _, err := s.Admin.Remove(t.Context(), s.Names[0], never.ID); err != nil {
		t.Errorf("one that was never started: %v", err)
	}
	again := s.add(t, s.Names[0], s.Spare[0])
	if again.ID == never.ID {
		t.Errorf("the id %x was given twice", again.ID)
	}
	s.takeUp(t, s.Spare[0], again.ID, all...)
	s.listed(t, s.Names[0], all...)
	if _, err := s.Admin.Remove(t.Context(), s.Names[0], again.ID); err != nil {
		t.Errorf("a learner that runs: %v", err)
	}
	s.ends(t, s.Spare[0])
	s.Wipe(s.Spare[0])
	s.listed(t, s.Names[0], s.Names...)
}

func (s Changing) peerURLs(t *testing.T) {
	via, other := s.Names[0], s.Names[1]
	_, byName := s.members(t, via)
	id := byName[other].ID
	_, err := s.Admin.Update(t.Context(), via, 4711, []string{s.PeerURL(s.Spare[0])})
	refused(t, "nobody updated", err, kvserver.ErrMemberNotFound)
	_, err = s.Admin.Update(t.Context(), via, id, []string{s.PeerURL(via)})
	refused(t, "another one's peer URL", err, kvserver.ErrPeerURLExists)
	for _, urls := range [][]string{{s.PeerURL(other), s.PeerURL(s.Spare[1])}, {s.PeerURL(other)}} {
		all, err := s.Admin.Update(t.Context(), via, id, urls)
		i := slices.IndexFunc(all, func(m kvserver.Member) bool { return m.ID == id })
		if err != nil || len(all) != 3 || i < 0 || all[i].Name != other || !slices.Equal(slices.Sorted(slices.Values(all[i].PeerURLs)), slices.Sorted(slices.Values(urls))) {
			t.Errorf("%q: %+v, %v", urls, all, err)
		}
	}
	s.leads(t, s.Names...)
}

// changesWithOneDown ends with two: the one that is down is removed.
func (s Changing) changesWithOneDown(t *testing.T) {
	leader, gone := s.follower(t, s.Names...)
	_, byName := s.members(t, leader)
	s.Stop(gone)
	s.until(t, func(ctx context.Context) error { // until it notices
		_, _, err := s.Admin.AddLearner(ctx, leader, []string{s.PeerURL(leader)})
		if errors.Is(err, kvserver.ErrPeerURLExists) {
			return err
		}
		refused(t, "an addition", err, kvserver.ErrTooFewStarted)
		return nil
	})
	for _, m := range byName {
		if m.Name != gone {
			_, err := s.Admin.Remove(t.Context(), leader, m.ID)
			refused(t, "the removal of "+m.Name+", with "+gone+" down", err, kvserver.ErrTooFewStarted)
		}
	}
	if left, err := s.Admin.Remove(t.Context(), leader, byName[gone].ID); err != nil || len(left) != 2 {
		t.Errorf("the removal of the one that is down: %+v, %v", left, err)
	}
	s.Start(gone)
	s.ends(t, gone)
}

// serve are those of the three that are left.
func (s Changing) serve(t *testing.T) (names []string) {
	t.Helper()
	for _, n := range s.Names {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if _, err := s.Admin.Members(ctx, n); err == nil {
			names = append(names, n)
		}
		cancel()
	}
	return names
}

func (s Changing) downToOne(t *testing.T) {
	leader, follower := s.follower(t, s.serve(t)...)
	_, byName := s.members(t, leader)
	if len(byName) != 2 {
		t.Fatalf("%+v", byName)
	}
	if left, err := s.Admin.Remove(t.Context(), leader, byName[follower].ID); err != nil || len(left) != 1 {
		t.Fatalf("the removal of one of two: %+v, %v", left, err)
	}
	s.ends(t, follower)
	s.listed(t, leader, leader)
	_, err := s.Admin.Remove(t.Context(), leader, byName[leader].ID)
	refused(t, "the removal of the last one", err, kvserver.ErrTooFewStarted)
}

// upFromOne: a single voter need not wait for anything; the moment the second one votes, both have to be there.
func (s Changing) upFromOne(t *testing.T) {
	one := s.serve(t)[0]
	learner, _, err := s.Admin.AddLearner(t.Context(), one, []string{s.PeerURL(s.Spare[1])})
	if err != nil {
		t.Fatal(err)
	}
	s.takeUp(t, s.Spare[1], learner.ID, one, s.Spare[1])
	s.promote(t, one, s.Spare[1], learner.ID)
	s.Stop(s.Spare[1])
	s.until(t, func(ctx context.Context) error {
		st, err := s.Admin.Status(ctx, one)
		if err == nil && st.Leader != 0 {
			err = fmt.Errorf("%s says that %x leads, without a quorum", one, st.Leader)
		}
		return err
	})
	s.Start(s.Spare[1])
	s.leads(t, one, s.Spare[1])
}
