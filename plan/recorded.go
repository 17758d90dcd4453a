package plan

import (
	"fmt"
	"strings"
	"time"
)

// RecordedFormat is the version of cluster.json.
const RecordedFormat = 1

// Recorded is what the operator's side notes down of a cluster once it has
// formed, beside the CA (pki/<cluster>/cluster.json): enough to see that three
// fresh hosts under an old name are not that cluster. It is a guard, not
// state: losing it costs the guard only. It holds no secret and is for committing.
type Recorded struct {
	Format    int              `json:"format"`
	Cluster   string           `json:"cluster"`
	ClusterID string           `json:"cluster_id"` // hex
	Token     string           `json:"token"`
	Members   []RecordedMember `json:"members"`
	// Left are members that were expelled while their hosts could not be reached: what is on them is still to be cleaned up.
	Left []RecordedMember `json:"left,omitempty"`
	// Installed are the clients that were put on machines: what lies there stays when the spec does not have it any more, and is named then.
	Installed []RecordedInstall `json:"installed,omitempty"`
	At        time.Time         `json:"at"` // when it was noted
}

// RecordedInstall is one client on one machine.
type RecordedInstall struct {
	Client string `json:"client"`
	Host   string `json:"host"`
	Dir    string `json:"dir"` // on the machine
}

// RecordedMember is one member as the cluster listed it.
type RecordedMember struct {
	ID       string   `json:"id"` // hex
	Name     string   `json:"name"`
	PeerURLs []string `json:"peer_urls"`
}

// Names of the members, for people.
func (r *Recorded) Names() string {
	names := texts(r.Members, func(m RecordedMember) string {
		return fmt.Sprintf("%s (%s)", or(m.Name, m.ID), strings.Join(m.PeerURLs, ", "))
	})
	return or(strings.Join(names, ", "), "no members noted")
}

// ParseRecorded reads cluster.json; one of another format is an error.
func ParseRecorded(b []byte) (*Recorded, error) {
	r := new(Recorded)
	if err := read(b, r, &r.Format, RecordedFormat); err != nil {
		return nil, fmt.Errorf("cannot read what was recorded of the cluster: %w", err)
	}
	return r, nil
}

// Encode is the JSON, indented, ending in a newline.
func (r *Recorded) Encode() []byte { return encode(r) }
