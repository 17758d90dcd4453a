package world

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/renameio/v2"

	"quorate/plan/spec"
)

// stamps is provision.Stamps in a JSON file. It is a cache: a file that cannot
// be read is an empty one.
type stamps struct {
	path string

	mu      sync.Mutex
	known   map[string]stamp // by member and path
	changed bool
}

type stamp struct {
	Stamp  string `json:"stamp"`
	Digest string `json:"digest"`
}

// openStamps reads what an earlier run noted about a cluster of this folder
// and name, its members, and where they are: at another address lies another file.
func openStamps(dir string, c *spec.Cluster) *stamps {
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q", c.Dir, c.Name)
	for _, m := range c.Members {
		fmt.Fprintf(sum, " %q %q %q %d", m.Name, m.Address, m.Connection.Host, m.Connection.Port)
	}
	s := &stamps{path: filepath.Join(dir, c.Name+"-"+hex.EncodeToString(sum.Sum(nil))[:16]+".json")}
	if b, err := os.ReadFile(s.path); err != nil || json.Unmarshal(b, &s.known) != nil || s.known == nil {
		s.known = map[string]stamp{}
	}
	return s
}

func key(member, path string) string { return member + ":" + path }

// Known implements provision.Stamps.
func (s *stamps) Known(member, path string) (string, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known[key(member, path)]
	return k.Stamp, k.Digest
}

// Seen implements provision.Stamps.
func (s *stamps) Seen(member, path, st, digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	is := stamp{st, digest}
	if k := key(member, path); st != "" && digest != "" && s.known[k] != is {
		s.known[k], s.changed = is, true
	}
}

// Save implements provision.Stamps. Of two runs at once the later one wins.
func (s *stamps) Save() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.changed {
		return nil
	}
	b, err := json.Marshal(s.known)
	if err != nil {
		return err
	}
	dir := filepath.Dir(s.path)
	if err = os.MkdirAll(dir, 0o700); err == nil {
		err = renameio.WriteFile(s.path, b, 0o600, renameio.WithTempDir(dir))
	}
	if err != nil {
		return fmt.Errorf("cannot keep digests: %w", err)
	}
	s.changed = false
	return nil
}
