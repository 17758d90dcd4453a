package plan_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/plan"
	"quorate/templates"
)

// change changes the members, as an executor asks for it and etcd does it: at another list than the one
// expected it does not ask, and etcd refuses what it always refuses.
func (w *world) change(a plan.Action, blindly bool) error {
	var expect []plan.Ref
	var target plan.Ref
	switch a := a.(type) {
	case *plan.Add:
		expect, target = a.Expect, a.Target
	case *plan.Promote:
		expect, target = a.Expect, a.Target
	case *plan.Expel:
		expect, target = a.Expect, a.Target
	case *plan.Update:
		expect, target = a.Expect, a.Target
	}
	if !plan.Lists(w.list, expect) && !blindly {
		return fmt.Errorf("the members are %v, and not %v that the plan was made for", w.list, expect)
	}
	i := slices.IndexFunc(w.list, target.Is)
	switch a.(type) {
	case *plan.Add:
		return w.add(target.PeerURLs)
	}
	if i < 0 {
		return errors.New("etcdserver: member not found")
	}
	w.list = slices.Clone(w.list)
	switch a := a.(type) {
	case *plan.Update:
		if slices.ContainsFunc(w.list, func(m kvserver.Member) bool {
			return m.ID != w.list[i].ID && slices.Contains(m.PeerURLs, a.PeerURLs[0])
		}) {
			return errors.New("etcdserver: Peer URLs already exists")
		}
		w.list[i].PeerURLs = a.PeerURLs
	case *plan.Promote:
		w.list[i].Learner = false
	case *plan.Expel:
		w.list = slices.Delete(w.list, i, i+1)
	}
	return nil
}

// add lists a learner (membership.ValidateConfigurationChange).
func (w *world) add(urls []string) error {
	for _, m := range w.list {
		if slices.ContainsFunc(urls, func(u string) bool { return slices.Contains(m.PeerURLs, u) }) {
			return errors.New("etcdserver: Peer URLs already exists")
		}
		if m.Learner {
			return errors.New("etcdserver: too many learner members in cluster")
		}
	}
	w.born++
	w.list = append(slices.Clone(w.list), kvserver.Member{ID: w.born, PeerURLs: urls, Learner: true})
	return nil
}

// run starts a member with what lies on its disk.
func (w *world) run(name string) {
	if err := w.launch(w.seat(name)); err != nil {
		panic(fmt.Sprintf("%s does not start: %v", name, err))
	}
}

// launch starts the process of a seat. With an empty disk it becomes who its bootstrap file makes it.
func (w *world) launch(s seat) error {
	h, l := s.host, plan.LayoutOf(w.spec, s.member)
	from := here(h) // it runs from where its data was
	if !h.Data.Member && !from {
		id, err := w.become(s)
		if err != nil {
			return err
		}
		w.ids[s.url] = id
	}
	exe := l.KVServer
	if w.spec.Server.Etcd != nil {
		exe = l.Etcd
	}
	h.Unit = node.UnitState{Loaded: h.Unit.Loaded, Enabled: h.Unit.Enabled, NeedReload: h.Unit.NeedReload, Active: "activating", PID: 100}
	config := h.Files[l.EtcdYAML].Content
	w.told[s.url] = kvserver.Member{Name: string(nameIn.FindSubmatch(config)[1]), ClientURLs: []string{"https://" + templates.ClientAddresses(config)[0]},
		PeerURLs: []string{string(peersIn.FindSubmatch(config)[1])}}
	h.Unit.ExeDigest = h.Files[exe].Digest
	h.Unit.ConfigDigest = kvserver.ConfigDigest(h.Files[l.EtcdYAML].Content, h.Files[l.UnitFile].Content)
	if from {
		return nil
	}
	if h.Former != nil {
		for i := range h.Former.Moves {
			h.Former.Moves[i].There = true
		}
	}
	h.Data = node.DirState{Exists: true, Member: true, Entries: []string{"member"}, Count: 1, Aside: h.Data.Aside}
	if l.WAL != "" {
		h.WAL = node.DirState{Exists: true, Member: true, Entries: []string{"wal"}, Count: 1}
	}
	return nil
}

var (
	nameIn  = regexp.MustCompile(`(?m)^name: (.*)$`)
	peersIn = regexp.MustCompile(`(?m)^listen-peer-urls: "?([^,"\n]*)`)
)

