package provision_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/provision"
	"quorate/provision/host/hosttest"
)

// changing is a settled cluster of three, with another spec for it; nobody needs real time.
func changing(t *testing.T, to []string, story func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, clusterOf("etcd1", "etcd2", "etcd3"))
		must(t, r.apply())
		r.respec(clusterOf(to...))
		r.etcd.watching, r.etcd.least, r.etcd.changes = true, 99, nil
		story(t, r)
		for v := range r.etcd.violations {
			t.Error(v)
		}
		if r.etcd.broke {
			t.Error("there was no quorum")
		}
	})
}

var fourNames = []string{"etcd1", "etcd2", "etcd3", "etcd4"}

// fails has a run fail with all of these words.
func (r *rig) fails(t *testing.T, words ...string) error {
	t.Helper()
	err := r.apply()
	if err == nil {
		t.Fatalf("the run did not fail; want %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("want the words %q in\n%v", w, err)
		}
	}
	return err
}

// expelled goes back to three members: whoever else was listed is so no more, and three voters serve.
func (r *rig) expelled(t *testing.T) {
	t.Helper()
	s := r.cluster
	r.respec(clusterOf("etcd1", "etcd2", "etcd3"))
	c := membersChange{accept: []plan.Reason{plan.SpecBehind}}
	if _, err := c.run(r); err != nil {
		t.Fatalf("taken out of the spec: %v", err)
	}
	if len(r.etcd.members) != 3 || r.etcd.healthy() != 3 {
		t.Errorf("members %s, %d voters are up", listed(r.etcd.members), r.etcd.healthy())
	}
	r.cluster = s
}

// TestMembersChangedMeanwhile: somebody else's change between plan and step stops the run.
func TestMembersChangedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, to := range map[string][]string{"add": fourNames, "expel": {"etcd1", "etcd2"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changing(t, to, func(t *testing.T, r *rig) {
				s := r.session()
				defer s.Close()
				p, err := r.build(s, plan.Build)
				must(t, err)
				r.etcd.members = append(r.etcd.members, kvserver.Member{ID: 99, PeerURLs: []string{"https://192.168.7.199:2380"}, Learner: true})
				_, err = s.Apply(context.Background(), context.Background(), p, provision.RunOptions{ID: "x"})
				if err == nil || !strings.Contains(err.Error(), "the members are not those that the plan was made for") || !strings.Contains(err.Error(), "https://192.168.7.199:2380 as a learner") {
					t.Errorf("error %v", err)
				}
				if len(r.etcd.changes) > 0 {
					t.Errorf("the run changed the members: %q", r.etcd.changes)
				}
			})
		})
	}
}

// TestLearnerThatNeverComesUp: the run ends with the reason and costs no voter; the next one goes on once it is
// mended, and one after the member was taken out of the spec expels it.
func TestLearnerThatNeverComesUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hurt  func(r *rig, m *hosttest.Machine)
		mend  func(r *rig, m *hosttest.Machine)
		words []string
		none  string
	}{
		"its process ends": {
			hurt: func(_ *rig, m *hosttest.Machine) {
				m.Program("", func(*hosttest.Process) error { return errors.New("no space left on device") })
			},
			mend:  func(r *rig, m *hosttest.Machine) { m.Program("", r.etcd.start); m.Reboot() },
			words: []string{"no space left on device"},
		},
		"nothing reaches it": {
			hurt: func(r *rig, m *hosttest.Machine) {
				m.Program("", func(p *hosttest.Process) error {
					err := r.etcd.start(p)
					p.Ready = func() bool { return false }
					return err
				})
			},
			mend:  func(r *rig, m *hosttest.Machine) { m.Program("", r.etcd.start); m.Crash(labUnit) },
			words: []string{"nothing has reached it for 1m0s"},
		},
		"its peers are cut off": {
			hurt: func(_ *rig, m *hosttest.Machine) {
				m.WriteFile("/firewall", []byte("192.168.7.101:2380 192.168.7.102:2380 192.168.7.103:2380"), 0o644)
				m.Program("", func(*hosttest.Process) error { return errors.New("cannot fetch cluster info from peer urls") })
			},
			mend:  func(r *rig, m *hosttest.Machine) { m.RemoveAll("/firewall"); m.Program("", r.etcd.start); m.Reboot() },
			none:  "etcd1 cannot connect with etcd4", // whose host answers
			words: []string{"cannot fetch cluster info", "etcd4 cannot connect with etcd1 at 192.168.7.101:2380: ", "no route to host", "etcd4 cannot connect with etcd3 at"},
		},
	} {
		for _, next := range []string{"mended", "taken out of the spec"} {
			t.Run(name+", "+next, func(t *testing.T) {
				t.Parallel()
				changing(t, fourNames, func(t *testing.T, r *rig) {
					m := r.world.Machine("etcd4")
					c.hurt(r, m)
					if err := r.fails(t, c.words...); c.none != "" && strings.Contains(err.Error(), c.none) {
						t.Errorf("%q is said in\n%v", c.none, err)
					}
					if r.etcd.least < 3 || len(r.etcd.voters()) != 3 {
						t.Errorf("%d voters were up, %d are listed", r.etcd.least, len(r.etcd.voters()))
					}
					if next == "mended" {
						c.mend(r, m)
						must(t, r.apply())
						r.settled(t)
						return
					}
					r.expelled(t)
				})
			})
		}
	}
}

