package local

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"quorate/kvserver/node"
	"quorate/provision/host"
)

// fromProc reads from /proc what the process itself runs with, which counts
// more than what its supervisor wrote down. A process that ended meanwhile leaves u as it is.
func fromProc(u *host.UnitState, known map[string]string) error {
	exe := fmt.Sprintf("/proc/%d/exe", u.PID)
	f, err := os.Open(exe)
	if err != nil {
		return ignoreGone(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if digest, ok := known[stamp(info)]; ok {
		u.ExeDigest = digest
	} else {
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return err
		}
		u.ExeDigest = hex.EncodeToString(h.Sum(nil))
	}
	if link, err := os.Readlink(exe); err == nil {
		u.Exe = strings.TrimSuffix(link, " (deleted)")
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", u.PID))
	if err != nil {
		return ignoreGone(err)
	}
	u.ConfigDigest = ""
	for _, entry := range bytes.Split(env, []byte{0}) {
		if digest, ok := bytes.CutPrefix(entry, []byte(node.ConfigDigestEnv+"=")); ok {
			u.ConfigDigest = string(digest)
		}
	}
	return nil
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// stamp is the posix package's: as its scripts print it with stat(1) in UTC.
func stamp(info os.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	at := func(t syscall.Timespec) string {
		return time.Unix(t.Sec, t.Nsec).UTC().Format("2006-01-02 15:04:05.000000000 -0700")
	}
	return fmt.Sprintf("%d:%d:%d:%s:%s", st.Dev, st.Ino, st.Size, at(st.Mtim), at(st.Ctim))
}

// startTolerance covers the clock ticks (10 ms) and the second that
// /proc/stat's boot time is rounded to.
const startTolerance = 3 * time.Second

// startedAt reports whether the process started when its supervisor says, and
// so is the one that it means: a pid may be somebody else's by now.
func startedAt(pid int, want time.Time) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	system, err := os.ReadFile("/proc/stat")
	if err != nil {
		return false
	}
	// The fields after the command in parentheses; starttime is the 22nd of all (proc(5)).
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	_, rest, found := strings.Cut(string(system), "\nbtime ")
	if !found || len(fields) < 20 {
		return false
	}
	line, _, _ := strings.Cut(rest, "\n")
	boot, err1 := strconv.ParseInt(line, 10, 64)
	ticks, err2 := strconv.ParseInt(fields[19], 10, 64)
	if err1 != nil || err2 != nil {
		return false
	}
	began := time.Unix(boot, 0).Add(time.Duration(ticks) * 10 * time.Millisecond)
	return began.Sub(want).Abs() < startTolerance
}
