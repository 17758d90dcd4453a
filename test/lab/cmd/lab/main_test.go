package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"quorate/test/lab"
)

// run runs the command with its default cache.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := newCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetIn(strings.NewReader(""))
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestLabForPeople(t *testing.T) {
	t.Parallel()
	lab.Need(t)
	out, err := run(t, "up", "--hosts", "1")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^lab ([0-9a-f]+),`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("up printed no id:\n%s", out)
	}
	id := m[1]
	down := false
	defer func() {
		if !down {
			_, _ = run(t, "down", id)
		}
	}()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"status"}, "etcd1    198.18.0.11    up"},
		{[]string{"ssh", id + "/etcd1", "hostname"}, "etcd1\n"},
		{[]string{"ssh", id + "/ops@etcd1", "sudo", "-n", "id", "-un"}, "root\n"},
		{[]string{"run", id, "--", "ip", "-brief", "address", "show", "br0"}, "198.18.0.1/24"},
	} {
		if out, err := run(t, c.args...); err != nil || !strings.Contains(out, c.want) {
			t.Errorf("lab %s: %v, printed %q, want %q in it", strings.Join(c.args, " "), err, out, c.want)
		}
	}
	if out, err := run(t, "down", id); err != nil || out != "lab "+id+" is down\n" {
		t.Errorf("lab down: %v, printed %q", err, out)
	}
	down = true
	if out, err := run(t, "ssh", id+"/etcd1", "true"); err == nil {
		t.Errorf("ssh into a lab that is down: %q", out)
	}
}
