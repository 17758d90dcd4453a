package lab

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// SmallDisk puts a file system of its own, of size bytes, at a folder of the
// host, which is made if missing and hidden meanwhile. It lasts until
// [Host.NormalDisk] or the host's next boot. Its content is in memory.
func (h *Host) SmallDisk(ctx context.Context, dir string, size int64) error {
	_, err := h.Exec(ctx, "sh", "-euc", `mkdir -p -- "$1"; mount -t tmpfs -o "size=$2,mode=0755" small-disk "$1"`,
		"small-disk", dir, strconv.FormatInt(size, 10))
	return err
}

// FillDisk fills a small disk so that leave bytes stay free. A folder that is
// not on a small disk is refused: it would fill this machine's own disk.
func (h *Host) FillDisk(ctx context.Context, dir string, leave int64) error {
	_, err := h.Exec(ctx, "sh", "-euc", `
		[ "$(findmnt -n -o SOURCE -- "$1")" = small-disk ] || { echo "$1 is not on a small disk" >&2; exit 1; }
		free=$(($(stat -f -c '%a * %S' -- "$1")))
		[ "$free" -le "$2" ] || fallocate -l $((free - $2)) -- "$1/.ballast"`,
		"fill-disk", dir, strconv.FormatInt(leave, 10))
	return err
}

// NormalDisk takes a small disk away again with all that was written to it.
func (h *Host) NormalDisk(ctx context.Context, dir string) error {
	_, err := h.Exec(ctx, "umount", "-l", "--", dir)
	return err
}

// FakeClock makes date(1) on the host answer with a clock that is off by the
// offset; 0 ends it. Containers share the kernel's clock, so other programs
// still see the right time.
func (h *Host) FakeClock(ctx context.Context, offset time.Duration) error {
	script := ""
	if offset != 0 {
		script = fmt.Sprintf("#!/bin/sh\nexec /bin/date -d '%+d seconds' \"$@\"\n", int64(offset/time.Second))
	}
	return h.fakeProgram(ctx, "date", script)
}

// FakeUname makes uname(1) on the host answer with another system ("FreeBSD")
// or machine ("riscv64") in place of its own; both empty end it.
func (h *Host) FakeUname(ctx context.Context, system, machine string) error {
	if system == "" && machine == "" {
		return h.fakeProgram(ctx, "uname", "")
	}
	script := "#!/bin/sh\n/bin/uname \"$@\" | sed"
	for option, word := range map[string]string{"-s": system, "-m": machine} {
		if word != "" {
			script += fmt.Sprintf(` -e "s/\b$(/bin/uname %s)\b/%s/"`, option, word)
		}
	}
	return h.fakeProgram(ctx, "uname", script+"\n")
}

// fakeProgram puts a script before a program of the host; an empty one takes it away again.
func (h *Host) fakeProgram(ctx context.Context, name, script string) error {
	path := "/usr/local/bin/" + name
	if script == "" {
		_, err := h.Exec(ctx, "rm", "-f", path)
		return err
	}
	if err := h.WriteFile(ctx, path, []byte(script)); err != nil {
		return err
	}
	_, err := h.Exec(ctx, "chmod", "755", path)
	return err
}
