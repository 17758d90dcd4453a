package posix

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"quorate/kvserver/node"
	"quorate/provision/host"
	"quorate/provision/host/hosttest"
)

// answering is a session on a host that gives one answer to every script.
func answering(answer []byte) *Host {
	return New(&canned{slices.Concat(answer, []byte("end\n"))}, Options{Name: "h1", Now: time.Now})
}

// FuzzLook: what a look gives is as package node says, whatever the host answers.
func FuzzLook(f *testing.F) {
	q := host.Query{
		Files: []host.FileQuery{{Path: "/etc/text", Content: true}, {Path: "/bin/good"}}, Dirs: []host.DirQuery{{Path: "/opt/data"}},
		Units: []string{"good.service"}, Ports: []int{22, 2379}, Accounts: []string{"root"}, Space: []string{"/opt"},
		Probes: []host.Probe{{Name: "p", Argv: []string{"probe"}, Limit: 4}},
	}
	f.Add(lookSeed(f, q))
	f.Add([]byte("facts\tLinux\tx86_64\t0\th\nclock\t1.000000001\nraw\n\n"))
	f.Add([]byte("file\t81a4\t0\t0\troot\troot\t-1\t1:2:3:4:5\t/etc/text\nsha\t" + strings.Repeat("0", 64) + "  /etc/text\ncontent\t/etc/text\nraw\nabc\n"))
	f.Add([]byte("listeners\ntcp\t0016\t0100007F\t5\nowner\t5\t7\tsshd\nbsd\ttcp4 0 0 *.22 *.* LISTEN\nraw\n\n"))
	// All that is asked for is told first, so that only what is new can be wrong.
	const rest = "account\tyes\troot\nspace\t1\t/opt\nmount\t/\t/opt\nspace\t1\t/tmp\nmount\t/\t/tmp\ndir\tno\t0\t-\t/opt/data\n"
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, answer := range [][]byte{body, append([]byte(rest), body...)} {
			h := answering(answer)
			l, err := h.look(t.Context(), q)
			if (l == nil) != (err != nil) {
				t.Fatalf("%+v beside %v", l, err)
			}
			if err == nil {
				checkLook(t, q, l, !bytes.Contains(body, []byte("bsd\t")))
			}
			for stamp, digest := range h.knownDigests() {
				if !plain(stamp) || !isDigest(digest) {
					t.Errorf("learned %q as the digest of %q", digest, stamp)
				}
			}
		}
	})
}

// lookSeed is the answer of a fake machine.
func lookSeed(f *testing.F, q host.Query) []byte {
	m := hosttest.NewMachine("fake")
	hosttest.SuiteCommands(m)
	m.SetFacts(func(f *host.Facts) { f.Addresses = []string{"127.0.0.1", "::1"} })
	m.WriteFile("/etc/text", []byte("text\n"), 0o644)
	m.WriteFile("/bin/good", []byte("good"), 0o755)
	m.WriteFile("/opt/data/member/wal/0.wal", nil, 0o600)
	m.WriteFile("/opt/data/.aside/then/x", nil, 0o600)
	m.WriteFile("/etc/systemd/system/good.service", []byte("ExecStart=/bin/good\n"), 0o644)
	h := m.Host()
	if _, err := h.Service(f.Context(), host.ServiceRequest{Unit: "good.service", Verb: "start"}); err != nil {
		f.Fatal(err)
	}
	request, err := answering(nil).lookRequest(q)
	if err != nil {
		f.Fatal(err)
	}
	return bytes.TrimSuffix(hosttest.AnswerLook(f.Context(), h, []byte(framed(request))), []byte("end\n"))
}

func isDigest(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size
}

