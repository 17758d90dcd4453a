package stories

import (
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/test/lab"
)

const memberDir = "/var/lib/quorate/lab/member"

// blank stops a member and takes its data away, as a disk that was lost does.
func (s *stage) blank(h *lab.Host) {
	s.Helper()
	s.shell(h, "systemctl stop "+unit+" && mv "+memberDir+" /root/member")
}

// restore brings it back.
func (s *stage) restore(h *lab.Host) {
	s.Helper()
	s.shell(h, "systemctl stop "+unit+" && rm -rf "+memberDir+" && mv /root/member "+memberDir)
}

// wake starts units as a boot does: nobody waits for them.
func (s *stage) wake(hosts ...*lab.Host) {
	s.Helper()
	for _, h := range hosts {
		s.shell(h, "systemctl reset-failed "+unit+" 2>/dev/null || true; systemctl start --no-block "+unit)
	}
}

// logs waits until a member's log of the last minute says something.
func (s *stage) logs(h *lab.Host, what string) {
	s.Helper()
	s.shell(h, "timeout 30 sh -c 'until journalctl --since=-60s -u "+unit+" | grep -q \""+what+"\"; do sleep 0.2; done'")
}

// noMember checks that a host has not begun a member's data anew.
func (s *stage) noMember(h *lab.Host) {
	s.Helper()
	s.logs(h, "has served")
	if left := s.shell(h, "ls "+memberDir+"/wal 2>/dev/null || true"); left != "" {
		s.Errorf("%s has begun anew: %s", h.Name(), left)
	}
}

func (s *stage) reads(key, want string) {
	s.Helper()
	if got := s.must("ctl", "--", "get", key, "--print-value-only").stdout; got != want+"\n" {
		s.Errorf("%s is %q, want %q", key, got, want)
	}
}

// Blank disks at a cold boot, before their peers: the acknowledged writes of the
// others are not voted away by one that forgot, no second cluster is formed by two that forgot, none
// begins anew in a partition. With the disks back everything is there.
func TestBlankDisksLoseNothing(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec(quick)
	s.must("apply", "-y")
	s.settled()
	a, b, c := s.Host(0), s.Host(1), s.Host(2)
	if left := s.shell(c, "ls /etc/quorate/lab"); strings.Contains(left, "bootstrap.yaml") || !strings.Contains(left, "formed.json") {
		t.Fatalf("the host of a member that serves has %q", left)
	}

	// One that was away, one that forgot: they must not be a quorum.
	s.on(a, "systemctl", "stop", unit)
	s.must("ctl", "--", "put", "/late", "1") // a does not have it
	s.on(b, "systemctl", "stop", unit)
	s.blank(c)
	s.wake(c)
	s.wake(a)
	s.noMember(c)
	p := s.plan(held)
	if got := reasons(p); !slices.Contains(got, "data-lost etcd3") || p.Before.Healthy != 0 {
		t.Errorf("held are %q, voters %v", got, p.Before)
	}
	s.wake(b)
	s.reads("/late", "1")
	s.restore(c)
	s.wake(c)
	s.healthy()
	s.settled()

	// Two that forgot: no empty cluster, and nothing is started that cannot have a quorum.
	s.on(a, "systemctl", "stop", unit)
	s.blank(b)
	s.blank(c)
	s.wake(b, c)
	s.noMember(b)
	s.noMember(c)
	if got := reasons(s.plan(held)); !slices.Contains(got, "majority-lost lab") {
		t.Errorf("held are %q", got)
	}
	s.refused(held, []string{"majority-lost"}, "apply", "-y")
	if got := s.shell(a, "systemctl is-active "+unit+" || true"); got == "active" || got == "activating" {
		t.Errorf("etcd1 was started although no quorum can be: %s", got)
	}
	s.restore(b)
	s.restore(c)
	s.wake(a, b, c)
	s.healthy()
	s.reads("/late", "1")

	// One that forgot, in a partition.
	s.blank(c)
	s.check(c.LinkDown(s.Context()))
	s.wake(c)
	s.noMember(c)
	s.check(c.LinkUp(s.Context()))
	s.restore(c)
	s.wake(c)
	s.healthy()
	s.settled()
	s.members()
}

