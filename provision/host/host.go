// Package host is the small door to a machine: look, lock, write, upload, download,
// run, serve, dial. What is behind it (SSH, this machine, a fake) is its packages'
// business: ssh and local below it carry the same POSIX adapter over two
// transports; hosttest has the fake and the suite that all of them pass.
//
// It decides nothing: a Host is told what to do and says what came of it.
package host

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path"
	"regexp"
	"strings"
	"time"

	"quorate/kvserver/node"
)

// Reader is what may be done with a machine without changing it. Observing
// takes a Reader, so that looking cannot write.
type Reader interface {
	// Name is the member's name: for output and errors.
	Name() string
	// Look reads what q asks for, in one round trip, and writes nothing.
	Look(ctx context.Context, q Query) (*Look, error)
	// Download streams one file from the host: see [Download]. One round trip, then as fast as it comes, for as
	// long as something moves; with the rights that Look has, with a lock and without one.
	Download(ctx context.Context, d Download) (Downloaded, error)
	// DialContext opens a connection from the host: the tunnel to the member's
	// API. A host whose SSH server forbids that is a *ForwardingError.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	// Relay runs argv with the rights that Run has, and gives its standard input
	// and output as a connection: a way to the member's API without forwarding.
	// ctx bounds the beginning only; the connection ends with Close, the command
	// or the session. How a command ended that ended unasked is the error of the
	// next Read, with what it said on standard error. That argv writes nothing
	// is the caller's word.
	Relay(ctx context.Context, argv []string) (net.Conn, error)
}

// Host is one machine, or a folder on this one. Methods may be called from
// many goroutines. Every method returns promptly once ctx ends. Errors name
// the host and say what could not be done; nothing here retries except
// connecting (see the ssh package).
type Host interface {
	Reader
	// Lock takes the cluster's lock on this host. It is an flock held by a
	// live process of this session: it ends with Unlock, Close, or the death of
	// the operator's process or connection. Held by somebody else: *LockedError.
	Lock(ctx context.Context, r LockRequest) (Unlock func() error, err error)
	// Write puts folders and small files in place, in order: parents first as
	// needed, each file written beside its target, fsynced, given owner and
	// mode, renamed. What is already as asked is left alone. One round trip.
	Write(ctx context.Context, w WriteRequest) ([]Change, error)
	// Upload streams a large file into place, to a host that is not near compressed in
	// transit; compared by digest first and after; atomic.
	Upload(ctx context.Context, u Upload) (Change, error)
	// Service reloads, enables, starts or stops one unit.
	Service(ctx context.Context, r ServiceRequest) (UnitState, error)
	// Run runs argv with root's rights (or the user's own on a local host) and
	// gives stdin to it. A non-zero exit is an *ExitError.
	Run(ctx context.Context, c Command) (Result, error)
	// Aside empties a folder without deleting anything: see [AsideRequest].
	Aside(ctx context.Context, r AsideRequest) (Aside, error)
	// Move moves a tree to another name, maybe on another file system: see [MoveRequest].
	Move(ctx context.Context, r MoveRequest) (Moved, error)
	// Remove deletes what it is told by name, and folders if they are empty. What is not there is fine.
	Remove(ctx context.Context, r RemoveRequest) ([]string, error)
	// Close ends the session and releases its locks.
	Close() error
}

// Query is what one look asks.
type Query struct {
	// Files to stat and digest.
	Files []FileQuery
	// Dirs to look into: what is there, and does it hold a member.
	Dirs []DirQuery
	// Units to ask the service manager about.
	Units []string
	// Ports whose TCP listeners to report.
	Ports []int
	// Accounts to look up.
	Accounts []string
	// Space: paths whose file system to report, with its free space (the nearest existing parent counts).
	Space []string
	// Probes: commands to run as part of the look, in order, after everything else was read.
	Probes []Probe
}

// Probe is a command that only reads. That it writes nothing is the caller's
// word: a look is a promise to the user. It gets no input.
type Probe struct {
	Name string
	Argv []string // none empty, without control characters
	// Unless names a unit: while it has a process, the probe is not run.
	Unless string
	// IfExists, if set, is a path that must be there.
	IfExists string
	// Timeout ends it, whatever it does; 0 is 10 s. Whole seconds, rounded up.
	Timeout time.Duration
	// Limit is how many bytes of each output are kept; 0 is 64 KiB.
	Limit int
}