// checkLook holds a look against what package node says of it. linux: sockets were told as Linux does.
func checkLook(t *testing.T, q host.Query, l *host.Look, linux bool) {
	if year := l.Facts.Clock.Year(); year < 0 || year > 9999 {
		t.Errorf("the clock is in the year %d", year)
	}
	for _, a := range l.Facts.Addresses {
		if ip, err := netip.ParseAddr(a); err != nil || ip.String() != a {
			t.Errorf("the address %q", a)
		}
	}
	for _, asked := range q.Files {
		s, ok := l.Files[asked.Path]
		content := sha256.Sum256(s.Content)
		switch {
		case !ok:
			t.Errorf("nothing of %s", asked.Path)
		case !s.Exists && fmt.Sprint(s) != fmt.Sprint(host.FileState{}), s.Mode > 0o7777, s.Size < 0, s.Type == "file" && !isDigest(s.Digest),
			s.Content != nil && (len(s.Content) > host.ContentLimit || int64(len(s.Content)) != s.Size || hex.EncodeToString(content[:]) != s.Digest),
			s.Exists && !slices.Contains([]string{"file", "dir", "link", "other"}, s.Type):
			t.Errorf("%s: %+v", asked.Path, s)
		}
	}
	for p, s := range l.Dirs {
		if s.Count < len(s.Entries) || s.Exists && s.Empty != (s.Count == 0) || len(s.Entries) > node.EntryLimit || !slices.IsSorted(s.Entries) || !slices.IsSorted(s.Aside) || s.Mode > 0o7777 {
			t.Errorf("%s: %+v", p, s)
		}
		for _, n := range s.Entries {
			if n == "" || strings.Contains(n, "/") {
				t.Errorf("%s has the entry %q", p, n)
			}
		}
		for _, a := range s.Aside {
			if path.Dir(a) != path.Join(p, host.AsideDir) {
				t.Errorf("%s was moved aside to %q", p, a)
			}
		}
	}
	for _, u := range q.Units {
		checkUnitState(t, l.Units[u])
	}
	for _, p := range q.Ports {
		for _, s := range l.Ports[p].Listeners {
			if _, err := netip.ParseAddr(s.Address); s.PID < 0 || linux && err != nil {
				t.Errorf("port %d: %+v", p, s)
			}
		}
	}
	for _, p := range q.Probes {
		if s := l.Probes[p.Name]; !s.Ran && len(s.Stdout) > 0 || len(s.Stdout) > p.Limit || len(s.Stderr) > p.Limit {
			t.Errorf("%s: %+v", p.Name, s)
		}
	}
}

func checkUnitState(t *testing.T, s host.UnitState) {
	if s.PID < 0 || s.Restarts < 0 || s.PID == 0 && (s.Exe != "" || s.ExeDigest != "" || s.ConfigDigest != "") || s.ExeDigest != "" && !isDigest(s.ExeDigest) || strings.Contains(s.Cause, "\n") {
		t.Errorf("%+v", s)
	}
}

// FuzzService: a unit is as package node says, and no more is told than there are lines.
func FuzzService(f *testing.F) {
	f.Add([]byte("progress\tactivating\tstart\t0\t7\nunits\nId=a.service\nActiveState=active\nMainPID=7\nExecMainStartTimestamp=Sun 2026-11-22 14:30:39 UTC\n\nunits-end\n"))
	f.Add([]byte("cause\tfailed\nunits\nId=a.service\nActiveState=failed\nMainPID=0\nNRestarts=-1\n\nunits-end\njournal\ta.service\nlog\tkvserver: no\n"))
	f.Add([]byte("units\nId=a.service\nActiveState=active\nMainPID=-7\n\nunits-end\nexe\t1:2\t/proc/-7/exe\nsha\t" + strings.Repeat("z", 64) + "  /proc/-7/exe\nenv\n\nenv-end\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		told := 0
		s, err := answering(body).Service(t.Context(), host.ServiceRequest{Unit: "a.service", Verb: "start", Progress: func(s host.UnitState) {
			told++
			checkUnitState(t, s)
		}})
		checkUnitState(t, s)
		if err == nil && s.Active == "" {
			t.Errorf("no state: %+v", s)
		}
		if told > bytes.Count(body, []byte("\n")) {
			t.Errorf("told %d times", told)
		}
	})
}

// FuzzUpload: a file is in place with a stamp that can be asked for later, or it is an error.
func FuzzUpload(f *testing.F) {
	for _, s := range []string{"send\n", "same\t1:2:3:4:5\n", "changed\nsame\t1:2:3:4:5\n", "done\t1:2:3:4:5\n", "done\t1\nend\nx\n", "fail\tno space left\n"} {
		f.Add([]byte(s))
	}
	blob := host.BytesBlob([]byte("blob"))
	f.Fuzz(func(t *testing.T, body []byte) {
		h := answering(body)
		c, err := h.Upload(t.Context(), host.Upload{Path: "/bin/kvserver", Mode: 0o755, Blob: blob})
		if err == nil && (c.Path != "/bin/kvserver" || c.Digest != blob.Digest() || !plain(c.Stamp)) {
			t.Errorf("%+v", c)
		}
		for stamp := range h.knownDigests() {
			if !plain(stamp) {
				t.Errorf("learned the stamp %q", stamp)
			}
		}
	})
}