// here reports whether something of a member's data is where it is to leave.
func here(h *plan.Host) bool {
	return h.Former != nil && slices.ContainsFunc(h.Former.Moves, func(m plan.SeenMove) bool { return m.Here })
}

// hidden reports whether a member's process listens elsewhere than its peers look for it.
func (w *world) hidden(s seat) bool {
	m, listed := w.listed(s)
	return listed && s.host.Unit.Running() && !slices.Contains(m.PeerURLs, w.told[s.url].PeerURLs[0])
}

// whose is the seat of a listed member: by its data, else by its peer URLs; ok is false where no host of it is known.
func (w *world) whose(m kvserver.Member) (s seat, ok bool) {
	for _, s := range w.seats() {
		if w.ids[s.url] == m.ID {
			return s, true
		}
	}
	return w.at(m.PeerURLs)
}

// former looks where the data of members is whose manifests name other folders than the spec: all of it is there.
func (w *world) former() {
	for _, m := range w.spec.Members {
		h, l := w.obs.Hosts[m.Name], plan.LayoutOf(w.spec, m)
		if man := h.Manifest; man == nil || man.DataDir == l.Data && man.WALDir == l.WAL {
			continue
		}
		h.Former = &plan.Former{Data: h.Data, WAL: h.WAL}
		for _, t := range l.Moves(h.Manifest.DataDir, h.Manifest.WALDir) {
			h.Former.Moves = append(h.Former.Moves, plan.SeenMove{TreeMove: t, Here: h.Data.Member})
			for _, dir := range []string{t.From.Dir, t.To.Dir} {
				h.Mounts[dir] = node.MountState{Known: true, Point: "/"}
				h.Space[dir] = 10 << 30
			}
		}
		if h.Manifest.DataDir != l.Data {
			h.Data = node.DirState{}
		}
		if h.Manifest.WALDir != l.WAL {
			h.WAL = node.DirState{}
		}
		w.logs(m.Name)
	}
}

// lies has a tree be where it was ("here"), where it is to go ("there"), at both ("both"), at neither ("nowhere"), or
// copied and not renamed ("copied").
func (w *world) lies(name, to, where string) {
	f := w.obs.Hosts[name].Former
	for i, t := range f.Moves {
		if t.To.Path() == to {
			f.Moves[i].Here = where == "here" || where == "both"
			f.Moves[i].There = where == "there" || where == "both"
			f.Moves[i].Waits = where == "copied"
		}
	}
	w.logs(name)
}

// logs has a look say where the log of a member is that is on the move: at the new place once it has come there.
func (w *world) logs(name string) {
	h := w.obs.Hosts[name]
	log := h.Former.Moves[0] // of the two the log is the one with "wal" in its name; alone, it goes with the data
	for _, t := range h.Former.Moves {
		if strings.HasSuffix(t.To.Name, "wal") {
			log = t
		}
	}
	h.Data.Member, h.WAL.Member = log.There, log.There && plan.LayoutOf(w.spec, w.spec.Member(name)).WAL != ""
	h.Data.Exists = h.Data.Exists || log.There
}

// become says which member one with an empty disk is. The first start of a cluster makes the whole list, as etcd's
// static bootstrap does. Who joins has to know exactly the members that are listed, by their peer URLs
// (membership.ValidateClusterAndAssignIDs).
func (w *world) become(s seat) (uint64, error) {
	if w.list == nil {
		for _, m := range w.spec.Members {
			w.born++
			w.list = append(w.list, kvserver.Member{ID: w.born, Name: m.Name, PeerURLs: []string{urlOf(m)}})
		}
	}
	i := slices.IndexFunc(w.list, func(m kvserver.Member) bool { return slices.Contains(m.PeerURLs, s.url) })
	if i < 0 {
		return 0, errors.New("the cluster does not list it")
	}
	if known, existing := initial(s.host.Files[plan.LayoutOf(w.spec, s.member).Bootstrap].Content); existing {
		var listed []string
		for _, m := range w.list {
			listed = append(listed, m.PeerURLs...)
		}
		slices.Sort(listed)
		if !slices.Equal(known, listed) {
			return 0, fmt.Errorf("error validating peerURLs: it knows %v, and listed are %v", known, listed)
		}
	}
	return w.list[i].ID, nil
}

