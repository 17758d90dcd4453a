package plan_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/plan"
	"quorate/plan/spec"
)

// happen lets one line of a story come true.
func happen(t *testing.T, w *world, words []string) {
	verb, args := words[0], words[1:]
	arg := func(i int) string {
		if i >= len(args) {
			t.Fatalf("%q wants more words", strings.Join(words, " "))
		}
		return args[i]
	}
	host := func() *plan.Host {
		if o := w.obs.Others[arg(0)]; o != nil {
			return o
		}
		return w.seat(arg(0)).seen
	}
	layout := func() plan.Layout {
		if m := w.spec.Machine(arg(0)); m != nil {
			return plan.LayoutOf(w.spec, m)
		}
		return plan.LayoutOf(w.spec, w.seat(arg(0)).member)
	}
	place := func() plan.Place { return plan.PlaceOf(layout(), w.spec.Installed(arg(0))[0]) }
	switch verb {
	case "bare":
	case "settled":
		if err := w.settle(); err != nil {
			t.Fatal(err)
		}
	case "cut-after": // apply, cut after the step with this ID
		p, err := plan.Build(w.spec, w.obs, options())
		if err != nil {
			t.Fatal(err)
		}
		id := strings.Join(args, " ")
		for i, s := range p.Steps {
			w.do(s)
			if s.ID == id {
				return
			}
			if i == len(p.Steps)-1 {
				t.Fatalf("no step %q", id)
			}
		}
	case "start-only": // units that a cut bootstrap did start
		for _, n := range args {
			w.run(n)
		}
		w.elect()
	case "spec": // go on with another spec: attribute = value on the cluster's server block
		respec(t, w, args)
	case "unreachable":
		w.kill(arg(0))
		w.unreach(w.seat(arg(0)), `cannot reach host "`+arg(0)+`" at 192.168.7.103:22: no route to host`)
		w.elect()
	case "stopped":
		for _, n := range args {
			w.kill(n)
		}
		w.elect()
	case "locked-out": // nobody gets into its host; its member serves on
		w.unreach(w.seat(arg(0)), `cannot reach host "`+arg(0)+`": no route to host`)
		w.elect()
	case "reachable": // again
		w.reach(w.seat(arg(0)))
		w.elect()
	case "looked": // at the data of who does not run
		w.inspect()
	case "listed": // as one that has never started: by an earlier run, or by hand
		w.born++
		w.list = append(slices.Clone(w.list), kvserver.Member{ID: w.born, PeerURLs: []string{urlOf(w.seat(arg(0)).member)}, Learner: len(args) < 2 || arg(1) != "voter"})
		w.elect()
	case "another-order": // of members and of what they say of themselves
		slices.Reverse(w.list)
		w.relist()
	case "slashes": // a final one in each peer URL, as member update takes it
		w.list = slices.Clone(w.list)
		for i, m := range w.list {
			w.list[i].PeerURLs = []string{m.PeerURLs[0] + "/"}
		}
		w.relist()
	case "updated": // listed at another peer URL, by a run that was cut before the restart
		for i, m := range w.list {
			if m.ID == w.ids[w.seat(arg(0)).url] {
				w.list = slices.Clone(w.list)
				w.list[i].PeerURLs = []string{arg(1)}
			}
		}
		w.elect()
	case "certificate-of": // its server's certificate is in another name
		c := host().Certificates[layout().Cert("server")]
		c.Subject = arg(1)
		host().Certificates[layout().Cert("server")] = c
	case "no-machine": // it is gone for good, and nobody knows its address any more
		w.outside = slices.DeleteFunc(w.outside, func(o *outsider) bool { return o.member.Name == arg(0) })
		w.elect()
	case "failed":
		w.kill(arg(0))
		host().Unit.Active = "failed"
		w.elect()
	case "unhealthy": // runs, does not answer
		a := w.obs.Cluster.Answers[arg(0)]
		a.Asked, a.Members, a.Problem = plan.TimedOut, nil, "context deadline exceeded"
		w.obs.Cluster.Answers[arg(0)] = a
	case "nobody-answers":
		for n := range w.obs.Hosts {
			w.obs.Cluster.Answers[n] = plan.Answer{Asked: plan.Refused, Problem: "tls: bad certificate"}
		}
	case "edited":
		switch arg(1) {
		case "config":
			w.edit(arg(0), func(l plan.Layout) string { return l.EtcdYAML })
		case "unit":
			w.edit(arg(0), func(l plan.Layout) string { return l.UnitFile })
			host().Unit.NeedReload = true
		default:
			t.Fatalf("edited what? %q", arg(1))
		}
	case "restarted": // with what lies on its disk
		w.run(arg(0))
		w.elect()
	case "gone":
		path := map[string]string{"server-cert": layout().Cert("server"), "server-key": layout().Key("server"), "config": layout().EtcdYAML,
			"manifest": layout().Manifest, "ca": layout().CA}[arg(1)]
		if path == "" {
			t.Fatalf("a story says that %q is gone, which means nothing", arg(1))
		}
		delete(host().Files, path)
		delete(host().Certificates, path)
		if arg(1) == "manifest" {
			host().Manifest = nil
		}
	case "mode":
		f := host().Files[layout().Key(arg(1))]
		m, err := strconv.ParseUint(arg(2), 8, 32)
		if err != nil {
			t.Fatal(err)
		}
		f.Mode = uint32(m)
		host().Files[layout().Key(arg(1))] = f
	case "binary-replaced":
		f := host().Files[layout().KVServer]
		f.Digest = fake("somebody-elses")
		host().Files[layout().KVServer] = f
	case "new-build": // a newer kvserver on the operator's side
		w.obs.Binaries["linux/amd64"]["kvserver"] = plan.Binary{Digest: fake("newer"), Size: 31 << 20, Version: "3.7.4"}
	case "version": // the members say they are
		w.say(func(_ string, s *kvserver.Status) { s.Version = arg(0) })
	case "scheduled": // by the spec from now on: hosts take backups by themselves, that often
		d, err := time.ParseDuration(arg(0))
		if err != nil {
			t.Fatal(err)
		}
		w.spec.Backup.Schedule = &spec.Schedule{Interval: d, Copies: 2, Prove: "weekly"}
	case "unscheduled":
		w.spec.Backup.Schedule = nil
	case "timer": // of its backups is
		host().BackupTimer.Enabled, host().BackupTimer.Active = arg(1) == "enabled", arg(2)
	case "disabled":
		host().Unit.Enabled = false
	case "leader":
		w.say(func(_ string, s *kvserver.Status) { s.Leader = w.ids[w.seat(arg(0)).url] })
	case "written": // clients have written
		w.say(func(_ string, s *kvserver.Status) { s.Revision = 100 })
	case "foreign-data":
		host().Data = node.DirState{Exists: true, Member: true}
	case "data-lost":
		w.kill(arg(0))
		host().Data = node.DirState{Exists: true, Empty: true}
		w.elect()
	case "reinstalled":
		w.set(w.seat(arg(0)), bareHost(w.spec, w.seat(arg(0)).member))
		w.elect()
	case "claims": // manifest says member of cluster with token
		host().Manifest = &plan.Manifest{Format: plan.ManifestFormat, Member: arg(1), Cluster: arg(2), Token: arg(3), DataDir: layout().Data}
	case "ghost":
		w.list = append(w.list, kvserver.Member{ID: 99, PeerURLs: []string{"https://192.168.7.199:2380"}})
		w.elect()
	case "never-added":
		w.list = w.list[:len(w.list)-1]
		w.obs.Hosts[w.spec.Members[len(w.spec.Members)-1].Name] = bareHost(w.spec, w.spec.Members[len(w.spec.Members)-1])
		w.elect()
	case "ca-gone":
		w.obs.CA = plan.CA{}
	case "ca-other":
		w.obs.CA.Cert.Fingerprint, w.obs.CA.PEM = "ca-other", "CA other\n"
	case "ca-problem":
		w.obs.CA.Problem = strings.Join(args, " ")
	case "expires-in":
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			t.Fatal(err)
		}
		c := host().Certificates[layout().Cert("server")]
		c.NotAfter = now.Add(d)
		host().Certificates[layout().Cert("server")] = c
	case "cluster-id": // the member serves another cluster, as its only member
		w.answer(arg(0), func(a *plan.Answer) {
			st := *a.Status
			st.ClusterID, st.Leader = 99, st.MemberID
			if len(args) > 1 && arg(1) == "alone" {
				st.ClusterID += st.MemberID
			}
			a.Status = &st
			if len(args) > 1 && arg(1) == "alone" {
				a.Members = slices.DeleteFunc(slices.Clone(a.Members), func(m kvserver.Member) bool { return m.Name != arg(0) })
			}
		})
	case "lists-less": // its list lacks the last member
		w.answer(arg(0), func(a *plan.Answer) { a.Members = a.Members[:len(a.Members)-1] })
	case "removed": // by hand; its data is still there
		w.list = slices.DeleteFunc(w.list, func(m kvserver.Member) bool { return m.Name == arg(0) })
		w.kill(arg(0))
		w.elect()
	case "added-again": // under its name and peer URL, as another id
		for i, m := range w.list {
			if m.Name == arg(0) {
				w.list[i].ID, w.list[i].ClientURLs = 77, nil
				host().Manifest.MemberID = fmt.Sprintf("%x", m.ID)
			}
		}
		w.kill(arg(0))
		w.elect()
	case "listed-as": // etcd lists it under another name
		for i, m := range w.list {
			if m.Name == arg(0) {
				host().Manifest.MemberID = fmt.Sprintf("%x", m.ID)
				w.list[i].Name = arg(1)
			}
		}
		w.relist()
	case "recorded-ids": // the manifests have what the members said
		for n, a := range w.obs.Cluster.Answers {
			if a.Status != nil {
				m := w.obs.Hosts[n].Manifest
				m.ClusterID, m.MemberID = fmt.Sprintf("%x", a.Status.ClusterID), fmt.Sprintf("%x", a.Status.MemberID)
				m.Version = a.Status.Version
			}
		}
	case "loops": // its process keeps ending
		w.kill(arg(0))
		w.elect()
		host().Unit.Active, host().Unit.Sub, host().Unit.Restarts = "activating", "auto-restart", 63
		host().Unit.Cause = strings.Join(args[1:], " ")
	case "waits-since": // waits for a quorum
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			t.Fatal(err)
		}
		host().Unit.Active, host().Unit.Sub, host().Unit.Since = "activating", "start", now.Add(-d)
	case "recorded": // the operator's side knows a cluster of this name
		w.obs.Recorded = &plan.Recorded{Format: plan.RecordedFormat, Cluster: w.spec.Name, ClusterID: "c1", Token: "old",
			Members: []plan.RecordedMember{{ID: "1", Name: "etcd1", PeerURLs: []string{"https://192.168.1.1:2380"}}}}
	case "applied": // specs, the newest last
		for _, h := range w.obs.Hosts {
			for i, d := range args {
				h.Manifest.Applied(plan.AppliedSpec{Digest: d, At: now.Add(time.Duration(i-len(args)) * time.Hour), By: "ana@desk"})
			}
		}
	case "new-minor": // a kvserver of the next minor version on the operator's side
		w.obs.Binaries["linux/amd64"]["kvserver"] = plan.Binary{Digest: fake("minor"), Size: 31 << 20, Version: "3.8.0"}
	case "wiped-under": // its files were deleted while it runs
		host().Data = node.DirState{Exists: true, Empty: true}
	case "bare-host":
		w.obs.Hosts[arg(0)] = bareHost(w.spec, w.spec.Member(arg(0)))
	case "holds": // its data directory, before quorate came
		host().Data = node.DirState{Exists: true, Entries: args[1:], Count: len(args) - 1}
	case "root-holds":
		host().Base = node.DirState{Exists: true, Entries: args[1:], Count: len(args) - 1}
	case "disk": // what is read from the data: of which cluster, member, and how far it came
		host().Disk = &kvserver.Inspection{Member: true, ClusterID: arg(1), MemberID: arg(2), BootstrapOnly: arg(3) == "bootstrap-only",
			Log: &kvserver.InspectedLog{Term: 2, LastIndex: 5}}
		host().Data = node.DirState{Exists: true, Member: true, Entries: []string{"member"}, Count: 1}
		for _, m := range args[4:] { // members that it was begun with: name=url
			n, u, _ := strings.Cut(m, "=")
			host().Disk.Members = append(host().Disk.Members, kvserver.InspectedMember{Name: n, PeerURLs: []string{u}})
		}
	case "knows-removed":
		host().Disk.Removed = append(host().Disk.Removed, arg(1))
	case "ca-unsealed":
		w.obs.CA.Unsealed = true
	case "masked":
		host().Unit.Masked = true
	case "drop-in":
		host().Unit.DropIns = []string{arg(1)}
	case "addresses":
		host().Addresses = args[1:]
	case "older": // the manifests are of a version that did not note the account
		for _, h := range w.obs.Hosts {
			h.Manifest.User = ""
		}
	case "belongs": // its data, after a chown by hand
		f := host().Files[layout().Data]
		f.Owner, f.Group = arg(1), arg(1)
		host().Files[layout().Data] = f
	case "unnamed-peers": // made by a version that did not know peers by name, and running with it
		for _, m := range w.spec.Members {
			h, l := w.obs.Hosts[m.Name], plan.LayoutOf(w.spec, m)
			c := h.Certificates[l.Cert("peer")]
			c.Subject = m.Name
			h.Certificates[l.Cert("peer")] = c
			f := h.Files[l.EtcdYAML]
			f.Content = regexp.MustCompile(`(?m)^ +allowed-cn:.*\n( +- .*\n)?`).ReplaceAll(f.Content, nil)
			f.Digest = sha(string(f.Content))
			h.Files[l.EtcdYAML] = f
			h.Unit.ConfigDigest = kvserver.ConfigDigest(f.Content, h.Files[l.UnitFile].Content)
		}
	case "machine-unreachable":
		w.obs.Others[arg(0)] = &plan.Host{Problem: `cannot reach host "` + arg(0) + `": no route to host`}
	case "connected": // addresses with a member's client port
		w.seat(arg(0)).host.Consumers = args[1:]
		w.elect()
	case "told": // a machine has these endpoints
		host().Files[place().Endpoints] = node.FileState{Exists: true, Type: "file", Mode: 0o644, Owner: "root", Group: "root", Content: []byte(arg(1) + "\n"), Digest: sha(arg(1) + "\n")}
	case "restart-pending":
		host().Files[place().Pending] = node.FileState{Exists: true, Type: "file", Mode: 0o600, Owner: "root", Group: "root"}
	case "installed-expires-in":
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			t.Fatal(err)
		}
		c := host().Certificates[place().Cert]
		c.NotAfter = now.Add(d)
		host().Certificates[place().Cert] = c
	case "foreign-ca": // in a client's folder
		host().Files[place().CA] = node.FileState{Exists: true, Type: "file", Mode: 0o644, Owner: "root", Group: "root", Content: []byte("another CA\n"), Digest: sha("another CA\n")}
	case "unsafe-place":
		host().Unsafe = append(host().Unsafe, node.Exposure{Path: arg(1)})
	case "lies": // host, a tree under the name that it is to have, where it is
		w.lies(arg(0), arg(1), arg(2))
	case "file-system": // of a folder begins at
		host().Mounts[arg(1)] = node.MountState{Known: true, Point: arg(2)}
	case "takes": // what is to be moved, each of the trees
		n, err := strconv.ParseInt(arg(1), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		for i := range host().Former.Moves {
			host().Former.Moves[i].Bytes = n << 20
		}
	case "unmarked":
		host().Mark = nil
	case "client-gone":
		w.obs.Clients[arg(0)] = plan.ClientFiles{}
	case "clock":
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			t.Fatal(err)
		}
		host().ClockOffset = d
	case "os":
		host().OS = arg(1)
	case "arch":
		host().Arch = arg(1)
	case "manager":
		host().Manager = strings.TrimPrefix(arg(1), "none")
	case "no-root":
		host().Root = false
	case "missing-tool":
		host().Missing = append(host().Missing, arg(1))
	case "free":
		n, err := strconv.ParseInt(arg(1), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		for p := range host().Space {
			host().Space[p] = n << 20
		}
	case "listens":
		n, err := strconv.Atoi(arg(1))
		if err != nil {
			t.Fatal(err)
		}
		address := "0.0.0.0"
		if len(args) > 3 {
			address = arg(3)
		}
		host().Ports[n] = node.PortState{Known: true, Listeners: []node.PortListener{{Address: address, PID: 4711, Process: arg(2)}}}
	case "others-may-write": // to a folder on the way
		host().Exposed = append(host().Exposed, node.Exposure{Path: arg(1)})
	case "somebodys": // folder, whose
		host().Exposed = append(host().Exposed, node.Exposure{Path: arg(1), Owner: arg(2)})
	case "leads-nowhere":
		host().Exposed = append(host().Exposed, node.Exposure{Path: arg(1), Nowhere: true})
	case "mounted": // a mount point with options: all that is written below it is on it
		for _, dir := range layout().Written() {
			if strings.HasPrefix(dir, strings.TrimSuffix(arg(1), "/")+"/") {
				host().Mounts[dir] = node.MountState{Known: true, Point: arg(1), Type: "ext4", ReadOnly: slices.Contains(args, "ro"), NoExec: slices.Contains(args, "noexec")}
			}
		}
	case "unfetched": // the operator's side does not have the archive of etcd (any more)
		etcd := w.obs.Binaries["linux/amd64"]["etcd"]
		etcd.Digest, etcd.Size = "", 0
		w.obs.Binaries["linux/amd64"]["etcd"] = etcd
	case "no-archive": // and its source is a path that is not there
		etcd := w.obs.Binaries["linux/amd64"]["etcd"]
		etcd.Digest, etcd.Size, etcd.Problem = "", 0, "cannot fetch etcd 3.7.3: stat /work/etcd.tar.gz: no such file or directory"
		w.obs.Binaries["linux/amd64"]["etcd"] = etcd
	case "another-archive": // the spec names another release
		w.obs.Binaries["linux/amd64"]["etcd"] = plan.Binary{Version: "3.7.4", Archive: plan.Archive{URL: "etcd-3.7.4.tar.gz", SHA256: strings.Repeat("4", 64)}}
		w.fetched()
	case "no-archives":
		m := *host().Manifest
		m.Archives = nil
		host().Manifest = &m
	case "edited-binary": // somebody put another etcd there
		l := layout()
		f := host().Files[l.Etcd]
		f.Digest = fake("foreign")
		host().Files[l.Etcd] = f
	case "no-binary":
		w.obs.Binaries = map[string]map[string]plan.Binary{}
		w.obs.BinaryProblems = map[string]string{"linux/amd64": "no kvserver for linux/amd64 beside quorate"}
	default:
		if !stores(t, w, verb, args) {
			t.Fatalf("a story says %q, which means nothing", verb)
		}
	}
}

