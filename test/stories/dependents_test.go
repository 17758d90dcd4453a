package stories

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"quorate/test/lab"
)

// kubeletProgram runs a process for each manifest, of its name, which listens on the port that the manifest says; it ends one
// whose manifest is gone, and notes when that was. Pods outlive it.
const kubeletProgram = `#!/bin/bash
mkdir -p /run/pods
while :; do
	for f in /etc/kubernetes/manifests/*.yaml; do
		name=$(basename "$f" .yaml)
		[ -e "$f" ] && ! kill -0 "$(cat /run/pods/$name 2>/dev/null || echo none)" 2>/dev/null || continue
		(exec -a $name perl -MSocket -e '
			$SIG{TERM} = sub { select(undef, undef, undef, 0.7); exit };
			socket(S, PF_INET, SOCK_STREAM, 0); setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1);
			bind(S, sockaddr_in($ARGV[0], INADDR_ANY)) && listen(S, 5) or die $!;
			accept(C, S) && close(C) while 1' $(sed -n 's/^port: //p' "$f")) &
		echo $! >/run/pods/$name
	done
	for p in /run/pods/*; do
		name=$(basename "$p")
		[ -e "$p" ] && [ "${name%.ended}" = $name ] && [ ! -e /etc/kubernetes/manifests/$name.yaml ] || continue
		kill $(cat $p)
		while kill -0 $(cat $p) 2>/dev/null; do sleep 0.05; done
		cut -d' ' -f1 /proc/uptime >$p.ended
		rm $p
	done
	sleep 0.1
done
`

const kubeletUnit = `[Service]
ExecStart=/bin/bash /usr/local/bin/kubelet
ExecStopPost=/bin/sh -c 'cut -d" " -f1 /proc/uptime >/run/kubelet.service.ended'
KillMode=process
[Install]
WantedBy=multi-user.target
`

const proxyUnit = `[Service]
ExecStartPre=/bin/sh -c '! test -e /run/broken'
ExecStart=/bin/sleep 100000
ExecStopPost=/bin/sh -c 'cut -d" " -f1 /proc/uptime >/run/kube-proxy.service.ended'
`

// controlPlane puts a control plane of static pods on a machine, and a unit beside it, and waits until all of it serves.
func (s *stage) controlPlane(h *lab.Host) {
	s.Helper()
	for p, text := range map[string]string{
		"/usr/local/bin/kubelet": kubeletProgram, "/etc/systemd/system/kubelet.service": kubeletUnit, "/etc/systemd/system/kube-proxy.service": proxyUnit,
		"/etc/kubernetes/manifests/kube-apiserver.yaml": "port: 6443\n", "/etc/kubernetes/manifests/kube-controller-manager.yaml": "port: 10257\n",
	} {
		s.check(h.WriteFile(s.Context(), p, []byte(text)))
	}
	s.shell(h, `chmod 600 /etc/kubernetes/manifests/*
		systemctl daemon-reload
		systemctl enable --now --quiet kubelet
		systemctl start kube-proxy
		until bash -c 'exec 3<>/dev/tcp/127.0.0.1/6443 4<>/dev/tcp/127.0.0.1/10257' 2>/dev/null; do sleep 0.1; done`)
}

// controlPlaneIs is what is so of it: units, manifests, and who listens.
func (s *stage) controlPlaneIs(h *lab.Host) string {
	s.Helper()
	return s.shell(h, `systemctl is-active kubelet kube-proxy || true
		systemctl is-enabled kubelet kube-proxy || true
		find /etc/kubernetes -printf '%p %m %u:%g %s\n' | sort
		cat /run/pods/kube-apiserver /run/pods/kube-controller-manager | xargs -n1 kill -0
		grep -c -e ':192B [0-9A-F:]* 0A ' -e ':2811 [0-9A-F:]* 0A ' /proc/net/tcp || true`)
}

// leads is the id of the member that leads, as each of them says.
func (s *stage) leads() string {
	s.Helper()
	out := s.must("ctl", "--", "endpoint", "status", "--write-out=json").stdout
	_, id, _ := strings.Cut(out, `"leader":`)
	id, _, _ = strings.Cut(id, ",")
	return id
}

