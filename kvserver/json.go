package kvserver

import "encoding/json"

// MarshalJSON writes the id as [ID] does: numbers above 2^53 come out wrong in
// many programs that read JSON. It is written for others; nothing here reads it back.
func (m Member) MarshalJSON() ([]byte, error) {
	type rest Member
	return json.Marshal(struct {
		ID string `json:"id"`
		rest
	}{ID(m.ID), rest(m)})
}

// MarshalJSON writes the ids as [ID] does; the leader's is "0" where none is known.
func (s Status) MarshalJSON() ([]byte, error) {
	type rest Status
	return json.Marshal(struct {
		ClusterID string `json:"cluster_id"`
		MemberID  string `json:"member_id"`
		Leader    string `json:"leader"`
		rest
	}{ID(s.ClusterID), ID(s.MemberID), ID(s.Leader), rest(s)})
}
