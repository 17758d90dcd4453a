package lab

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// mountsBelow lists the mount points at dir and below it, innermost last.
func mountsBelow(dir string) ([]string, error) {
	b, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cannot list mounts: %w", err)
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var list []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		if p := unescape.Replace(f[4]); p == dir || strings.HasPrefix(p, dir+"/") {
			list = append(list, p)
		}
	}
	return list, nil
}

func unmountBelow(dir string) error {
	list, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for _, p := range slices.Backward(list) {
		if err := unmount(p); err != nil {
			return fmt.Errorf("cannot unmount %q: %w", p, err)
		}
	}
	// Whoever called goes on to delete files: never through a mount that stayed.
	if list, err = mountsBelow(dir); err == nil && len(list) > 0 {
		err = fmt.Errorf("cannot unmount %q: it is mounted again", list[0])
	}
	return err
}

// lowerOfMount says whether an overlay is mounted on top of dir.
func lowerOfMount(dir string) (bool, error) {
	b, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return false, fmt.Errorf("cannot list mounts: %w", err)
	}
	return strings.Contains(string(b), "lowerdir="+dir+","), nil
}
