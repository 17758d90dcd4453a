package stories

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"quorate/test/lab"
)

// cutsOfEach is how many runs of each kind are cut in a soak. One that ends before its cut is another try.
const cutsOfEach = 20

// lacks reports whether one of these kinds was cut less often than that, as long as there have not been three tries for each cut.
func lacks(cuts map[string]int, round int, kinds []turn) bool {
	return round < 3*cutsOfEach && slices.ContainsFunc(kinds, func(t turn) bool { return cuts[t.name] < cutsOfEach })
}

// dice is a source of chance that is printed, and read from QUORATE_SEED.
func (s *stage) dice() *rand.Rand {
	s.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("QUORATE_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		s.check(err)
		seed = n
	}
	s.Logf("QUORATE_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// turn is a change of the members to and fro, so that it can be made again and again.
type turn struct {
	name  string
	hurt  func(s *stage) // before it; nil is nothing
	want  string
	names []string
	// mend is done once the change is complete.
	mend func(s *stage)
}

// turns are the kinds of changes that runs are cut in, each from where the one before it ends.
func turns() []turn {
	three, four := []string{"etcd1", "etcd2", "etcd3"}, []string{"etcd1", "etcd2", "etcd3", "etcd4"}
	return []turn{
		{name: "grow 3 to 4", want: members(1, 2, 3, 4), names: four},
		{name: "shrink 4 to 3", want: members(1, 2, 3), names: three},
		{name: "replace a living one", want: members(1, 2, 4), names: []string{"etcd1", "etcd2", "etcd4"}},
		{name: "replace a dead one", hurt: func(s *stage) { s.check(s.Host(3).PowerCut(s.Context())) }, want: members(1, 2, 3), names: three,
			mend: func(s *stage) { s.check(s.Host(3).Boot(s.Context())); s.must("apply", "-y") }},
		{name: "a reinstalled host", hurt: func(s *stage) {
			s.shell(s.Host(2), "systemctl disable --now "+unit+` 2>/dev/null
				rm -rf /etc/quorate /opt/quorate /var/lib/quorate /etc/systemd/system/`+unit+`; systemctl daemon-reload`)
		}, want: members(1, 2, 3), names: three},
	}
}

// again is what every run of these stories accepts and says: specs go to and fro, and members that go are named.
var again = []string{"--accept", "spec-behind", "--remove", "etcd3", "--remove", "etcd4", "--lock-timeout", "30s"}

// completed applies until nothing is left to do, three times at most, and tells how often that was.
func (s *stage) completed(t turn) (runs int) {
	s.Helper()
	var r result
	for runs = 1; runs <= 3; runs++ {
		if r = s.quorate(append([]string{"apply", "-y"}, again...)...); r.code == done {
			break
		}
	}
	if r.code != done {
		s.Fatalf("%s: not complete after three more runs\n%s", t.name, r)
	}
	if got := s.listed(); !slices.Equal(got, t.names) {
		s.Fatalf("%s: the members are %q, want %q", t.name, got, t.names)
	}
	if t.mend != nil {
		t.mend(s)
	}
	s.healthy()
	s.settled()
	return runs
}

// chances are how many host calls runs of a kind of change have at most, as far as is known: one that ended before its cut had fewer.
type chances map[string]int

func (c chances) draw(dice *rand.Rand, t turn) int {
	most, known := c[t.name]
	if !known {
		most = 25
	}
	return dice.IntN(max(most, 1))
}

// moment is how long after a call a run is cut: up to two seconds, and mostly soon, since some are over in half a second.
func moment(dice *rand.Rand) time.Duration {
	x := dice.Float64()
	return time.Duration(x * x * x * float64(2*time.Second)).Round(time.Millisecond)
}

// Changes of members are killed after a host call and a moment, wherever that falls. The next runs complete them; no
// member is left that nobody asked for, nothing acknowledged is lost, and the two members that stay are never restarted.
func TestKilledWhileMembersChange(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{Hosts: 4})
	s.want(impatient + members(1, 2, 3))
	s.must("apply", "-y")
	stays := s.watch(s.Host(0), s.Host(1))
	c := s.consumer([]string{"https://" + s.Host(0).Addr() + ":2379", "https://" + s.Host(1).Addr() + ":2379"})
	l := s.startLoad(c, time.Minute)
	dice := s.dice()
	kills, calls := map[string]int{}, chances{}
	most := 0
	all, long := turns(), os.Getenv("QUORATE_SOAK") != ""
	if !long {
		all = all[:3]
	}
	for round := 0; round == 0 || long && lacks(kills, round, all); round++ {
		for _, turn := range all {
			if turn.hurt != nil {
				turn.hurt(s)
			}
			s.want(impatient + turn.want)
			n, moment := calls.draw(dice, turn), moment(dice)
			ended, r := s.during(n, func(run *exec.Cmd) {
				time.Sleep(moment)
				_ = run.Process.Kill() // it may have ended meanwhile
			}, again...)
			switch {
			case r.code != done:
				kills[turn.name]++
			case ended:
				calls[turn.name] = n
			}
			t.Logf("%s: killed %v after %d calls and %s", turn.name, r.code != done, n, moment)
			most = max(most, s.completed(turn))
		}
	}
	s.end(l, c)
	s.undisturbed(stays)
	t.Logf("killed: %v; completed by at most %d more runs; longest time without an acknowledged write %s", kills, most, l.longest())
}

// A host loses its power, or its link, while members change: one that joins, goes or stays. With it back the
// next runs complete the change.
func TestPowerCutWhileMembersChange(t *testing.T) {
	t.Parallel()
	soak(t)
	s := open(t, lab.Options{Hosts: 4})
	s.want(impatient + members(1, 2, 3))
	s.must("apply", "-y")
	c := s.consumer([]string{"https://" + s.Host(0).Addr() + ":2379", "https://" + s.Host(1).Addr() + ":2379", "https://" + s.Host(2).Addr() + ":2379", "https://" + s.Host(3).Addr() + ":2379"})
	l := s.startLoad(c, outageWait)
	dice := s.dice()
	cut, calls := map[string]int{}, chances{}
	all := slices.DeleteFunc(turns(), func(t turn) bool { return strings.Contains(t.name, "dead") || strings.Contains(t.name, "reinstalled") })
	all = append(all, turn{name: "back", want: members(1, 2, 3), names: []string{"etcd1", "etcd2", "etcd3"}})
	for i := 0; lacks(cut, i, all); i++ {
		for j, turn := range all {
			h := s.Host(dice.IntN(4))
			n, power := calls.draw(dice, turn), (i+j)%2 == 0
			s.want(impatient + turn.want)
			ended, _ := s.during(n, func(*exec.Cmd) {
				if power {
					s.check(h.PowerCut(s.Context()))
				} else {
					s.check(h.LinkDown(s.Context()))
				}
			}, again...)
			switch {
			case ended:
				calls[turn.name] = n
			case power:
				s.check(h.Boot(s.Context()))
			default:
				s.check(h.LinkUp(s.Context()))
			}
			if !ended {
				cut[turn.name]++
			}
			t.Logf("%s: %s lost its power (else its link): %v, after %d calls: %v", turn.name, h.Name(), power, n, !ended)
			for range 30 { // members find each other again
				if r := s.quorate("status", "--json"); r.code == done || !strings.Contains(r.stdout, "no quorum") {
					break
				}
				time.Sleep(time.Second)
			}
			s.completed(turn)
		}
	}
	s.end(l, c)
	t.Logf("cut: %v", cut)
}