// FuzzDownload: what is given out are bytes of the answer behind the size, and without an error as many as that says;
// in whatever pieces it comes.
func FuzzDownload(f *testing.F) {
	for _, s := range []string{"size\t5\nabcde", "size\t7\nend\n", "size\t3\nabcdef", "missing\nend\n", "fail\tno\nend\n", "size\t0\n", "size\t", "\n"} {
		f.Add([]byte(s), uint8(0), uint8(3))
	}
	f.Fuzz(func(t *testing.T, body []byte, from, piece uint8) {
		var first string
		for _, piece := range []int{0, int(piece) + 1} {
			var to bytes.Buffer
			last := int64(-1)
			h := New(&speaker{canned: canned{body}, piece: piece}, options("/"))
			got, err := h.Download(t.Context(), host.Download{Path: "/f", From: int64(from), To: &to, Progress: func(n, total int64) {
				if n < int64(from) || n < last || n > total {
					t.Errorf("%d of %d bytes after %d", n, total, last)
				}
				last = n
			}})
			head, content, _ := bytes.Cut(body, []byte("\n"))
			if err == nil {
				size, bad := strconv.ParseInt(strings.TrimPrefix(string(head), "size\t"), 10, 64)
				if bad != nil || got.Size != size || !bytes.Equal(to.Bytes(), content) || int64(from)+got.Got != size {
					t.Errorf("%+v of %q", got, body)
				}
			}
			if !bytes.HasPrefix(content, to.Bytes()) || got.Got != int64(to.Len()) {
				t.Errorf("%q came of %q, %+v", to.Bytes(), body, got)
			}
			if outcome := fmt.Sprint(to.Bytes(), got, err); piece > 0 && outcome != first {
				t.Errorf("in pieces: %s, whole: %s", outcome, first)
			} else {
				first = outcome
			}
		}
	})
}

// FuzzWrite: every file asked for is told of, or it is an error.
func FuzzWrite(f *testing.F) {
	f.Add([]byte("changed\t/a\nstat\t1:2\t/a\nstat\t1:3\t/b\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := answering(body).Write(t.Context(), host.WriteRequest{Files: []host.File{{Path: "/a"}, {Path: "/b", Dir: true}}})
		if err == nil && (len(c) != 2 || c[0].Path != "/a" || c[1].Path != "/b" || c[0].Stamp == "" || c[1].Stamp == "" || !isDigest(c[0].Digest)) {
			t.Errorf("%+v", c)
		}
	})
}

// FuzzEntries: what was moved or removed is what was asked for.
func FuzzEntries(f *testing.F) {
	f.Add([]byte("moved\ta\nmoved\tb\naside\t/data/.aside/then\n"))
	f.Add([]byte("removed\t/data/a\nremoved\t/data\n"))
	f.Add([]byte("progress\t1\t2\naside\t/data/.aside/then/m\ncopied\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if a, err := answering(body).Aside(t.Context(), host.AsideRequest{Dir: "/data", Name: "then"}); err == nil {
			if a.Path != "" && a.Path != "/data/.aside/then" || !slices.IsSorted(a.Moved) || slices.ContainsFunc(a.Moved, func(n string) bool { return n == "" || strings.Contains(n, "/") }) {
				t.Errorf("%+v", a)
			}
		}
		move := host.MoveRequest{From: host.Tree{Dir: "/data", Name: "m"}, To: host.Tree{Dir: "/to", Name: "m"}, Keep: "then",
			Progress: func(done, total int64) {
				if done > total {
					t.Errorf("%d of %d", done, total)
				}
			}}
		if m, err := answering(body).Move(t.Context(), move); err == nil && (m.How == "" || m.Aside != "" && path.Base(m.Aside) != "m") {
			t.Errorf("%+v", m)
		}
		r, err := answering(body).Remove(t.Context(), host.RemoveRequest{Entries: []host.Entries{{Dir: "/data", Names: []string{"a"}}}, Files: []string{"/data"}})
		if err == nil && slices.ContainsFunc(r, func(p string) bool { return p != "/data" && p != "/data/a" }) {
			t.Errorf("removed %q", r)
		}
	})
}

