package provision

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"quorate/plan"
	"quorate/plan/spec"
	"quorate/provision/host"
)

// ConsumersReport is what those who use the cluster have to know after a run that changed who serves, or where, or a client.
type ConsumersReport struct {
	// EtcdServers is what kube-apiserver takes as --etcd-servers.
	EtcdServers string `json:"etcd_servers"`
	// HandOver are the clients whose files lie on this side, and are used elsewhere.
	HandOver []HandOver `json:"hand_over,omitempty"`
	// Installed are the clients that are kept on the machines that use them.
	Installed []InstalledReport `json:"installed,omitempty"`
}

// HandOver is where a client's files lie on this side, as the spec has the paths.
type HandOver struct {
	Client      string `json:"client"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	CA          string `json:"ca"`
	Endpoints   string `json:"endpoints"`
}

// InstalledReport is a client, and what came of putting it on its machines.
type InstalledReport struct {
	Client string `json:"client"`
	Host   string `json:"host"`
	Dir    string `json:"dir"` // there
	// Detail says what became of the units; "" where nothing was to be done.
	Detail string `json:"detail,omitempty"`
}

// tells is nil for a run that changed nothing that those who use the cluster have to know.
func (r *run) tells(done []StepReport) *ConsumersReport {
	changed := false
	details := map[string]string{}
	for i, s := range r.plan.Steps {
		details[s.ID] = done[i].Detail
		switch a := s.Action.(type) {
		case *plan.Add, *plan.Promote, *plan.Expel, *plan.Update, *plan.Endpoints, *plan.Install, *plan.IssueClient:
			changed = changed || done[i].Result == Changed
		case *plan.Relocate:
			changed = changed || a.Update != nil && done[i].Result == Changed
		case *plan.Start:
			changed = changed || a.Bootstrap && done[i].Result == Changed
		}
	}
	if !changed || len(r.plan.Endpoints) == 0 {
		return nil
	}
	c := r.session.cluster
	out := &ConsumersReport{EtcdServers: strings.Join(r.plan.Endpoints, ",")}
	for _, k := range c.ClientsHere() {
		out.HandOver = append(out.HandOver, HandOver{Client: k.Name, Certificate: path.Join(k.Dir, k.Name+".pem"), Key: path.Join(k.Dir, k.Name+"-key.pem"),
			CA: path.Join(k.Dir, "ca.pem"), Endpoints: plan.EndpointsFile(k)})
	}
	for _, h := range r.plan.Held {
		for _, i := range c.Installed(h.Subject) {
			id := plan.InstallID(i.Client.Name, h.Subject)
			if _, planned := details[id]; !planned {
				details[id] = "as it was, since that is held: " + string(h.Reason)
			}
		}
	}
	for _, m := range r.session.machines() {
		for _, i := range c.Installed(m.Name) {
			out.Installed = append(out.Installed, InstalledReport{Client: i.Client.Name, Host: m.Name, Dir: i.Dir, Detail: details[plan.InstallID(i.Client.Name, m.Name)]})
		}
	}
	return out
}

// probeConsumers is the probe that reads who is connected with a member's client port.
const probeConsumers = "consumers"

// consumersProbe reads the kernel's table of TCP connections, those that are established on a local port.
func consumersProbe(port int) host.Probe {
	pattern := fmt.Sprintf("^ *[0-9]+: [0-9A-F]+:%04X [0-9A-F]+:[0-9A-F]+ 01 ", port)
	return host.Probe{Name: probeConsumers, Argv: []string{"grep", "-hsE", pattern, "/proc/net/tcp", "/proc/net/tcp6"}, Limit: 1 << 20}
}

// remotes are the addresses in lines of /proc/net/tcp and tcp6, sorted, each once; what is no such line is passed over.
// The kernel writes an address as words of 32 bits in its own byte order, which is little-endian on all hosts here.
func remotes(table []byte) []string {
	out := []string{}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 4 || f[3] != "01" {
			continue
		}
		digits, _, _ := strings.Cut(f[2], ":")
		raw, err := hex.DecodeString(digits)
		if err != nil || len(raw) != 4 && len(raw) != 16 {
			continue
		}
		for i := 0; i < len(raw); i += 4 {
			binary.BigEndian.PutUint32(raw[i:], binary.LittleEndian.Uint32(raw[i:]))
		}
		if a, ok := netip.AddrFromSlice(raw); ok {
			out = append(out, a.Unmap().String())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// meetConsumers looks who is connected with the members that stay, if somebody is connected with one that may leave.
func (s *Session) meetConsumers(ctx context.Context, o *plan.Observed) {
	used := false
	for _, st := range o.Cluster.Strangers {
		used = used || st.Host != nil && len(st.Host.Consumers) > 0
	}
	if !used {
		return
	}
	members := s.cluster.Members
	parallel(len(members), func(i int) {
		m := members[i]
		if h, err := s.Reader(ctx, m.Name); err == nil && o.Hosts[m.Name].Problem == "" {
			o.Hosts[m.Name].Consumers = connected(ctx, h, m)
		}
	})
}

// connected are the addresses that are connected with a member's client port; nil where that cannot be told.
func connected(ctx context.Context, h host.Reader, m *spec.Member) []string {
	look, err := h.Look(ctx, host.Query{Probes: []host.Probe{consumersProbe(m.ClientPort)}})
	if err != nil {
		return nil
	}
	return consumers(look)
}

// consumers are what the probe said, nil if it did not run; that grep ends with 1 says that there are none, and with 2
// that a table is missing.
func consumers(l *host.Look) []string {
	if p := l.Probes[probeConsumers]; p.Ran && p.Code >= 0 && p.Code <= 2 {
		return remotes(p.Stdout)
	}
	return nil
}
