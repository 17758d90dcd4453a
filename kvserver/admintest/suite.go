// Package admintest is the suite that every client of the members' API passes:
// the real one, beside real members, and the models that tests put in its
// place. What a model says and etcd does not is found here.
package admintest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/kvserver"
)

// Admin is what is asked of members: provision.Admin without its Close.
type Admin interface {
	Members(ctx context.Context, via string) ([]kvserver.Member, error)
	MembersLocal(ctx context.Context, name string) ([]kvserver.Member, error)
	Status(ctx context.Context, name string) (kvserver.Status, error)
	HashKV(ctx context.Context, name string, revision int64) (kvserver.Hash, error)
	MoveLeader(ctx context.Context, leader string, to uint64) error
	AddLearner(ctx context.Context, via string, peerURLs []string) (kvserver.Member, []kvserver.Member, error)
	Promote(ctx context.Context, via string, id uint64) ([]kvserver.Member, error)
	Remove(ctx context.Context, via string, id uint64) ([]kvserver.Member, error)
	Update(ctx context.Context, via string, id uint64, peerURLs []string) ([]kvserver.Member, error)
}

// Subject is a cluster of three members that serve, and a client of it.
type Subject struct {
	Admin Admin
	Names []string
	// Stop and Start end a member's process and bring it back; neither waits for the cluster.
	Stop, Start func(name string)
	// Wait bounds everything that takes an election.
	Wait time.Duration
}

// Suite runs it. The parts follow one another: each leaves the cluster as the next one wants it.
func Suite(t *testing.T, s Subject) {
	t.Run("all serve", s.allServe)
	t.Run("leadership", s.leadership)
	t.Run("one is down", s.oneDown)
	t.Run("no quorum", s.noQuorum)
	t.Run("back again", s.backAgain)
}