var initialCluster = regexp.MustCompile(`(?m)^initial-cluster: (.*)$`)

// initial reads a bootstrap file: the peer URLs in it, sorted, and whether it is one of a cluster that exists.
func initial(file []byte) (urls []string, existing bool) {
	found := initialCluster.FindSubmatch(file)
	if found == nil {
		return nil, false
	}
	for _, m := range strings.Split(strings.Trim(string(found[1]), `"'`), ",") {
		_, u, _ := strings.Cut(m, "=")
		urls = append(urls, u)
	}
	slices.Sort(urls)
	return urls, strings.Contains(string(file), "initial-cluster-state: existing")
}

func (w *world) kill(name string) { halt(w.seat(name).host) }

func halt(h *plan.Host) {
	u := &h.Unit
	*u = node.UnitState{Loaded: u.Loaded, Enabled: u.Enabled, NeedReload: u.NeedReload, Active: "inactive"}
}

// inspect has kvserver, where it is, read the data of members that do not run, as a look does.
func (w *world) inspect() {
	for _, s := range w.seats() {
		s.host.Disk = nil
		if id := w.ids[s.url]; id != 0 && s.seen.Problem == "" && !s.host.Unit.Running() && s.host.Data.Member && s.host.Files[plan.LayoutOf(w.spec, s.member).KVServer].Exists {
			s.host.Disk = &kvserver.Inspection{Member: true, ClusterID: "7", MemberID: kvserver.ID(id), Log: &kvserver.InspectedLog{Term: 2, LastIndex: 5}}
		}
	}
}

// listed is the member that a seat's data makes it, if the cluster lists it.
func (w *world) listed(s seat) (kvserver.Member, bool) {
	i := slices.IndexFunc(w.list, func(m kvserver.Member) bool {
		return m.ID == w.ids[s.url] && (s.host.Data.Member || s.host.Former != nil)
	})
	if i < 0 {
		return kvserver.Member{}, false
	}
	return w.list[i], true
}

// running are the members whose processes do, by their seats.
func (w *world) running() []seat {
	return slices.DeleteFunc(w.seats(), func(s seat) bool {
		_, listed := w.listed(s)
		return !listed || !s.host.Unit.Running() || s.host.Unit.Looping()
	})
}

// voting are those of seats that vote, and total is how many voters the cluster has.
func (w *world) voting(seats []seat) (voters []seat, total int) {
	for _, m := range w.list {
		if !m.Learner {
			total++
		}
	}
	return slices.DeleteFunc(slices.Clone(seats), func(s seat) bool {
		m, _ := w.listed(s)
		return m.Learner
	}), total
}

// elect finds out what the members would say now.
func (w *world) elect() {
	w.obs.Cluster.Answers, w.obs.Cluster.Strangers, w.obs.Left = map[string]plan.Answer{}, nil, nil
	if w.list == nil {
		return
	}
	up := w.running()
	voters, total := w.voting(up)
	quorum := len(voters) > total/2
	for _, s := range w.seats() {
		if _, listed := w.listed(s); !listed && quorum && s.host.Unit.Running() && !s.host.Unit.Looping() {
			halt(s.host) // it hears that it was removed, and ends; one that does not come as far hears nothing
		}
	}
	for _, s := range up {
		if quorum {
			w.publish(s)
			w.ready(s)
		}
	}
	for _, m := range w.spec.Members {
		s := w.seat(m.Name)
		s.host.Serves = ""
		if at := w.told[s.url].ClientURLs; slices.Contains(up, s) && at[0] != node.URL("https", m.Address, m.ClientPort) {
			s.host.Serves = strings.TrimPrefix(at[0], "https://")
		}
		w.obs.Cluster.Answers[m.Name] = w.ask(w.seat(m.Name), voters, quorum, false)
	}
	census := plan.TakeCensus(w.spec, w.obs)
	for _, l := range census.Membership.Members() {
		if l.Spec == "" && l.ID != 0 {
			w.stranger(l, voters, quorum)
		}
	}
	for _, r := range plan.Leavings(w.obs, census) {
		w.leftOver(r)
	}
}

// publish is what a member does once it serves: it says its name and where its clients find it.
func (w *world) publish(s seat) {
	w.list = slices.Clone(w.list)
	for i, m := range w.list {
		if m.ID == w.ids[s.url] {
			w.list[i].Name, w.list[i].ClientURLs = w.told[s.url].Name, w.told[s.url].ClientURLs
		}
	}
}

