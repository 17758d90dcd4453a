package world

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"quorate/plan"
)

// Recorded implements provision.Authority.
func (o *operator) Recorded() (*plan.Recorded, error) {
	path := within(o.cluster, o.cluster.TLS.Dir+"/cluster.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := plan.ParseRecorded(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if r.Cluster != o.cluster.Name {
		return nil, fmt.Errorf("%s is of cluster %q, not %q: two clusters of a spec need folders of their own (tls: dir)", path, r.Cluster, o.cluster.Name)
	}
	return r, nil
}

// WriteEndpoints implements provision.Authority.
func (o *operator) WriteEndpoints(path, content string) (bool, error) {
	path = within(o.cluster, path)
	if have, err := os.ReadFile(path); err == nil && string(have) == content {
		return false, nil
	}
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = renameio.WriteFile(path, []byte(content), 0o644)
	}
	if err != nil {
		return false, fmt.Errorf("cannot write the endpoints: %w", err)
	}
	return true, nil
}

// Remember implements provision.Authority.
func (o *operator) Remember(path string, r *plan.Recorded) (bool, error) {
	path = within(o.cluster, path)
	if have, err := o.Recorded(); err == nil && have != nil {
		same := *r
		same.At = have.At
		if string(same.Encode()) == string(have.Encode()) {
			return false, nil
		}
	}
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = renameio.WriteFile(path, r.Encode(), 0o644)
	}
	if err != nil {
		return false, fmt.Errorf("cannot note the cluster down: %w", err)
	}
	return true, nil
}