// A control plane of static pods, and a unit beside it: stopped before the members of a restore, and started after them. One that
// does not stop leaves the cluster as it was, one that does not start again undoes nothing.
func TestRestoreStopsWhoDepends(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{Hosts: 4})
	control, members := s.Host(3), s.Hosts()[:3]
	s.write("main.hcl", cluster("lab", fmt.Sprintf(`
  host "control" { address = %q }
  dependents "control-plane" {
    preset    = "kubeadm"
    hosts     = ["control"]
    units     = ["kubelet"]
    processes = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    ports     = [6443, 10257]
    timeout   = "10s"
  }
  dependents "nodes" {
    units   = ["kube-proxy"]
    timeout = "5s"
  }`, control.Addr()), members))
	s.controlPlane(control)
	before := s.controlPlaneIs(control)
	asBefore := func(when string) {
		t.Helper()
		if now := s.controlPlaneIs(control); now != before {
			t.Errorf("%s the machine is not as before:\n%s", when, difference(before, now))
		}
	}
	s.must("apply", "-y")
	s.must("ctl", "--", "put", "/name", "before")
	s.must("backup", "--fetch=yes")
	s.must("ctl", "--", "put", "/name", "after")

	// It ignores what it is told, longer than anybody waits.
	s.shell(control, `mkdir -p /run/systemd/system/kube-proxy.service.d
		printf '[Service]\nKillSignal=SIGCONT\nTimeoutStopSec=8\n' >/run/systemd/system/kube-proxy.service.d/stays.conf
		systemctl daemon-reload`)
	pids, leader := s.memberPIDs(members), s.leads()
	r := s.refused(failed, []string{"does not stop, and no data is touched while it runs", "restore --undo"}, "restore", "latest", "-y")
	if got := restarted(pids, s.memberPIDs(members)); len(got) > 0 || s.leads() != leader {
		t.Errorf("members were touched: restarted %q, %s leads and %s did\n%s", got, s.leads(), leader, r)
	}
	s.must("restore", "--undo", "-y")
	asBefore("after an undo")
	if got := restarted(pids, s.memberPIDs(members)); len(got) > 0 || s.value("/name") != "after" {
		t.Errorf("restarted %q by an undo, /name is %q", got, s.value("/name"))
	}
	s.shell(control, "rm -r /run/systemd/system/kube-proxy.service.d; systemctl daemon-reload")
	s.settled()

	// It does not start again.
	s.on(control, "touch", "/run/broken")
	r = s.quorate("restore", "latest", "-y")
	text := strings.Join(strings.Fields(r.stdout), " ")
	for _, w := range []string{"done in part: start dependents nodes again on control", "kube-proxy.service has not started", "on control: systemctl start kube-proxy.service", "all else is done and stays so"} {
		if r.code != failed || !strings.Contains(text, w) {
			t.Fatalf("want the words %q\n%s", w, r)
		}
	}
	if got := s.value("/name"); got != "before" {
		t.Errorf("/name is %q", got)
	}
	s.settled()
	s.shell(control, "rm /run/broken; systemctl start kube-proxy.service")
	asBefore("after a start by hand")

	// All is well: nobody runs while the data is exchanged.
	s.must("ctl", "--", "put", "/name", "after")
	s.must("restore", "latest", "-y")
	if got := s.value("/name"); got != "before" {
		t.Errorf("/name is %q", got)
	}
	asBefore("after a restore")
	s.downMeanwhile(control)
	s.settled()
}

// memberPIDs are the main processes of members, by their hosts.
func (s *stage) memberPIDs(members []*lab.Host) map[string]string {
	s.Helper()
	out := map[string]string{}
	for _, h := range members {
		out[h.Name()] = s.on(h, "systemctl", "show", "--property=MainPID", "--value", unit)
	}
	return out
}

// stoppedAndServed are when the last run began to stop the members, and when it had seen that they serve.
func (s *stage) stoppedAndServed() (stopped, served time.Time) {
	s.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, ".quorate/lab/runs/*.jsonl"))
	s.check(err)
	text, err := os.ReadFile(slices.Max(files))
	s.check(err)
	for line := range strings.Lines(string(text)) {
		var e struct {
			At         time.Time
			Type, Step string
		}
		s.check(json.Unmarshal([]byte(line), &e))
		switch {
		case e.Type == "step-started" && strings.HasPrefix(e.Step, "stop "):
			stopped = e.At
		case e.Type == "step-done" && strings.HasPrefix(e.Step, "revive "):
			served = e.At
		}
	}
	return stopped, served
}

// downMeanwhile sees that the control plane was down before the members were stopped, and until they served.
func (s *stage) downMeanwhile(control *lab.Host) {
	s.Helper()
	stopped, served := s.stoppedAndServed()
	number := func(script string) float64 {
		n, err := strconv.ParseFloat(s.shell(control, script), 64)
		s.check(err)
		return n
	}
	// A process says when it was started in hundredths of a second since the boot of the machine that all hosts are on.
	boot := number("date +%s.%N") - number("cut -d' ' -f1 /proc/uptime")
	at := func(uptime float64) time.Time { return time.UnixMilli(int64((boot + uptime) * 1000)) }
	for name, file := range map[string]string{"kubelet.service": "/run/kubelet.service", "kube-proxy.service": "/run/kube-proxy.service",
		"kube-apiserver": "/run/pods/kube-apiserver", "kube-controller-manager": "/run/pods/kube-controller-manager"} {
		pid := "cat " + file
		if strings.HasSuffix(name, ".service") {
			pid = "systemctl show --property=MainPID --value " + name
		}
		down, up := at(number("cat "+file+".ended")), at(number("cut -d' ' -f22 /proc/$("+pid+")/stat")/100)
		if down.After(stopped.Add(clockSlack)) || up.Before(served.Add(-clockSlack)) {
			s.Errorf("%s was down from %s to %s, and the members from %s to %s", name, down, up, stopped, served)
		}
	}
}

// clockSlack is by how much the two clocks that are compared may be apart: they are read one after the other.
const clockSlack = 200 * time.Millisecond