// ask is what a seat's member answers. A learner answers for itself only, and gives no list.
func (w *world) ask(s seat, voters []seat, quorum, past bool) plan.Answer {
	m, listed := w.listed(s)
	switch {
	case s.seen.Problem != "" && !past:
		return plan.Answer{Problem: s.seen.Problem}
	case !listed, !s.host.Unit.Running(), s.host.Unit.Looping():
		return plan.Answer{Asked: plan.Dead, Problem: "connection refused"}
	}
	st := kvserver.Status{ClusterID: 7, MemberID: m.ID, Version: w.version(), Revision: 1, Learner: m.Learner}
	if !quorum {
		return plan.Answer{Asked: plan.NoLeader, Status: &st, Problem: "it has no leader"}
	}
	st.Leader = w.ids[voters[0].url]
	a := plan.Answer{Asked: plan.Answered, Status: &st}
	if !m.Learner {
		a.Members = slices.Clone(w.list)
	}
	return a
}

// stranger looks at a member that the spec does not have: its API through another member's host, its host where it lets us in.
func (w *world) stranger(l plan.Listed, voters []seat, quorum bool) {
	if w.obs.Cluster.Strangers == nil {
		w.obs.Cluster.Strangers = map[uint64]plan.Stranger{}
	}
	out := plan.Stranger{Member: plan.Outsider(w.spec, l), Host: nobodys()}
	if s, ok := w.at(l.PeerURLs); ok {
		w.call(s, out.Member.Name)
		out.Host = s.seen
		if len(l.ClientURLs) > 0 {
			out.Answer = w.ask(s, voters, quorum, true)
		}
	} else if len(l.ClientURLs) > 0 {
		out.Answer = plan.Answer{Asked: plan.Dead, Problem: "no route to host"}
	}
	w.obs.Cluster.Strangers[l.ID] = out
}

// nobodys is a host that nobody knows.
func nobodys() *plan.Host { return &plan.Host{Problem: "its host key is not known"} }

func (w *world) leftOver(r plan.RecordedMember) {
	if w.obs.Left == nil {
		w.obs.Left = map[string]plan.Stranger{}
	}
	out := plan.Stranger{Member: plan.LeftOver(w.spec, r), Host: nobodys()}
	if s, ok := w.at(r.PeerURLs); ok {
		w.call(s, out.Member.Name)
		out.Host = s.seen
	}
	w.obs.Left[r.ID] = out
}

// call notes what a plan will call a host outside of the spec.
func (w *world) call(s seat, name string) {
	for _, o := range w.outside {
		if o.member == s.member {
			o.called = name
		}
	}
}

// ready is what a host does when its member serves: it notes that, and drops
// the file that would let it start as new.
func (w *world) ready(s seat) {
	h := s.host
	h.Unit.Active, h.Unit.Sub = "active", "running"
	h.Mark = &kvserver.Mark{Format: kvserver.MarkFormat, ClusterID: "7", MemberID: kvserver.ID(w.ids[s.url]), At: now}
	delete(h.Files, plan.LayoutOf(w.spec, s.member).Bootstrap)
}

// say changes what the members that answer say of themselves.
func (w *world) say(change func(name string, s *kvserver.Status)) {
	for n, a := range w.obs.Cluster.Answers {
		if a.Status != nil {
			st := *a.Status
			change(n, &st)
			a.Status = &st
			w.obs.Cluster.Answers[n] = a
		}
	}
}

// answer changes what one member answers.
func (w *world) answer(name string, change func(*plan.Answer)) {
	a := w.obs.Cluster.Answers[name]
	change(&a)
	w.obs.Cluster.Answers[name] = a
}

// relist has every member that serves give the list as it is now.
func (w *world) relist() {
	for n, a := range w.obs.Cluster.Answers {
		if a.Members != nil {
			w.answer(n, func(a *plan.Answer) { a.Members = slices.Clone(w.list) })
		}
	}
}

func (w *world) version() string {
	if e := w.spec.Server.Etcd; e != nil {
		return e.Version
	}
	return "3.7.3"
}

// up lists the healthy members.
func (w *world) up() []string {
	var out []string
	for n, a := range w.obs.Cluster.Answers {
		if a.Asked == plan.Answered {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}
