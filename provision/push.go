package provision

import (
	"context"
	"fmt"

	"quorate/plan"
	"quorate/provision/host"
)

// push uploads each binary; the host compares digests before and after, so
// what is there already does not travel.
func (r *run) push(ctx context.Context, h host.Host, s plan.Step, a *plan.Push) (outcome, error) {
	found, err := r.session.world.Binaries.Find(a.Platform)
	if err != nil {
		return outcome{}, err
	}
	var out outcome
	for _, b := range a.Binaries {
		blob := found[b.Name].Blob
		if blob == nil || blob.Digest() != r.digest(b.Digest) {
			return outcome{}, fmt.Errorf("cannot push %s: the binary on this side is not the planned one any more (sha256 %s); plan again", b.Name, b.Digest)
		}
		ch, err := h.Upload(ctx, host.Upload{Path: b.Path, Mode: b.Mode, Owner: b.Owner, Blob: blob, New: b.Had == "", Progress: func(sent, total int64) {
			r.tell(Event{Type: Progress, Step: s.ID, Title: b.Name, Member: s.Member, Sent: sent, Total: total})
		}})
		if err != nil {
			return outcome{}, err
		}
		out.changed = out.changed || ch.Changed
		if r.session.world.Stamps != nil {
			r.session.world.Stamps.Seen(s.Member, b.Path, ch.Stamp, ch.Digest)
		}
	}
	return out, nil
}
