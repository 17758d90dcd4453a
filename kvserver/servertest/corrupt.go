package servertest

import (
	"bytes"
	"fmt"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// Corrupt changes a value in the data of a member that does not run, as a
// broken disk would: old, which must be there, becomes new, behind etcd's back.
func Corrupt(dataDir, old, new string) error {
	db, err := bolt.Open(filepath.Join(dataDir, "member", "snap", "db"), 0o600, nil)
	if err != nil {
		return err
	}
	changed := false
	err = db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("key"))
		return b.ForEach(func(k, v []byte) error {
			if !bytes.Contains(v, []byte(old)) {
				return nil
			}
			changed = true
			return b.Put(k, bytes.ReplaceAll(v, []byte(old), []byte(new)))
		})
	})
	if cerr := db.Close(); err == nil {
		err = cerr
	}
	if err == nil && !changed {
		err = fmt.Errorf("%q is not in %s", old, dataDir)
	}
	return err
}
