package spec

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"quorate/kvserver/node/etcdoption"
)

// server fills c.Server.
func (l *loader) server(n *node, c *Cluster) {
	s := &c.Server
	*s = Server{
		Binary:                  l.localPath(n.value("binary")),
		DataDir:                 cleanPath(n.text("data_dir")),
		WALDir:                  cleanPath(n.text("wal_dir")),
		User:                    n.text("user"),
		QuotaBackendBytes:       n.number("quota_backend_bytes"),
		AutoCompactionMode:      n.text("auto_compaction_mode"),
		AutoCompactionRetention: n.text("auto_compaction_retention"),
		SnapshotCount:           n.number("snapshot_count"),
		MaxRequestBytes:         n.number("max_request_bytes"),
		HeartbeatInterval:       n.number("heartbeat_interval"),
		ElectionTimeout:         n.number("election_timeout"),
		LogLevel:                n.text("log_level"),
	}
	if v, ok := n.given("kvserver_sha256"); ok {
		s.KVServerSHA256 = l.sums(v)
	}
	l.checkHostPaths(n, s)
	if v, ok := n.given("user"); ok {
		l.checkUser(v)
	}
	l.checkSizes(n, s)
	s.AutoCompactionRetention = l.retention(n)
	if hb, el := s.HeartbeatInterval, s.ElectionTimeout; el < 5*hb && !n.bad("heartbeat_interval") && !n.bad("election_timeout") {
		l.fail(n.written("election_timeout", "heartbeat_interval"), "Election timeout too short", fmt.Sprintf("An election timeout of %d ms is less than 5 heartbeats of %d ms; etcd refuses to start with it.", el, hb),
			fmt.Sprintf("Write election_timeout = %d, or more.", 10*hb))
	}
	if n.has("etcd") {
		s.Etcd = l.release(n.one("etcd"))
	}
	if v, ok := n.given("extra_options"); ok {
		s.ExtraOptions = map[string]any{}
		for _, o := range v.options {
			s.ExtraOptions[o.name] = l.checkOption(o, s.Etcd)
		}
		if name, cause, wayOut := etcdoption.TLS(s.ExtraOptions, c.TLS.KeyAlgorithm); name != "" {
			for _, o := range v.options {
				if o.name == name {
					l.fail(o.at, "Bad value of an option", fmt.Sprintf("%q %s.", name, cause), wayOut)
				}
			}
		}
	}
}

// pathText is what a path on a host may be made of: it goes into units and
// configuration files, where blanks, quotes and % mean something.
var pathText = regexp.MustCompile(`^/[A-Za-z0-9._/@:+-]*$`)

// systemFolders are where a member's data cannot lie: the unit's sandbox hides
// or write-protects them, or the system cleans them up.
var systemFolders = []string{"/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin", "/sys", "/tmp", "/usr", "/var/run", "/var/tmp"}

