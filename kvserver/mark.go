package kvserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// MarkFormat is the format of a [Mark].
const MarkFormat = 1

// Mark is the content of the file by which a host remembers that its member
// has served. `kvserver formed` writes it each time the member is ready, and
// changes it only if the ids have. Where it is, `kvserver serve` starts no
// member as new.
//
// It lies outside the data directory on purpose: it is there to outlive that.
type Mark struct {
	Format    int       `json:"format"`
	ClusterID string    `json:"cluster_id"` // as etcd writes ids: hex, see [ID]
	MemberID  string    `json:"member_id"`
	At        time.Time `json:"at"` // when it was first ready under these ids, UTC, to the second
}

// ParseMark reads a mark. A file of another format, or one without ids, is an
// error, not the absence of a mark.
func ParseMark(text []byte) (Mark, error) {
	var m Mark
	if err := json.Unmarshal(text, &m); err != nil {
		return Mark{}, err
	}
	if m.Format != MarkFormat {
		return Mark{}, fmt.Errorf("its format is %d, this version knows %d", m.Format, MarkFormat)
	}
	for what, id := range map[string]string{"cluster": m.ClusterID, "member": m.MemberID} {
		if n, err := strconv.ParseUint(id, 16, 64); err != nil || n == 0 {
			return Mark{}, fmt.Errorf("it has no %s id", what)
		}
	}
	if m.At.IsZero() {
		return Mark{}, errors.New("it has no time")
	}
	return m, nil
}

// ID writes the id of a cluster or member as etcd does: hex without leading zeros.
func ID(id uint64) string { return strconv.FormatUint(id, 16) }