// Check reports what is wrong with a probe.
func (p Probe) Check() error {
	control := func(s string) bool {
		return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
	}
	switch {
	case p.Name == "" || control(p.Name):
		return fmt.Errorf("%q is no probe's name", p.Name)
	case len(p.Argv) == 0 || control(p.Unless) || control(p.IfExists) || p.Timeout < 0 || p.Limit < 0:
		return fmt.Errorf("the probe %q is no command with conditions", p.Name)
	}
	for _, arg := range p.Argv {
		if arg == "" || control(arg) {
			return fmt.Errorf("the probe %q has an argument that is empty or has a control character", p.Name)
		}
	}
	return nil
}

// Keep cuts what a probe said to what is kept of it.
func (p Probe) Keep(s ProbeState) ProbeState {
	limit := cmp.Or(p.Limit, ProbeLimit)
	s.Cut = len(s.Stdout) > limit || len(s.Stderr) > limit
	s.Stdout, s.Stderr = s.Stdout[:min(limit, len(s.Stdout))], s.Stderr[:min(limit, len(s.Stderr))]
	return s
}

// Defaults of a Probe.
const (
	ProbeTimeout = 10 * time.Second
	ProbeLimit   = 64 << 10
)

// ContentLimit is how large a file may be whose content a look carries, or that is written in a batch.
const ContentLimit = 1 << 20

// FileQuery asks for one file. Content is wanted for text that a plan shows (at most [ContentLimit]; larger is an error).
type FileQuery struct {
	Path    string
	Content bool
	// Known, if it still matches the file's Stamp, saves reading it: the digest is then KnownDigest.
	KnownStamp, KnownDigest string
}

// DirQuery asks for one folder.
type DirQuery struct {
	Path string
	// WAL is the folder whose *.wal files say that the folder holds a member; empty is member/wal below it.
	WAL string
}

// Log is the folder whose *.wal files count.
func (q DirQuery) Log() string { return cmp.Or(q.WAL, path.Join(q.Path, "member", "wal")) }

// What a look gives: see package node, where the planner has it from too.
type (
	Look         = node.Look
	Facts        = node.Facts
	FileState    = node.FileState
	DirState     = node.DirState
	UnitState    = node.UnitState
	PortState    = node.PortState
	PortListener = node.PortListener
	MountState   = node.MountState
	Exposure     = node.Exposure
	ProbeState   = node.ProbeState
)

// AsideDir is the folder, below one whose contents were moved aside, that they are in.
const AsideDir = ".aside"

// LockRequest names the lock and who takes it.
type LockRequest struct {
	Path string // lock file on the host; made if missing, never removed
	// Holder is written into the file for those who come second: one line of JSON.
	Holder Holder
	// Wait bounds how long to wait for another holder; 0 does not wait.
	Wait time.Duration
	// Look, if set, is looked for once the lock is taken, in the same round trip, and Found told
	// of it before Lock returns. A host that cannot do both at once, or cannot look, does not call
	// Found and gives the lock all the same: look then says why.
	Look  *Query
	Found func(*Look)
}

// Holder tells who holds a lock.
type Holder struct {
	Who   string    `json:"who"`            // user@machine
	From  string    `json:"from,omitempty"` // where from, as the host sees it when it can tell
	Run   string    `json:"run"`
	Verb  string    `json:"verb"`
	Since time.Time `json:"since"`
}

// ParseHolder reads the line in a lock file; what is no such line gives a zero Holder.
func ParseHolder(text []byte) Holder {
	var h Holder
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if json.Unmarshal(line, &h) != nil {
		return Holder{}
	}
	return h
}

// WriteRequest is a batch of small files.
type WriteRequest struct {
	// Account, if set, is a system account (and group of the same name) that must exist first; made if missing. Ignored on local hosts.
	Account string
	Files   []File
}

// File is a small file or a folder as it should be.
type File struct {
	Path  string `json:"path"`
	Dir   bool   `json:"dir,omitempty"`
	Mode  uint32 `json:"mode"`            // permission bits
	Owner string `json:"owner,omitempty"` // "user" or "user:group"; empty: the caller's. Ignored on local hosts.
	// Content of a file.
	Content []byte `json:"content,omitempty"`
}

// Change says what came of one write.
type Change struct {
	Path    string
	Changed bool
	Digest  string // of what lies there now
	Stamp   string
}

// Upload is one large file.
type Upload struct {
	Path  string
	Mode  uint32
	Owner string
	Blob  Blob
	// New: nothing lay there when it was looked at. It is sent while the host
	// compares, which saves a round trip; what lies there by now is found all the same.
	New bool
	// Progress, if set, is called with the bytes sent so far of the total to send: compressed, unless the host is near.
	Progress func(sent, total int64)
}