// wholeFolders belong to more than a member, though their subfolders may be its own.
var wholeFolders = []string{"/", "/data", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/var", "/var/backups", "/var/cache", "/var/lib", "/var/log"}

func (l *loader) checkHostPaths(n *node, s *Server) {
	l.checkHostPath(n, "data_dir", "a member needs a folder of its own", "/var/lib/etcd")
	l.checkHostPath(n, "wal_dir", "a member needs a folder of its own", "/var/lib/etcd-wal")
	if s.WALDir != "" && !n.bad("data_dir") && (within(s.WALDir, s.DataDir) || within(s.DataDir, s.WALDir)) {
		l.fail(n.where("wal_dir"), "Bad path", fmt.Sprintf("wal_dir %q and data_dir %q lie in one another.", s.WALDir, s.DataDir), "Give wal_dir a folder of its own, or leave it out: the log is then inside data_dir.")
	}
}

// checkHostPath looks at an attribute that names a folder on the hosts.
func (l *loader) checkHostPath(n *node, name, own, example string) {
	v, ok := n.given(name)
	if !ok {
		return
	}
	p := path.Clean(v.text)
	bad := func(cause string) {
		l.fail(v.at, "Bad path", fmt.Sprintf("%s cannot be %q: %s.", name, v.text, cause), fmt.Sprintf("For example: %s = %q", name, example))
	}
	switch {
	case !path.IsAbs(v.text):
		bad("it is a path on the hosts and must be absolute")
	case !pathText.MatchString(v.text):
		bad("it has characters other than letters, digits and . _ / @ : + -")
	case strings.Contains(v.text+"/", "/../"):
		bad(`it has ".." in it`)
	default:
		if slices.Contains(wholeFolders, p) {
			bad(own)
		}
		for _, f := range systemFolders {
			if within(p, f) {
				bad(f + " belongs to the system")
				break
			}
		}
	}
}

// within reports whether p is dir or below it; both are clean.
func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

// userName is useradd's rule.
var userName = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,30}$`)

func (l *loader) checkUser(v value) {
	if v.text == "root" {
		l.fail(v.at, "Members as root", "A member that runs as root could read and change everything on its host.", "Leave user out: a system account of its own is made.")
	} else if !userName.MatchString(v.text) {
		l.fail(v.at, "Bad user", fmt.Sprintf("%q is no name of a system account: those have 1 to 31 lower-case letters, digits, _ and -, with a letter or _ first.", v.text), `For example: user = "etcd"`)
	}
}

const (
	mib = 1 << 20
	gib = 1 << 30
)

func (l *loader) checkSizes(n *node, s *Server) {
	if v, ok := n.given("quota_backend_bytes"); ok {
		switch {
		case v.number < 16*mib:
			// etcd reads 0 as its own 2 GiB; an empty database has 20 kB and grows in steps up to 16 MiB.
			l.fail(v.at, "Bad quota", fmt.Sprintf("A database of at most %d bytes fills at once, and then writes stop.", v.number), `At least "16MiB"; the default is "8GiB".`)
		case v.number > 8*gib:
			l.warn(v.at, "Large quota", fmt.Sprintf("etcd suggests at most 8 GiB, and this is %.4g GiB: starting, snapshots and defragmentation get slow.", float64(v.number)/gib), "Prefer to keep less, or to split the data over clusters.")
		}
	}
	if v, ok := n.given("max_request_bytes"); ok {
		switch {
		case v.number < 1024 || v.number > 1*gib:
			l.fail(v.at, "Bad request size", fmt.Sprintf("max_request_bytes cannot be %d: it goes from 1 KiB to 1 GiB.", v.number), `For example: max_request_bytes = "1.5MiB"`)
		case v.number > 10*mib:
			l.warn(v.at, "Large requests", fmt.Sprintf("etcd recommends at most 10 MiB a request, and this is %.4g MiB: large requests hold up heartbeats.", float64(v.number)/mib), "Prefer to store large values elsewhere.")
		}
	}
}

// retention checks auto_compaction_retention and returns it as etcd reads it.
func (l *loader) retention(n *node) string {
	text, mode := n.text("auto_compaction_retention"), n.text("auto_compaction_mode")
	at := n.written("auto_compaction_retention", "auto_compaction_mode")
	if text == "0" || n.bad("auto_compaction_retention") || n.bad("auto_compaction_mode") {
		return text
	}
	count, err := strconv.ParseInt(text, 10, 64)
	isCount := err == nil && count > 0
	if mode == "revision" {
		if !isCount {
			l.fail(at, "Bad retention", fmt.Sprintf("In revision mode auto_compaction_retention is a number of revisions, not %q.", text), `For example: auto_compaction_retention = "10000"`)
		}
		return text
	}
	if isCount {
		l.fail(at, "Bad retention", fmt.Sprintf("auto_compaction_retention %q has no unit. (etcd itself would take it for hours.)", text), fmt.Sprintf("Write %q, or auto_compaction_mode = \"revision\" to keep that many revisions.", text+"h"))
		return text
	}
	d, err := duration(text)
	if err == nil && d <= 0 {
		err = fmt.Errorf("it is not positive")
	}
	if err != nil {
		l.fail(at, "Bad retention", fmt.Sprintf("auto_compaction_retention cannot be %q: %v.", text, err), `For example: auto_compaction_retention = "1h"; "0" switches compaction off.`)
		return text
	}
	return brief(d)
}

// checkOption looks at one of extra_options and gives its value as etcd reads it.
func (l *loader) checkOption(o option, r *Release) any {
	series := etcdoption.Builtin
	if r != nil {
		if _, minor, ok := majorMinor(r.Version); ok {
			series = minor
		}
	}
	switch verdict, word := etcdoption.Judge(o.name, series); verdict {
	case etcdoption.Managed:
		wayOut := "Remove it; quorate sets it."
		if word != "" {
			wayOut = fmt.Sprintf("Use %s instead.", word)
		}
		l.fail(o.at, "Option is set by quorate", fmt.Sprintf("extra_options cannot set %q: quorate decides it from the rest of the spec.", o.name), wayOut)
	case etcdoption.Harmful:
		l.fail(o.at, "Harmful option", fmt.Sprintf("extra_options cannot set %q: %s.", o.name, word), "Remove it.")
	case etcdoption.Gone:
		l.fail(o.at, "Option is gone", fmt.Sprintf("etcd 3.%d does not know %q any more, and a member with it does not start as asked.", series, o.name), word)
	case etcdoption.Misspelled:
		l.fail(o.at, "Misspelled option", fmt.Sprintf("%q is not how etcd's configuration file spells it.", o.name), fmt.Sprintf("Write %q.", word))
	case etcdoption.TooNew:
		l.fail(o.at, "Option is too new", fmt.Sprintf("etcd 3.%d does not know %q yet; it ignores what it does not know.", series, o.name), word)
	case etcdoption.Unknown:
		l.fail(o.at, "Unknown option", fmt.Sprintf("etcd 3.%d has no option %q, and ignores what it does not know.%s", series, o.name, didYouMean(o.name, etcdoption.Names(series))),
			"Check the spelling in etcd's configuration guide, or remove it.")
	case etcdoption.Fine:
		v, cause, wayOut := etcdoption.Value(o.name, series, o.value)
		if cause != "" {
			l.fail(o.at, "Bad value of an option", fmt.Sprintf("%q %s.", o.name, cause), wayOut)
		}
		return v
	}
	return o.value
}