// FuzzLock: a lock is had only of a host that says so, and is free again at once.
func FuzzLock(f *testing.F) {
	for _, s := range []string{"locked\n", "held\t{\"who\":\"me@here\",\"run\":\"1\",\"since\":\"2026-08-01T07:00:00Z\"}\n", "held\t\n", "fail\tno\n", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		h := answering(body)
		found := 0
		unlock, err := h.Lock(t.Context(), host.LockRequest{Path: "/run/lock/x", Look: &host.Query{}, Found: func(l *host.Look) { found++; checkLook(t, host.Query{}, l, true) }})
		if (unlock == nil) != (err != nil) || err == nil && !bytes.HasPrefix(body, []byte("locked")) || found > 1 || found == 1 && err != nil {
			t.Fatalf("%v, found %d", err, found)
		}
		if err == nil {
			if err := unlock(); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzMount: a mount point comes out of the kernel's words as it went in.
func FuzzMount(f *testing.F) {
	f.Add("/a b\t\n\\040", "ext4", true, false)
	f.Fuzz(func(t *testing.T, point, kind string, readOnly, noExec bool) {
		_, _ = mountOf(point)
		if path.Clean(point) != point || !path.IsAbs(point) || len(strings.Fields(kind)) != 1 || strings.Fields(kind)[0] != kind {
			return
		}
		var escaped strings.Builder
		for _, b := range []byte(point) { // proc(5) names four; any may be
			if b <= ' ' || b == '\\' || b >= 0x7f {
				fmt.Fprintf(&escaped, `\%03o`, b)
			} else {
				escaped.WriteByte(b)
			}
		}
		options := map[bool]string{true: "ro", false: "rw"}[readOnly] + map[bool]string{true: ",noexec", false: ""}[noExec]
		m, err := mountOf(fmt.Sprintf("22 1 8:1 / %s %s - %s none rw", escaped.String(), options, kind))
		if want := (mount{point, kind, readOnly, noExec}); err != nil || m != want {
			t.Errorf("%+v, %v, want %+v", m, err, want)
		}
	})
}

// FuzzProgress: however an answer comes in pieces, its lines are the same.
func FuzzProgress(f *testing.F) {
	f.Add([]byte("a\nprogress\tb\nc\nprogress\td"), uint8(3))
	f.Fuzz(func(t *testing.T, body []byte, piece uint8) {
		read := func(size int) (string, []string) {
			var out bytes.Buffer
			var told []string
			l := &progressLines{to: &out, tell: func(line string) { told = append(told, line) }}
			for p := range slices.Chunk(body, size) {
				if n, err := l.Write(p); err != nil || n != len(p) {
					t.Fatal(n, err)
				}
			}
			return out.String(), told
		}
		whole, told := read(max(1, len(body)))
		parts, told2 := read(int(piece) + 1)
		if whole != parts || !slices.Equal(told, told2) || strings.Contains("\n"+whole, "\nprogress\t") {
			t.Errorf("%q %q, in pieces %q %q", whole, told, parts, told2)
		}
	})
}

// FuzzTold: what a fake machine says in look.sh's words is understood as what it is.
func FuzzTold(f *testing.F) {
	f.Add("a b", []byte("end\nraw\n"), uint16(0o4755), "198.18.0.1", []byte("out#7#\n-\n"), uint8(3))
	f.Add("é", []byte{}, uint16(0), "::ffff:1.2.3.4", []byte{0, 0xff}, uint8(0))
	at := time.Date(2026, 8, 1, 7, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, name string, content []byte, mode uint16, address string, out []byte, code uint8) {
		file := "/d/" + name
		ip, err := netip.ParseAddr(address)
		if checkPath(file) != nil || err != nil || ip != ip.Unmap().WithZone("") || code == 124 || code == 128+9 { // timeout's codes
			return
		}
		m := hosttest.NewMachine("fake")
		m.SetClock(func() time.Time { return at })
		m.WriteFile(file, content, uint32(mode)&0o7777)
		m.ListenAt(ip.String(), 1, name)
		m.Handle("probe", func(context.Context, *hosttest.Machine, host.Command) (host.Result, error) {
			return host.Result{Stdout: out, Stderr: content}, hosttest.Exit(int(code), "")
		})
		h := tell(m)
		q := host.Query{
			Files: []host.FileQuery{{Path: file, Content: true}}, Dirs: []host.DirQuery{{Path: path.Dir(file)}}, Ports: []int{1},
			Space: []string{file}, Probes: []host.Probe{{Name: "p", Argv: []string{"probe"}, Limit: 8}},
		}
		want, err := h.Fake.Look(t.Context(), q)
		if err != nil {
			return // too much
		}
		got, err := h.look.look(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		got.Facts.Clock, got.Facts.ClockError = want.Facts.Clock, 0
		for _, l := range want.Ports[1].Listeners {
			l.Process = path.Base(l.Process) // so much is known of a process
			want.Ports[1].Listeners[0] = l
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("-is +understood:\n%s", diff)
		}
	})
}
