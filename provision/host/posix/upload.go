package posix

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"quorate/provision/host"
)

// cleanWait bounds the removal of a staged file after a failed upload: it is a
// courtesy to the host and must not keep a user who pressed Ctrl-C.
const cleanWait = 5 * time.Second

// spaceMargin is kept free beyond what an upload needs: the file system's own
// bookkeeping, and small files that are written after it.
const spaceMargin = 1 << 20

// Upload implements host.Host: a script that compares and makes room, the
// stream, and a script that unpacks beside the target, compares and renames.
// When the digest is there already nothing travels.
func (h *Host) Upload(ctx context.Context, u host.Upload) (host.Change, error) {
	c, err := h.upload(ctx, u)
	if err != nil {
		return host.Change{}, fmt.Errorf("cannot upload %q to host %q: %w", u.Path, h.o.Name, noSpace(err))
	}
	return c, nil
}

func (h *Host) upload(ctx context.Context, u host.Upload) (host.Change, error) {
	if err := h.changing(); err != nil {
		return host.Change{}, err
	}
	if err := checkPath(u.Path); err != nil {
		return host.Change{}, err
	}
	if err := checkOwner(u.Owner); err != nil {
		return host.Change{}, err
	}
	stream, packed, err := u.Blob.Compressed()
	if err != nil {
		return host.Change{}, err
	}
	defer stream.Close()

	h.prepare() // while the host compares
	digest, known := u.Blob.Digest(), "-"
	for stamp, d := range h.knownDigests() {
		if d == digest {
			known = stamp // one of them; a miss only costs a read
		}
	}
	owners := "yes"
	if h.o.IgnoreOwners {
		owners = "no"
	}
	mode, owner := fmt.Sprintf("%o", u.Mode), orDash(u.Owner)
	body, err := h.script(ctx, "upload", uploadCheckScript, []string{
		u.Path, digest, mode, owner, fmt.Sprint(u.Blob.Size() + spaceMargin), fmt.Sprint(packed), h.o.StageDir, known, owners,
	})
	if err != nil {
		return host.Change{}, err
	}
	lines := strings.Split(strings.TrimSuffix(string(body), "\n"), "\n")
	word, value, _ := strings.Cut(lines[len(lines)-1], "\t")
	switch {
	case word == "same" && value != "":
		h.learn(value, digest)
		return host.Change{Path: u.Path, Changed: lines[0] == "changed", Digest: digest, Stamp: value}, nil
	case word != "stage" || checkPath(value) != nil || !strings.HasPrefix(value, h.o.StageDir+"/"):
		return host.Change{}, fmt.Errorf("cannot understand the answer %q", body)
	}
	return h.deliver(ctx, u, value, stream, packed, []string{u.Path, digest, mode, owner, value}, owners)
}

// prepare tells the transport that files will be staged soon, if it wants to know.
func (h *Host) prepare() {
	if p, ok := h.t.(interface{ Prepare() }); ok {
		p.Prepare()
	}
}

func (h *Host) deliver(ctx context.Context, u host.Upload, dir string, stream io.Reader, packed int64, request []string, owners string) (host.Change, error) {
	var progress func(int64)
	if u.Progress != nil {
		progress = func(sent int64) { u.Progress(sent, packed) }
	}
	staged, err := h.t.Stage(ctx, dir, stream, progress)
	var body []byte
	if err == nil {
		body, err = h.script(ctx, "upload", uploadFinishScript, append(request, staged, owners))
	}
	if err != nil {
		h.unstage(ctx, dir)
		return host.Change{}, err
	}
	word, stamp, _ := strings.Cut(strings.TrimSuffix(string(body), "\n"), "\t")
	if word != "done" || stamp == "" {
		return host.Change{}, fmt.Errorf("cannot understand the answer %q", body)
	}
	h.learn(stamp, u.Blob.Digest())
	return host.Change{Path: u.Path, Changed: true, Digest: u.Blob.Digest(), Stamp: stamp}, nil
}

// unstage removes what an upload left, also when ctx is over.
func (h *Host) unstage(ctx context.Context, dir string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanWait)
	defer cancel()
	_, _ = h.script(ctx, "remove", removeScript, []string{"t\t" + dir})
}
