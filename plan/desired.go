package plan

import (
	"path"
	"slices"

	"quorate/kvserver"
	"quorate/kvserver/node"
	"quorate/plan/spec"
	"quorate/templates"
)

// desired is what one member's host should hold and run.
type desired struct {
	files    []WriteFile // folders and files, parents first
	manifest *Manifest   // as it should be when all is done
	exe      string      // digest of the executable that should run
	exePath  string      // where that lies
	config   string      // kvserver.ConfigDigest of what it should run with
}

func local(m *spec.Member) bool { return m.Connection.Type == "local" }

// rootOwner owns what the member must not be able to change.
func (b *builder) rootOwner(m *member) string {
	if local(m.Member) {
		return ""
	}
	return "root:root"
}

// userOwner owns what the member reads as its own: keys and data.
func (b *builder) userOwner(m *member) string {
	if local(m.Member) {
		return ""
	}
	return b.user + ":" + b.user
}

// pkiFolder holds the keys, which the member may read and not put others in the place of: the folder is
// root's, since root writes there by name.
func (b *builder) pkiFolder(m *member) WriteFile {
	if local(m.Member) {
		return WriteFile{Path: m.layout.PKI, Dir: true, Mode: 0o700}
	}
	return WriteFile{Path: m.layout.PKI, Dir: true, Mode: 0o750, Owner: "root:" + b.user}
}

// desire renders everything of a member whose host was seen.
func (b *builder) desire(m *member) (*desired, error) {
	l, s := m.layout, b.spec.Server
	config, err := templates.Config(templates.ConfigParams{
		Cluster: b.spec.Name, Name: m.Name, Address: m.Address,
		ClientPort: m.ClientPort, PeerPort: m.PeerPort, MetricsPort: m.MetricsPort,
		DataDir: l.Data, WALDir: l.WALFiles, Version: b.serving(m).Version,
		ServerCert: l.Cert("server"), ServerKey: l.Key("server"),
		PeerCert: l.Cert("peer"), PeerKey: l.Key("peer"), PeerName: b.peerName(m), TrustedCA: l.CA,
		QuotaBackendBytes: s.QuotaBackendBytes, AutoCompactionMode: s.AutoCompactionMode,
		AutoCompactionRetention: s.AutoCompactionRetention, SnapshotCount: s.SnapshotCount,
		MaxRequestBytes: s.MaxRequestBytes, HeartbeatInterval: s.HeartbeatInterval,
		ElectionTimeout: s.ElectionTimeout, LogLevel: s.LogLevel, ExtraOptions: s.ExtraOptions,
	})
	if err != nil {
		return nil, err
	}
	unit, err := b.unit(m)
	if err != nil {
		return nil, err
	}
	root, user := b.rootOwner(m), b.userOwner(m)
	d := &desired{
		files: []WriteFile{
			{Path: l.Config, Dir: true, Mode: 0o755, Owner: root},
			{Path: l.Bin, Dir: true, Mode: 0o755, Owner: root},
			b.pkiFolder(m),
			{Path: l.Data, Dir: true, Mode: 0o700, Owner: user},
		},
		config: kvserver.ConfigDigest(config, unit),
	}
	if l.WAL != "" {
		d.files = append(d.files, WriteFile{Path: l.WAL, Dir: true, Mode: 0o700, Owner: user})
	}
	if l.Run != "" {
		d.files = append(d.files, WriteFile{Path: l.Run, Dir: true, Mode: 0o700}, WriteFile{Path: path.Dir(l.Log), Dir: true, Mode: 0o700})
	}
	d.files = append(d.files,
		WriteFile{Path: l.EtcdYAML, Mode: 0o644, Owner: root, Content: string(config)},
		WriteFile{Path: l.UnitFile, Mode: 0o644, Owner: root, Content: string(unit)},
	)
	backups, err := b.backups(m)
	if err != nil {
		return nil, err
	}
	d.files = append(d.files, backups...)
	d.manifest = &Manifest{
		Format: ManifestFormat, Cluster: b.spec.Name, Member: m.Name, Token: b.plan.Token, Formed: b.formed,
		DataDir: l.Data, WALDir: l.WAL, PeerURL: peerURL(m.Member), ClientURL: node.URL("https", m.Address, m.ClientPort), Protect: m.Protect, SpecDigest: b.plan.SpecDigest,
		Files: map[string]string{l.EtcdYAML: digest(string(config)), l.UnitFile: digest(string(unit)), l.CA: "", l.Bootstrap: "", l.Mark: ""},
	}
	if !local(m.Member) {
		d.manifest.User = b.user
	}
	d.manifest.Made = b.made(m, d.files)
	for _, f := range backups {
		if !f.Dir {
			d.manifest.Files[f.Path] = digest(f.Content)
		}
	}
	for _, c := range b.memberCertificates(m) {
		d.manifest.Files[c.Path], d.manifest.Files[c.Key] = "", ""
	}
	for _, p := range b.binaries(m) {
		d.manifest.Files[p.Path] = p.Digest
		if from := b.obs.Binaries[m.host.Platform()][p.Name].Archive.SHA256; from != "" {
			d.manifest.Archives = map[string]string{p.Path: from}
		}
		d.exe, d.exePath = p.Digest, p.Path // the last one serves: kvserver, or the upstream etcd after it
	}
	return d, nil
}

// made are the folders that this member's files need and that were not there
// before quorate came: those noted down, and those that are missing now.
func (b *builder) made(m *member, files []WriteFile) []string {
	var out []string
	if man := m.host.Manifest; man != nil {
		out = append(out, man.Made...)
	}
	for _, f := range files {
		dir := f.Path
		if !f.Dir {
			dir = path.Dir(f.Path)
		}
		for _, p := range m.layout.Ancestors(dir) {
			if !m.host.Files[p].Exists {
				out = append(out, p)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// bootstrap is the file that tells a member with an empty disk how to find its cluster: the spec's members
// start a new one together; who comes later joins with the list as it is at that moment.
func (b *builder) bootstrap(m *member) (string, error) {
	p := templates.BootstrapParams{Cluster: b.spec.Name, Name: m.Name, Token: b.plan.Token, Existing: b.formed && b.stands(guardExisting)}
	switch {
	case m.list != nil:
		p.Peers = m.list
	case b.formed: // it is listed, and has never served
		p.Peers = initialPeers(b.census.Membership)
	default:
		for _, o := range b.spec.Members {
			p.Peers = append(p.Peers, templates.InitialPeer{Name: o.Name, URLs: []string{peerURL(o)}})
		}
	}
	text, err := templates.Bootstrap(p)
	return string(text), err
}

func (b *builder) unit(m *member) ([]byte, error) {
	l := m.layout
	p := templates.UnitParams{
		Cluster: b.spec.Name, Member: m.Name, Binary: l.KVServer,
		ConfigFile: l.EtcdYAML, BootstrapFile: l.Bootstrap, MarkFile: l.Mark, UnitFile: l.UnitFile, DataDir: l.Data, WALDir: l.WAL, WALFiles: l.WALFiles,
		User: b.user,
	}
	for _, port := range []int{m.ClientPort, m.PeerPort, m.MetricsPort} {
		if port != 0 {
			p.Ports = append(p.Ports, port)
		}
	}
	if b.spec.Server.Etcd != nil {
		p.Etcd = l.Etcd
	}
	if !local(m.Member) {
		return templates.Unit(p)
	}
	p.LogFile, p.PIDFile, p.StateFile = l.Log, l.Run+"/supervisor.pid", l.Run+"/state.json"
	return templates.Supervised(p)
}
