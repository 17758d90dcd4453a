package spec

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/hcl/v2"
)

func TestStarter(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		hosts []string
		o     StarterOptions
	}{
		"hosts": {hosts: []string{"192.168.7.101", "etcd2.example.com", "2001:db8::3"}},
		"local": {o: StarterOptions{Name: "laptop", Local: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, err := Starter(tt.hosts, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/starter-"+name+".hcl", string(src))
			if !bytes.Equal(Format(src), src) {
				t.Error("it is not formatted")
			}
			want := mustLoad(t, src)
			if n := max(len(tt.hosts), 3); len(want.Members) != n {
				t.Errorf("%d members, want %d", len(want.Members), n)
			}
			// The comments show the true defaults: without their first "#" the
			// spec says the same, but for the client, and for the backups that hosts take where there is a block.
			got := mustLoad(t, []byte(uncomment(string(src))))
			if len(got.Clients) != 1 {
				t.Errorf("%d clients, want 1", len(got.Clients))
			}
			got.Clients = want.Clients
			if s := got.Backup.Schedule; s == nil || s.Interval != 12*time.Hour || s.Copies != 2 {
				t.Errorf("backups are taken like this: %+v", s)
			}
			got.Backup.Schedule = nil
			opts := []cmp.Option{
				cmpopts.IgnoreTypes(hcl.Range{}), cmpopts.EquateEmpty(),
				cmp.Comparer(func(a, b Secret) bool { return a == b }),
			}
			if diff := cmp.Diff(want, got, opts...); diff != "" {
				t.Errorf("uncommented, it means something else:\n%s", diff)
			}
		})
	}
}

// uncomment takes one "# " away from the lines that begin with it inside the cluster.
func uncomment(src string) string {
	head, body, _ := strings.Cut(src, "cluster ")
	var b strings.Builder
	for line := range strings.Lines(body) {
		trimmed := strings.TrimLeft(line, " ")
		if rest, ok := strings.CutPrefix(trimmed, "# "); ok {
			line = rest
		}
		b.WriteString(line)
	}
	return head + "cluster " + b.String()
}

func mustLoad(t *testing.T, src []byte) *Cluster {
	t.Helper()
	s, diags := Load([]File{{Name: "main.hcl", Bytes: src}}, Options{})
	if len(diags) > 0 {
		t.Fatalf("%v\n%s", diags, src)
	}
	return s.Clusters[0]
}

func TestStarterRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		hosts []string
		o     StarterOptions
		want  string
	}{
		"no hosts":    {want: "no hosts were given"},
		"bad host":    {hosts: []string{"192.168.7.101:22"}, want: "it has a port"},
		"bad name":    {hosts: []string{"192.168.7.101"}, o: StarterOptions{Name: "My Lab"}, want: `For example: cluster "my-lab"`},
		"same twice":  {hosts: []string{"192.168.7.101", "192.168.7.101", "192.168.7.102"}, want: "has the address of member"},
		"interpolate": {hosts: []string{"${env(\"HOME\")}"}, want: "neither an IP address nor a host name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, err := Starter(tt.hosts, tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || src != nil {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}