// TestLearnerThatFallsBehind is promoted once it has caught up, however long that takes as long as it comes
// nearer; one that stands still is given up with the numbers.
func TestLearnerThatFallsBehind(t *testing.T) {
	t.Parallel()
	behind := func(r *rig, pace uint64) {
		r.etcd.index = 10_000_000
		r.etcd.peers["etcd4"].behind, r.etcd.peers["etcd4"].pace = 5000, pace // far less than a tenth: etcd would promote it
	}
	t.Run("slowly", func(t *testing.T) {
		t.Parallel()
		changing(t, fourNames, func(t *testing.T, r *rig) {
			behind(r, 1)
			began := time.Now()
			must(t, r.apply())
			r.settled(t)
			if took := time.Since(began); took < 2*time.Minute {
				t.Errorf("it was promoted after %s", took)
			}
			if b := r.etcd.peers["etcd4"].behind; b > 0 {
				t.Errorf("it was promoted while %d entries were missing", b)
			}
		})
	})
	t.Run("never", func(t *testing.T) {
		t.Parallel()
		changing(t, fourNames, func(t *testing.T, r *rig) {
			behind(r, 0)
			began := time.Now()
			r.fails(t, "etcd4 has not come nearer for 1m0s", "it is at applied index 99950", "the leader has committed 1000000")
			if took := time.Since(began); took > 90*time.Second {
				t.Errorf("it was given up after %s", took)
			}
			if len(r.etcd.voters()) != 3 {
				t.Errorf("members %s", listed(r.etcd.members))
			}
			behind(r, 1000)
			must(t, r.apply())
			r.settled(t)
		})
	})
}

// TestConnectedForTooShort: etcd's five seconds are waited out, and no more than ten are.
func TestConnectedForTooShort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		verb string
		to   []string
	}{{"add", fourNames}, {"expel", []string{"etcd1", "etcd2"}}} {
		t.Run(c.verb+", five seconds", func(t *testing.T) {
			t.Parallel()
			changing(t, c.to, func(t *testing.T, r *rig) {
				r.etcd.interval = kvserver.HealthInterval
				began := time.Now()
				must(t, r.apply())
				r.settled(t)
				if took := time.Since(began); took > 8*time.Second {
					t.Errorf("it took %s", took)
				}
			})
		})
		t.Run(c.verb+", for ever", func(t *testing.T) {
			t.Parallel()
			changing(t, c.to, func(t *testing.T, r *rig) {
				r.etcd.interval = time.Hour
				began := time.Now()
				r.fails(t, "unhealthy cluster", "3 of 3 voters answer here", "wants 3 to have been connected", "5s")
				if took := time.Since(began); took < 9*time.Second || took > 12*time.Second {
					t.Errorf("it was given up after %s", took)
				}
				if len(r.etcd.changes) > 0 {
					t.Errorf("changes %q", r.etcd.changes)
				}
				r.etcd.interval = 0
				must(t, r.apply())
				r.settled(t)
			})
		})
	}
}