// respec goes on with a changed spec.
func respec(t *testing.T, w *world, args []string) {
	c := *w.spec
	switch args[0] {
	case "quota":
		c.Server.QuotaBackendBytes = 1 << 30
	case "dirs": // data_dir, and a wal_dir or none
		c.Server.DataDir, c.Server.WALDir = args[1], strings.Join(args[2:], "")
	case "user":
		c.Server.User = strings.Join(args[1:], "")
	case "san":
		c.TLS.ExtraSANs = append(c.TLS.ExtraSANs, args[1])
	case "client":
		c.Clients = append(c.Clients, &spec.Client{Name: args[1], CommonName: args[1], Dir: "pki/lab/clients"})
	case "nothing-installed":
		c.Clients = slices.Clone(c.Clients)
		for i, k := range c.Clients {
			bare := *k
			bare.Install = nil
			c.Clients[i] = &bare
		}
	case "rename":
		c.Members = slices.Clone(c.Members)
		m := *c.Members[0]
		m.Name = args[1]
		c.Members[0] = &m
		w.respec(&c)
		return
	case "address", "client-port", "peer-port", "metrics-port": // member or "all", value; the host is the same one
		c.Members = slices.Clone(c.Members)
		for i, m := range c.Members {
			if args[1] != "all" && args[1] != m.Name {
				continue
			}
			m := *m
			c.Members[i] = &m
			if args[0] == "address" { // of all: the last number stays
				m.Address = args[2]
				if args[1] == "all" {
					was := w.spec.Members[i].Address
					m.Address += was[strings.LastIndex(was, ".")+1:]
				}
				continue
			}
			n, err := strconv.Atoi(args[2])
			if err != nil {
				t.Fatal(err)
			}
			*map[string]*int{"client-port": &m.ClientPort, "peer-port": &m.PeerPort, "metrics-port": &m.MetricsPort}[args[0]] = n
		}
		w.readdress(&c)
		return
	case "add", "drop", "move", "swap", "protect", "unprotect": // its members
		c.Members = slices.Clone(c.Members)
		recast(t, &c, args[0], args[1:])
		w.respec(&c)
		return
	default:
		t.Fatalf("spec what? %q", args[0])
	}
	w.spec = &c
	if args[0] == "dirs" {
		w.former()
	}
}