// Blob is a large immutable content on the operator's side.
type Blob interface {
	Digest() string // sha256 of the uncompressed content, hex
	Size() int64    // uncompressed
	// Compressed opens the content as a gzip stream and tells the stream's size.
	Compressed() (r io.ReadCloser, size int64, err error)
	// Open opens it as it is, for a host to which the bytes that would be saved take less time
	// than packing and unpacking them.
	Open() (io.ReadCloser, error)
}

// ServiceRequest is done in the order of the fields.
type ServiceRequest struct {
	Unit    string
	Reload  bool // let the manager re-read unit files
	Enable  bool
	Disable bool
	// Verb is "", "start", "stop" or "restart".
	Verb string
	// Wait bounds how long to wait until a started unit says it serves (or a
	// stopped one is gone); the job itself is queued without blocking, so a
	// whole cluster can be started together. A unit that fails meanwhile, or
	// whose process ends [MaxExits] times by itself, is a *ServiceError with the
	// cause and the end of its log; the manager goes on with such a unit.
	Wait time.Duration
	// Progress, if set, is called while waiting: when the state seen changes, and
	// every five seconds. Of the state, Active, Sub, Restarts and PID are filled
	// in. Calls come one at a time and end before Service returns.
	Progress func(UnitState)
}

// MaxExits is how many times the process of a unit that is waited for may end
// by itself before the wait is over: once may be chance (a port still in use, a
// clock), and what ends three times in as many seconds will do so for ever.
const MaxExits = 3

// Command is an argv and its input.
type Command struct {
	Argv  []string
	Stdin []byte
	// Line, if set, hears each whole line of standard output as it comes, one after another, and of
	// none after Run has returned. Such a command may take as long as it likes while it
	// says something every [Quiet].
	Line func(line string)
}

// Quiet is how long a command that tells of its progress may say nothing before it is given up.
const Quiet = 5 * time.Minute

// Result is what a command printed.
type Result struct {
	Stdout, Stderr []byte
}

// AsideRequest moves what is in Dir aside. There is one rule, whether Dir is a
// mount point or not: the entries are renamed into Dir/.aside/Name, except
// lost+found and what has been moved aside before. So nothing is copied, owner
// and mode of Dir stay, and its file system is not left. The folders made have
// Dir's owner and mode 0700.
//
// A folder that is not there, or is empty, is fine. A request that was cut is
// finished by the same request; one that is done does nothing. An entry that is
// a mount point, or is in Dir/.aside/Name already, is an error before anything is moved.
//
// Dir must not be the very folder that etcd is given as its WAL's: etcd deletes
// everything in it when it makes a new log (wal.renameWAL). A Dir with *.wal
// files in it is refused; the folder above it is the right one.
type AsideRequest struct {
	Dir  string
	Name string // one path element, not beginning with a dot: for example when and why
	// Only, if not nil, are the entries to move; others stay, and so do those that are not there.
	Only []string
}

// Check reports what is wrong with a request.
func (r AsideRequest) Check() error {
	if !entryForm.MatchString(r.Name) || r.Name[0] == '.' {
		return fmt.Errorf("%q is no name for what is moved aside", r.Name)
	}
	return Entries{Dir: r.Dir, Names: r.Only}.Check()
}

var entryForm = regexp.MustCompile(`^[A-Za-z0-9._:@+-]+$`)

// Aside says what came of moving aside.
type Aside struct {
	// Path is where things are now; "" if there was nothing to move.
	Path string
	// Moved are the entries moved by this call, sorted.
	Moved []string
}

// RemoveRequest lists what to delete. It is done in the order of the fields.
type RemoveRequest struct {
	Entries []Entries
	Files   []string // files, links, or empty folders (a folder that is not empty stays, without error)
}

// Entries are things in one folder; what else is in it stays.
type Entries struct {
	Dir string
	// Names of entries, each a file or a whole tree. What was moved aside and lost+found are refused.
	Names []string
}

// Check reports what is wrong with entries.
func (e Entries) Check() error {
	for _, n := range e.Names {
		switch {
		case n == "" || n == "." || n == ".." || strings.ContainsFunc(n, func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' || r == '\\' }):
			return fmt.Errorf("%q is no entry of a folder", n)
		case n == AsideDir || n == "lost+found":
			return fmt.Errorf("%s in %s is not to be removed", n, e.Dir)
		}
	}
	return nil
}
