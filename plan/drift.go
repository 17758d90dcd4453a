package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"quorate/kvserver/node"
	"quorate/plan/spec"
)

// Drift is how what lies on a host differs from what is wanted there.
type Drift struct {
	What DriftKind `json:"what"`
	Is   string    `json:"is,omitempty"`
	Want string    `json:"want,omitempty"`
}

// DriftKind says in one word what differs.
type DriftKind string

// What can differ of a file or folder.
const (
	DriftMissing  DriftKind = "missing"
	DriftType     DriftKind = "type"
	DriftContent  DriftKind = "content"
	DriftMode     DriftKind = "mode"
	DriftOwner    DriftKind = "owner"
	DriftUnwanted DriftKind = "unwanted" // it must not be there any more
)

// String is the drift in words that follow a path.
func (d *Drift) String() string {
	if d == nil {
		return ""
	}
	switch d.What {
	case DriftMissing:
		return "not there yet"
	case DriftType:
		return fmt.Sprintf("is a %s, not a %s", d.Is, d.Want)
	case DriftContent:
		return "differs"
	case DriftMode:
		return fmt.Sprintf("has mode %s instead of %s", d.Is, d.Want)
	case DriftOwner:
		return fmt.Sprintf("belongs to %s instead of %s", d.Is, d.Want)
	case DriftUnwanted:
		return "is not needed any more"
	}
	return string(d.What)
}

// sign of a drift: new where nothing was.
func (d *Drift) sign() Sign {
	if d == nil {
		return Changed
	}
	switch d.What {
	case DriftMissing:
		return New
	case DriftUnwanted:
		return Gone
	}
	return Changed
}

// signOf puts the signs of several things into one: new only if all of them are.
func signOf(items []Item) Sign {
	if len(items) == 0 {
		return Changed
	}
	for _, i := range items {
		if i.Sign != items[0].Sign {
			return Changed
		}
	}
	return items[0].Sign
}

// drift compares what is there with what is wanted; nil if it is as wanted. On
// local hosts owners are the operator's own and do not count.
func drift(m *spec.Member, want node.FileState, owner string, have node.FileState) *Drift {
	wantType := or(want.Type, "file")
	switch {
	case !have.Exists:
		return &Drift{What: DriftMissing}
	case have.Type != wantType:
		return &Drift{What: DriftType, Is: have.Type, Want: wantType}
	case want.Digest != "" && have.Digest != want.Digest:
		return &Drift{What: DriftContent}
	case have.Mode != want.Mode:
		return &Drift{What: DriftMode, Is: fmt.Sprintf("%04o", have.Mode), Want: fmt.Sprintf("%04o", want.Mode)}
	case !local(m) && owner != "" && have.Owner+":"+have.Group != owner:
		return &Drift{What: DriftOwner, Is: have.Owner + ":" + have.Group, Want: owner}
	}
	return nil
}

func digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}
