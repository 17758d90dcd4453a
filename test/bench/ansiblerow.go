package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"quorate/test/lab"
)

// ansible brings a cluster up on fresh hosts by quorate and by a play with
// kubeasz's task list in turn. The hosts have Python, which the play needs.
func ansible(ctx context.Context, s *stage) ([]Result, error) {
	for program, pkg := range map[string]string{"ansible-playbook": "ansible", "openssl": "openssl"} {
		if err := s.install(ctx, program, pkg); err != nil {
			return nil, err
		}
	}
	play := func(int) (float64, error) { return s.freshAnsible(ctx) }
	plain := func(int) (float64, error) { return s.freshAnsible(ctx, "ANSIBLE_PIPELINING=False") }
	ours := func(int) (float64, error) {
		if err := s.forget(); err != nil {
			return 0, err
		}
		return s.freshQuorate(ctx)
	}
	p, err := alternate(s.turns(5), play, ours)
	if err != nil {
		return nil, err
	}
	slow, err := plain(0)
	if err != nil {
		return nil, err
	}
	r := against(p.ours, p.theirs) // the play's time over quorate's
	r.Work, r.Limit, r.AtLeast = "the same: Ansible play with kubeasz's task list ÷ quorate apply", 6, true
	version, err := exec.CommandContext(ctx, "ansible-playbook", "--version").Output()
	if err != nil {
		return nil, err
	}
	first, _, _ := strings.Cut(string(version), "\n")
	r.Notes = []string{spread("play", p.ours, "s"), spread("quorate", p.theirs, "s"),
		first + ", 5 forks, pipelining, smart facts, SSH connections kept for the play: what kubeasz ships",
		fmt.Sprintf("without pipelining, which is Ansible's default: %.1f s, %s of quorate's (once)", slow, figure(slow/median(p.theirs), "×")),
	}
	return []Result{r}, nil
}

// freshAnsible resets the hosts and runs the play.
func (s *stage) freshAnsible(ctx context.Context, env ...string) (took float64, err error) {
	if err := s.reset(ctx); err != nil {
		return 0, err
	}
	work, err := os.MkdirTemp(s.op.Home(), "ansible-")
	if err != nil {
		return 0, err
	}
	// A short path: the connections' sockets lie in it.
	control, err := os.MkdirTemp("", "qb-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(control)
	inventory := "[etcd]\n"
	for _, h := range s.lab.Hosts() {
		inventory += h.Addr() + "\n"
	}
	inventory += fmt.Sprintf(`
[all:vars]
ansible_user=root
ansible_python_interpreter=/usr/bin/python3
ansible_ssh_common_args=-F %s
bin_src=%s
bin_dir=/opt/kube/bin
ca_dir=/etc/kubernetes/ssl
data_dir=/var/lib/etcd
ssl_dir=%s/ssl
`, s.op.SSHConfig(), filepath.Dir(s.bin("etcd")), work)
	if err := os.WriteFile(filepath.Join(work, "hosts"), []byte(inventory), 0o600); err != nil {
		return 0, err
	}
	// The connections that stay behind hold what they are given for output, so it is a file.
	log, err := os.Create(filepath.Join(work, "log"))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	plays := filepath.Join(s.root, "test/bench/ansible")
	cmd := s.op.Command(ctx, "ansible-playbook", "-i", filepath.Join(work, "hosts"), filepath.Join(plays, "etcd.yml"))
	cmd.Env = append(cmd.Env, "ANSIBLE_CONFIG="+filepath.Join(plays, "ansible.cfg"), "ANSIBLE_SSH_CONTROL_PATH_DIR="+control, "LC_ALL=C.UTF-8")
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = log, log
	began := time.Now()
	err = cmd.Run()
	took = time.Since(began).Seconds()
	s.logf("play    %.2f s", took)
	defer s.hangUp(ctx, control)
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		return took, fmt.Errorf("ansible-playbook: %w\n%s", err, text)
	}
	return took, s.serving(ctx)
}

// hangUp ends the SSH connections that the play has left for the next one.
func (s *stage) hangUp(ctx context.Context, control string) {
	sockets, _ := filepath.Glob(filepath.Join(control, "*"))
	for _, socket := range sockets {
		_ = s.op.SSH(ctx, "-o", "ControlPath="+socket, "-O", "exit", "any").Run() // it is gone already, then
	}
}

// serving checks that what the play left behind is a cluster: `ignore_errors` would not say.
func (s *stage) serving(ctx context.Context) error {
	hosts := s.lab.Hosts()
	out, err := hosts[0].Shell(ctx, "ETCDCTL_ENDPOINTS="+endpoints(hosts)+` /opt/kube/bin/etcdctl --cacert /etc/kubernetes/ssl/ca.pem \
		--cert /etc/kubernetes/ssl/etcd.pem --key /etc/kubernetes/ssl/etcd-key.pem endpoint health`)
	if err != nil {
		return fmt.Errorf("the play left no healthy cluster: %w\n%s", err, out)
	}
	return nil
}

func endpoints(hosts []*lab.Host) string {
	var list []string
	for _, h := range hosts {
		list = append(list, "https://"+h.Addr()+":2379")
	}
	return strings.Join(list, ",")
}