// A host that was made anew around its data disk is recognised by what the
// disk says, and serves again under its id.
func TestReinstalledHostKeepsItsMember(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec(quick)
	s.must("apply", "-y")
	s.must("ctl", "--", "put", "/kept", "v")
	before := s.must("ctl", "--", "member", "list").stdout
	s.shell(s.Host(2), "systemctl disable --now "+unit+` 2>/dev/null
		rm -rf /etc/quorate /opt/quorate /etc/systemd/system/`+unit+`; systemctl daemon-reload; userdel quorate-lab`)
	r := s.quorate("apply", "-y")
	if r.code == held && strings.Contains(r.stdout, "run again") {
		r = s.quorate("apply", "-y") // kvserver is there now, and can read whose data it is
	}
	if r.code != done {
		t.Fatal(r)
	}
	s.settled()
	s.reads("/kept", "v")
	if after := s.must("ctl", "--", "member", "list").stdout; after != before {
		t.Errorf("the members were\n%s and are\n%s", before, after)
	}
}

// A member that does not serve is never "no changes": each is named with the cause, and
// with the cause gone the cluster is as it was.
func TestDeadMembersAreNamed(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	h := s.Host(2)
	s.check(h.SmallDisk(s.Context(), "/var/lib/quorate", 400<<20))
	s.spec(quick)
	s.must("apply", "-y")
	s.settled()
	loops := "timeout 60 sh -c 'until [ $(systemctl show -P NRestarts " + unit + ") -ge 3 ]; do sleep 0.2; done'"
	for _, c := range []struct {
		name, do, undo string
		reason         string
		words          []string
	}{
		{"four bytes of the WAL overwritten",
			"systemctl stop " + unit + "; cp -a " + memberDir + "/wal /root/wal; for f in " + memberDir + `/wal/*0.wal; do printf '\377\377\377\377' | dd of=$f bs=1 seek=600 conv=notrunc status=none; done; systemctl start --no-block ` + unit + "; " + loops,
			"systemctl stop " + unit + "; rm -rf " + memberDir + "/wal; mv /root/wal " + memberDir + "/wal; systemctl reset-failed " + unit + "; systemctl start --no-block " + unit,
			"not-serving etcd3", []string{"etcd3"}},
		{"its data belongs to root",
			"systemctl stop " + unit + "; chown -R root:root " + memberDir + "; systemctl start --no-block " + unit + "; " + loops,
			"systemctl stop " + unit + "; chown -R quorate-lab:quorate-lab " + memberDir + "; systemctl reset-failed " + unit + "; systemctl start --no-block " + unit,
			"not-serving etcd3", []string{"permission denied"}},
		{"its process hangs",
			"kill -STOP $(systemctl show -P MainPID " + unit + ")",
			"kill -CONT $(systemctl show -P MainPID " + unit + ")",
			"not-serving etcd3", []string{"does not answer"}},
	} {
		s.shell(h, c.do)
		r := s.quorate("plan", "--detailed-exitcode")
		if r.code != held || strings.Contains(r.stdout, "no changes") {
			t.Errorf("%s:\n%s", c.name, r)
		}
		if got := reasons(s.plan(held)); !slices.Contains(got, c.reason) {
			t.Errorf("%s: held are %q, want %q", c.name, got, c.reason)
		}
		for _, w := range c.words {
			if !strings.Contains(r.stdout, w) {
				t.Errorf("%s: want the words %q\n%s", c.name, w, r)
			}
		}
		s.shell(h, c.undo)
		s.healthy()
		s.settled()
	}

	// A disk that is full.
	s.check(h.FillDisk(s.Context(), "/var/lib/quorate", 0))
	s.shell(h, "systemctl stop "+unit+"; rm -f "+memberDir+"/wal/*.tmp; systemctl start --no-block "+unit)
	time.Sleep(3 * time.Second)
	if r := s.quorate("plan", "--detailed-exitcode"); r.code != held && r.code != done || r.code == done && !strings.Contains(s.must("status").stdout, "3/3 up") {
		t.Errorf("with a full disk\n%s", r)
	}
	s.shell(h, "rm -f /var/lib/quorate/.ballast; systemctl reset-failed "+unit+"; systemctl restart --no-block "+unit)
	s.healthy()
	s.must("apply", "-y")
	s.settled()
}

// What the administrator has forbidden is not overruled.
func TestMaskedUnitIsHeld(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{})
	s.spec("")
	s.must("apply", "-y")
	h := s.Host(1)
	s.shell(h, "systemctl stop "+unit+"; mv /etc/systemd/system/"+unit+" /root/; systemctl mask "+unit)
	if got := reasons(s.plan(held)); !slices.Contains(got, "masked etcd2") {
		t.Errorf("held are %q", got)
	}
	s.refused(held, []string{"masked", "systemctl unmask"}, "apply", "-y")
	if got := s.shell(h, "systemctl is-enabled "+unit+" || true"); got != "masked" {
		t.Errorf("the unit is %s", got)
	}
	s.shell(h, "systemctl unmask "+unit+"; mv /root/"+unit+" /etc/systemd/system/; systemctl daemon-reload")
	s.must("apply", "-y")
	s.settled()
}
