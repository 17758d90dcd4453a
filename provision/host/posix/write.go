package posix

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"quorate/provision/host"
)

// Write implements host.Host: one run of write.sh. Every file is staged beside
// its target before the first is renamed, so an error (a full disk, a folder in
// the way) leaves all files as they were; folders made on the way stay.
func (h *Host) Write(ctx context.Context, w host.WriteRequest) (out []host.Change, err error) {
	what := fmt.Sprintf("%d files", len(w.Files))
	if len(w.Files) == 1 {
		what = fmt.Sprintf("%q", w.Files[0].Path)
	}
	defer saying(&err, "cannot write %s on host %q", what, h.o.Name)
	defer noSpace(&err)
	if err := h.changing(); err != nil {
		return nil, err
	}
	var request []string
	if h.o.IgnoreOwners {
		request = append(request, "o")
	} else if w.Account != "" {
		if err := checkOwner(w.Account); err != nil || strings.Contains(w.Account, ":") {
			return nil, fmt.Errorf("%q is no account's name", w.Account)
		}
		request = append(request, "a\t"+w.Account)
	}
	digests := map[string]string{}
	for _, f := range w.Files {
		if err := errors.Join(checkPath(f.Path), checkOwner(f.Owner)); err != nil {
			return nil, err
		}
		if _, twice := digests[f.Path]; twice {
			return nil, fmt.Errorf("%s is there twice", f.Path)
		}
		if f.Dir {
			digests[f.Path] = ""
			request = append(request, fmt.Sprintf("d\t%o\t%s\t%s", f.Mode, cmp.Or(f.Owner, "-"), f.Path))
			continue
		}
		if len(f.Content) > host.ContentLimit {
			return nil, fmt.Errorf("%s has %d bytes; more than %d are for Upload", f.Path, len(f.Content), host.ContentLimit)
		}
		digests[f.Path] = host.Digest(f.Content)
		request = append(request,
			fmt.Sprintf("f\t%o\t%s\t%s\t%s", f.Mode, cmp.Or(f.Owner, "-"), digests[f.Path], f.Path),
			cmp.Or(base64.StdEncoding.EncodeToString(f.Content), "-"))
	}
	body, err := h.script(ctx, "write", writeScript, request)
	if err != nil {
		return nil, err
	}
	changed, stamps := map[string]bool{}, map[string]string{}
	for line := range strings.Lines(string(body)) {
		switch f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); {
		case f[0] == "changed" && len(f) == 2:
			changed[f[1]] = true
		case f[0] == "stat" && len(f) == 3:
			stamps[f[2]] = f[1]
		default:
			return nil, fmt.Errorf("cannot understand the answer %q", line)
		}
	}
	for _, f := range w.Files {
		if stamps[f.Path] == "" {
			return nil, fmt.Errorf("the answer does not tell of %s", f.Path)
		}
		out = append(out, host.Change{Path: f.Path, Changed: changed[f.Path], Digest: digests[f.Path], Stamp: stamps[f.Path]})
	}
	return out, nil
}

// noSpace adds the way out to a full disk.
func noSpace(err *error) {
	if *err != nil && strings.Contains(strings.ToLower((*err).Error()), "no space left") {
		*err = fmt.Errorf("%w\n  Free some space there and run again; nothing was left behind", *err)
	}
}