// recast changes who the members of a spec are.
func recast(t fataler, c *spec.Cluster, verb string, args []string) {
	member := func(name string) *spec.Member {
		i := slices.IndexFunc(c.Members, func(m *spec.Member) bool { return m.Name == name })
		if i < 0 {
			t.Fatalf("the spec has no member %q", name)
		}
		m := *c.Members[i]
		c.Members[i] = &m
		return &m
	}
	switch verb {
	case "add": // name, address
		m := *c.Members[0]
		m.Name, m.Address = args[0], args[1]
		m.Connection.Host = args[1]
		if m.Connection.Type == "local" {
			m.Connection.Root = strings.TrimSuffix(m.Connection.Root, c.Members[0].Name) + m.Name
		}
		c.Members = append(c.Members, &m)
	case "drop": // names
		c.Members = slices.DeleteFunc(c.Members, func(m *spec.Member) bool { return slices.Contains(args, m.Name) })
	case "move": // name, address
		member(args[0]).Address = args[1]
	case "swap": // two names
		a, b := member(args[0]), member(args[1])
		a.Address, b.Address = b.Address, a.Address
	case "protect", "unprotect": // a member, or the cluster
		if len(args) == 0 {
			c.Protect = verb == "protect"
			return
		}
		member(args[0]).Protect = verb == "protect"
	}
}
