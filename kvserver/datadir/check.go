package datadir

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/storage/schema"

	"quorate/internal/resources"
)

// mostDamage is how much damage is told of one file; the rest only says that there is more.
const mostDamage = 5

// perPage is what bolt's check remembers of a page, bytes: it is in two maps by its number (tx_check.go).
const perPage = 100

// Check reads a whole database, as [Content] takes them, and is an error that
// says what is damaged: its pages are trees (see pages), each bucket is walked from its first key to its last,
// each stored version is decoded, and then bolt's own check finds pages that are referred to twice or
// by nobody. It reads the file twice at the most and needs memory by page; where that is more than half of what the machine
// has to spare, the error is a [*TooMuchMemoryError].
//
// It cannot see a value that is another one, or bytes that changed within one: only
// a checksum does.
func Check(path string) error { return checkWithin(path, resources.Spare()) }

func checkWithin(path string, spare int64) error {
	found, err := view(path, time.Second, func(tx *bolt.Tx) error {
		if need := tx.Size() / int64(tx.DB().Info().PageSize) * perPage; need > spare {
			return &TooMuchMemoryError{What: "check the pages", Needed: need, Spare: spare}
		}
		if err := pages(path, tx); err != nil {
			return err
		}
		if err := walk(tx); err != nil {
			return err
		}
		return consistent(tx)
	})
	if err == nil && !found {
		err = fmt.Errorf("cannot check database %s: there is none, or it is empty", path)
	}
	return err
}

// walk reads every key and value where they lie.
func walk(tx *bolt.Tx) error {
	return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
		damaged := func(what any) error { return fmt.Errorf("bucket %q is damaged: %v", name, what) }
		versions := bytes.Equal(name, schema.Key.Name())
		var last []byte
		c := b.Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if last != nil && bytes.Compare(last, k) >= 0 {
				return damaged(fmt.Sprintf("key %x stands behind %x", k, last))
			}
			last = append(last[:0], k...)
			if !versions {
				continue
			}
			if len(k) < 17 { // mvcc's revisions: 8 bytes, '_', 8 bytes, and one more for a deletion
				return damaged(fmt.Sprintf("%x is no revision", k))
			}
			if err := proto.Unmarshal(v, new(mvccpb.KeyValue)); err != nil {
				return damaged(fmt.Sprintf("revision %d cannot be read: %v", mainRevision(k), err))
			}
		}
		return nil
	})
}

func consistent(tx *bolt.Tx) error {
	var errs []error
	more := 0
	for err := range tx.Check() {
		if len(errs) < mostDamage {
			errs = append(errs, err)
		} else {
			more++
		}
	}
	if more > 0 {
		errs = append(errs, fmt.Errorf("and %d more", more))
	}
	return errors.Join(errs...)
}
