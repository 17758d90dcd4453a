package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Digest is the SHA-256 (hex) of what c asks for, over canonical JSON: fields
// in the order of the types, maps by key. It leaves out what does not change
// the cluster itself: secrets, places in the source, what is protected, what is stopped around a restore, and how hosts
// are reached over SSH, so that two operators with different keys get the same.
func Digest(c *Cluster) string {
	canonical := *c
	canonical.Members, canonical.Hosts, canonical.Dependents, canonical.Protect = nil, nil, nil, false
	for _, m := range c.Members {
		copied := *m
		copied.Protect = false
		copied.Connection = Connection{Type: m.Connection.Type, Root: m.Connection.Root}
		canonical.Members = append(canonical.Members, &copied)
	}
	for _, h := range c.Hosts {
		copied := *h
		copied.Connection = Connection{Type: h.Connection.Type, Root: h.Connection.Root}
		canonical.Hosts = append(canonical.Hosts, &copied)
	}
	b, err := json.Marshal(canonical)
	if err != nil {
		// Only a value that Load never lets in (a NaN in ExtraOptions) gets here.
		panic(fmt.Sprintf("digest of cluster %q: %v", c.Name, err))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
