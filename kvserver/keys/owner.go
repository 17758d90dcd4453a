package keys

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// Owners finds accounts. [System] asks this machine.
type Owners struct {
	User  func(name string) (uid, gid int, err error)
	Group func(name string) (gid int, err error)
}

// System asks this machine's account database.
func System() Owners {
	return Owners{
		User: func(name string) (int, int, error) {
			u, err := user.Lookup(name)
			if err != nil {
				return 0, 0, err
			}
			uid, err := strconv.Atoi(u.Uid)
			if err != nil {
				return 0, 0, err
			}
			gid, err := strconv.Atoi(u.Gid)
			return uid, gid, err
		},
		Group: func(name string) (int, error) {
			g, err := user.LookupGroup(name)
			if err != nil {
				return 0, err
			}
			return strconv.Atoi(g.Gid)
		},
	}
}

// Lookup turns "user" or "user:group", names or numbers, into ids. A user
// without a group brings its own one. Empty is -1, -1: leave as it is.
func (o Owners) Lookup(owner string) (uid, gid int, err error) {
	if owner == "" {
		return -1, -1, nil
	}
	name, group, hasGroup := strings.Cut(owner, ":")
	if n, nerr := strconv.Atoi(name); nerr == nil && n >= 0 {
		uid, gid = n, n
		if !hasGroup {
			return 0, 0, fmt.Errorf("owner %q is a number: name the group too, as in %q", owner, name+":"+name)
		}
	} else if uid, gid, err = o.User(name); err != nil {
		return 0, 0, fmt.Errorf("owner %q: %w", owner, err)
	}
	if hasGroup {
		if n, nerr := strconv.Atoi(group); nerr == nil && n >= 0 {
			gid = n
		} else if gid, err = o.Group(group); err != nil {
			return 0, 0, fmt.Errorf("owner %q: %w", owner, err)
		}
	}
	return uid, gid, nil
}

func ownerOf(info fs.FileInfo) (uid, gid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return -1, -1
}
