package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/skeema/knownhosts"
)

// knownHosts is what files of known_hosts say.
type knownHosts struct {
	*knownhosts.HostKeyDB
	files      map[string]string // a file's own name, by that of a copy which was read in its place
	unreadable []string          // lines that were passed over, as FILE:LINE
}

// named is a file's own name.
func (k *knownHosts) named(file string) string {
	if own, ok := k.files[file]; ok {
		return own
	}
	return file
}

// knownBefore remembers what was read, since the hosts of a fleet share their files.
var knownBefore struct {
	sync.Mutex
	as    map[string]string // how the files were then, by their names
	hosts map[string]*knownHosts
}

// readKnownHosts reads files of known_hosts. Those that do not exist are empty. Lines that cannot be read
// are passed over, as OpenSSH does: they may be of a kind that is yet to come.
func readKnownHosts(files []string) (*knownHosts, error) {
	var there, as []string
	for _, name := range files {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		there = append(there, name)
		as = append(as, fmt.Sprint(info.Size(), info.ModTime().UnixNano(), info.Mode()))
	}
	names, now := strings.Join(there, "\n"), strings.Join(as, "\n")
	knownBefore.Lock()
	defer knownBefore.Unlock()
	if known := knownBefore.hosts[names]; known != nil && knownBefore.as[names] == now {
		return known, nil
	}
	known := &knownHosts{files: map[string]string{}}
	var err error
	if known.HostKeyDB, err = knownhosts.NewDB(there...); err != nil {
		err = known.readable(there)
	}
	if err != nil {
		return nil, err
	}
	if knownBefore.as == nil {
		knownBefore.as, knownBefore.hosts = map[string]string{}, map[string]*knownHosts{}
	}
	knownBefore.as[names], knownBefore.hosts[names] = now, known
	return known, nil
}

// readable reads copies of files without the lines that cannot be read; the others keep their numbers.
func (k *knownHosts) readable(files []string) error {
	dir, err := os.MkdirTemp("", "quorate-known-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var copies []string
	for i, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		lines := slices.Collect(bytes.Lines(text))
		file := fmt.Sprintf("%s/%d", dir, i)
		passOver(lines, func(lines [][]byte) error {
			if err = os.WriteFile(file, bytes.Join(lines, nil), 0o600); err == nil {
				_, err = knownhosts.NewDB(file)
			}
			return err
		})
		for n, line := range lines {
			if line == nil {
				lines[n] = []byte("\n")
				k.unreadable = append(k.unreadable, fmt.Sprintf("%s:%d", name, n+1))
			}
		}
		if err := os.WriteFile(file, bytes.Join(lines, nil), 0o600); err != nil {
			return err
		}
		k.files[file] = name
		copies = append(copies, file)
	}
	k.HostKeyDB, err = knownhosts.NewDB(copies...)
	return err
}

// passOver makes those lines nil without which the others can be read.
func passOver(lines [][]byte, read func([][]byte) error) {
	switch err := read(lines); {
	case err == nil:
	case len(lines) == 1:
		lines[0] = nil
	default:
		half := len(lines) / 2
		passOver(lines[:half], read)
		passOver(lines[half:], read)
	}
}