// TestAddedWithinTheSecond: an id is a hash of the URLs and the second, so an addition in the second of a
// removal may get one that is nobody's any more, which etcd refuses in two ways.
func TestAddedWithinTheSecond(t *testing.T) {
	t.Parallel()
	for _, refusal := range []error{kvserver.ErrMemberNotFound, errors.New("etcdserver: member ID already exist")} {
		t.Run(refusal.Error(), func(t *testing.T) {
			t.Parallel()
			changing(t, fourNames, func(t *testing.T, r *rig) {
				second := time.Now().Add(time.Second)
				refused := 0
				r.etcd.asked = func(_, what string) error {
					if strings.HasPrefix(what, "add ") && time.Now().Before(second) {
						refused++
						return refusal
					}
					return nil
				}
				must(t, r.apply())
				r.settled(t)
				if refused == 0 {
					t.Error("nothing was refused")
				}
			})
		})
	}
}

// TestHostOfTheOneAskedGoes: the connection with the host of the leader, which is asked for changes, dies with the answer
// on its way. The members serve on, and others are asked from then on.
func TestHostOfTheOneAskedGoes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		to   []string
		when string
	}{"add": {fourNames, "add "}, "promote": {fourNames, "promote "}, "expel": {[]string{"etcd2", "etcd3"}, "remove "}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changing(t, c.to, func(t *testing.T, r *rig) {
				asked := 0
				r.etcd.asked = func(via, what string) error {
					if strings.HasPrefix(what, c.when) {
						if asked++; asked == 1 {
							r.world.Machine(via).SetUnreachable(errors.New("no route to host"))
						}
					}
					return nil
				}
				began := time.Now()
				t.Log(r.apply()) // whether the run can tell in the end that all is well depends on who is left to be asked
				if took := time.Since(began); took > 30*time.Second {
					t.Errorf("it took %s", took)
				}
				r.world.Heal()
				must(t, r.apply())
				r.settled(t)
				if got := strings.Count(strings.Join(r.etcd.changes, "\n"), c.when); got != 1 {
					t.Errorf("changes %q", r.etcd.changes)
				}
			})
		})
	}
}

// TestLeaderThatDoesNotHandOver is not expelled: for a moment it is tried again, then the run ends.
func TestLeaderThatDoesNotHandOver(t *testing.T) {
	t.Parallel()
	for _, times := range []int{1, 1000} {
		t.Run(fmt.Sprint(times), func(t *testing.T) {
			t.Parallel()
			changing(t, []string{"etcd1", "etcd2"}, func(t *testing.T, r *rig) {
				r.etcd.leader = "etcd3"
				n := 0
				r.etcd.asked = func(_, what string) error {
					if what == "hand over" {
						if n++; n <= times {
							return errors.New("etcdserver: request timed out, leader transfer took too long")
						}
					}
					return nil
				}
				began := time.Now()
				if times == 1 {
					must(t, r.apply())
					r.settled(t)
					return
				}
				r.fails(t, "cannot move leadership from etcd3", "leader transfer took too long")
				if took := time.Since(began); took > 12*time.Second {
					t.Errorf("it was given up after %s", took)
				}
				if len(r.etcd.members) != 3 || r.etcd.least < 3 {
					t.Errorf("members %s, %d voters at the worst moment", listed(r.etcd.members), r.etcd.least)
				}
				r.etcd.asked = nil
				must(t, r.apply())
				r.settled(t)
			})
		})
	}
}

// TestSilentVoterIsReplaced: its process is there and answers nothing, and a look at the members does not wait for it for
// as long as for one question.
func TestSilentVoterIsReplaced(t *testing.T) {
	t.Parallel()
	changing(t, []string{"etcd1", "etcd2", "etcd4"}, func(t *testing.T, r *rig) {
		r.etcd.peers["etcd3"].hangs.Store(true)
		s := r.session()
		defer s.Close()
		p, err := r.build(s, plan.Build)
		must(t, err)
		began := time.Now()
		_, err = s.Apply(context.Background(), context.Background(), p, provision.RunOptions{ID: "x"})
		must(t, err)
		took := time.Since(began)
		if took > 20*time.Second {
			t.Errorf("it took %s", took)
		}
		t.Logf("replaced in %s", took)
		r.settled(t)
	})
}
