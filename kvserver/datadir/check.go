package datadir

import (
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// perPage is what bolt's check remembers of a page, bytes: it is in two maps by its number (tx_check.go).
const perPage = 100

// Check reads a whole database, as [Content] takes them, and is an error that says what is damaged: its pages are
// trees (see pages), each key and value is there, and bolt's own check finds nothing. The file is not changed.
// It takes memory by page: spare bounds it, bytes; beyond it the error is a [*TooMuchMemoryError].
//
// It cannot see bytes that changed within a value: only a checksum does.
func Check(path string, spare int64) error {
	found, err := view(path, time.Second, func(tx *bolt.Tx) error {
		if need := tx.Size() / int64(tx.DB().Info().PageSize) * perPage; need > spare {
			return &TooMuchMemoryError{What: "check the pages", Needed: need, Spare: spare}
		}
		if err := pages(path, tx); err != nil {
			return err
		}
		var all []error
		for err := range tx.Check() {
			all = append(all, err)
		}
		switch len(all) {
		case 0:
			return nil
		case 1:
			return fmt.Errorf("its pages are damaged: %w", all[0])
		}
		return fmt.Errorf("its pages are damaged: %w, and %d more complaints", all[0], len(all)-1)
	})
	if err == nil && !found {
		err = fmt.Errorf("cannot check database %s: there is none, or it is empty", path)
	}
	return err
}