// until repeats a question until it is answered as it should be.
func (s Subject) until(t *testing.T, f func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), s.Wait)
	defer cancel()
	for {
		one, stop := context.WithTimeout(ctx, 5*time.Second)
		err := f(one)
		stop()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// leads is the name of the member that all who are asked call the leader.
func (s Subject) leads(t *testing.T, names ...string) (leader string) {
	t.Helper()
	s.until(t, func(ctx context.Context) error {
		leader = ""
		ids := map[uint64]string{}
		members, err := s.Admin.Members(ctx, names[0])
		if err != nil {
			return err
		}
		for _, m := range members {
			ids[m.ID] = m.Name
		}
		for _, n := range names {
			st, err := s.Admin.Status(ctx, n)
			if err != nil {
				return err
			}
			if l := ids[st.Leader]; l == "" || leader != "" && l != leader {
				return fmt.Errorf("%s says that %x leads, another one said %q", n, st.Leader, leader)
			}
			leader = ids[st.Leader]
		}
		return nil
	})
	return leader
}

func (s Subject) allServe(t *testing.T) {
	cluster := map[uint64]bool{}
	for _, n := range s.Names {
		s.until(t, func(ctx context.Context) error {
			members, err := s.Admin.Members(ctx, n)
			if err != nil {
				return err
			}
			var names []string
			for i, m := range members {
				names = append(names, m.Name)
				if len(m.PeerURLs) == 0 || len(m.ClientURLs) == 0 || m.Learner || i > 0 && members[i-1].ID >= m.ID {
					return fmt.Errorf("%s lists %+v", n, members)
				}
			}
			slices.Sort(names)
			if !slices.Equal(names, slices.Sorted(slices.Values(s.Names))) {
				return fmt.Errorf("%s lists %q", n, names)
			}
			st, err := s.Admin.Status(ctx, n)
			if err != nil {
				return err
			}
			if i := slices.IndexFunc(members, func(m kvserver.Member) bool { return m.ID == st.MemberID }); i < 0 || members[i].Name != n {
				return fmt.Errorf("%s says that it is %x", n, st.MemberID)
			}
			if st.ClusterID == 0 || st.Version == "" || st.Revision < 1 || st.Learner || len(st.Alarms) > 0 {
				return fmt.Errorf("%s says %+v", n, st)
			}
			cluster[st.ClusterID] = true
			return nil
		})
	}
	if len(cluster) != 1 {
		t.Errorf("they speak of %d clusters", len(cluster))
	}
	s.until(t, func(ctx context.Context) error {
		hashes := map[uint32]bool{}
		for _, n := range s.Names {
			h, err := s.Admin.HashKV(ctx, n, 1)
			if err != nil {
				return err
			}
			hashes[h.Hash] = true
		}
		if len(hashes) != 1 {
			return fmt.Errorf("the members' data differs: %v", hashes)
		}
		return nil
	})
	if _, err := s.Admin.Status(t.Context(), "nobody"); err == nil {
		t.Error("a member that is not there answers")
	}
}

func (s Subject) id(t *testing.T, name string) (id uint64) {
	t.Helper()
	s.until(t, func(ctx context.Context) error {
		st, err := s.Admin.Status(ctx, name)
		id = st.MemberID
		return err
	})
	return id
}

func (s Subject) leadership(t *testing.T) {
	leader := s.leads(t, s.Names...)
	follower := s.Names[(slices.Index(s.Names, leader)+1)%len(s.Names)]
	if err := s.Admin.MoveLeader(t.Context(), follower, s.id(t, leader)); err == nil || !strings.Contains(err.Error(), "not leader") {
		t.Errorf("a follower handed over: %v", err)
	}
	if err := s.Admin.MoveLeader(t.Context(), leader, 0xbad); err == nil || !strings.Contains(err.Error(), "bad leader transferee") {
		t.Errorf("leadership went to nobody: %v", err)
	}
	if err := s.Admin.MoveLeader(t.Context(), leader, s.id(t, follower)); err != nil {
		t.Fatal(err)
	}
	if now := s.leads(t, s.Names...); now != follower {
		t.Errorf("%s leads, and %s was to", now, follower)
	}
}

func (s Subject) oneDown(t *testing.T) {
	gone := s.leads(t, s.Names...)
	dead := s.id(t, gone)
	s.Stop(gone)
	rest := slices.DeleteFunc(slices.Clone(s.Names), func(n string) bool { return n == gone })
	leader := s.leads(t, rest...)
	if leader == gone {
		t.Errorf("%s leads and is down", gone)
	}
	ctx, cancel := context.WithTimeout(t.Context(), min(s.Wait, 5*time.Second)) // etcd waits for who is down as long as it is let
	defer cancel()
	if _, err := s.Admin.Status(ctx, gone); err == nil {
		t.Error("a member that is down answers")
	}
	if _, err := s.Admin.Members(ctx, gone); err == nil {
		t.Error("a member that is down lists members")
	}
	if members, err := s.Admin.Members(ctx, leader); err != nil || len(members) != len(s.Names) {
		t.Errorf("a member that is down is still one: %d, %v", len(members), err)
	}
	if err := s.Admin.MoveLeader(ctx, leader, dead); err == nil {
		t.Error("leadership went to a member that is down")
	}
	s.leads(t, rest...)
	s.Stop(rest[0])
}

// answers reports whether a member gives its status.
func (s Subject) answers(t *testing.T, name string) bool {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := s.Admin.Status(ctx, name)
	return err == nil
}

func (s Subject) noQuorum(t *testing.T) {
	last := ""
	for _, n := range s.Names {
		if s.answers(t, n) {
			last = n
		}
	}
	if last == "" {
		t.Fatal("a member without a quorum gives no status")
	}
	s.until(t, func(ctx context.Context) error {
		st, err := s.Admin.Status(ctx, last)
		if err == nil && st.Leader != 0 {
			err = fmt.Errorf("%s says that %x leads", last, st.Leader)
		}
		return err
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if m, err := s.Admin.Members(ctx, last); err == nil {
		t.Errorf("without a quorum the members are listed: %+v", m)
	}
}

func (s Subject) backAgain(t *testing.T) {
	for _, n := range s.Names {
		if !s.answers(t, n) {
			s.Start(n)
		}
	}
	if s.leads(t, s.Names...) == "" {
		t.Error("nobody leads")
	}
}
