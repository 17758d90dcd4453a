package datadir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	bolt "go.etcd.io/bbolt"
)

// The layout of bolt's pages (bbolt's internal/common: page.go, bucket.go), in the byte order of this machine: a header, then
// elements of one size, each of which says where its key and value are, counted from itself.
const (
	pageHeader  = 16
	elementSize = 16
	bucketSize  = 16 // what a bucket's value begins with: the number of its root page, 0 for one that follows, and a counter

	branchPage    = 0x01
	leafPage      = 0x02
	bucketElement = 0x01
)

// pages sees that the pages of a database are trees: each one reached once and where it says that it is, whole within the
// file, with its elements within itself. It comes before anything else is read of a file that may be
// anybody's: bolt trusts what it reads, goes in circles where pages do, and its own check looks for free pages first, in a goroutine
// whose panics nobody can catch. It reads the pages that are no values' once; memory is a bit a page.
func pages(path string, tx *bolt.Tx) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < tx.Size() {
		return fmt.Errorf("it was cut: its pages take %d bytes, and the file has %d", tx.Size(), info.Size())
	}
	size := int64(tx.DB().Info().PageSize)
	p := &pageWalk{f: f, size: size, count: uint64(tx.Size() / size)}
	p.seen = make([]uint64, p.count/64+1)
	for todo := []uint64{uint64(tx.Cursor().Bucket().Root())}; len(todo) > 0; {
		last := len(todo) - 1
		more, err := p.page(todo[last])
		if err != nil {
			return fmt.Errorf("page %d is damaged: %w", todo[last], err)
		}
		todo = append(todo[:last], more...)
	}
	return nil
}

type pageWalk struct {
	f     io.ReaderAt
	size  int64
	count uint64
	seen  []uint64 // a bit a page
	buf   []byte
}

// page reads one, with those behind it that belong to it, and gives the pages that it refers to.
func (p *pageWalk) page(id uint64) (refers []uint64, err error) {
	if id < 2 || id >= p.count {
		return nil, fmt.Errorf("there is no such page among %d", p.count)
	}
	head := make([]byte, pageHeader)
	if _, err := p.f.ReadAt(head, int64(id)*p.size); err != nil {
		return nil, err
	}
	if at := binary.NativeEndian.Uint64(head); at != id {
		return nil, fmt.Errorf("it says that it is page %d", at)
	}
	span := uint64(binary.NativeEndian.Uint32(head[12:])) + 1
	if span > p.count-id {
		return nil, errors.New("it goes on beyond the last page")
	}
	for i := id; i < id+span; i++ {
		if p.seen[i/64]&(1<<(i%64)) != 0 {
			return nil, errors.New("it is reached twice")
		}
		p.seen[i/64] |= 1 << (i % 64)
	}
	return p.elements(head, int64(id)*p.size, int64(span)*p.size)
}

// elements reads those of a page that begins at start and has size bytes.
func (p *pageWalk) elements(head []byte, start, size int64) (refers []uint64, err error) {
	kind, count := binary.NativeEndian.Uint16(head[8:]), int64(binary.NativeEndian.Uint16(head[10:]))
	if kind != branchPage && kind != leafPage {
		return nil, fmt.Errorf("it is neither a branch nor a leaf (%#x)", kind)
	}
	if kind == branchPage && count == 0 || pageHeader+count*elementSize > size {
		return nil, fmt.Errorf("it cannot have %d elements", count)
	}
	if int64(cap(p.buf)) < count*elementSize {
		p.buf = make([]byte, count*elementSize)
	}
	table := p.buf[:count*elementSize]
	if _, err := p.f.ReadAt(table, start+pageHeader); err != nil {
		return nil, err
	}
	for i := range count {
		e := table[i*elementSize:][:elementSize]
		at := pageHeader + i*elementSize
		flags, pos, length := uint32(0), int64(binary.NativeEndian.Uint32(e)), int64(binary.NativeEndian.Uint32(e[4:]))
		value := int64(0)
		if kind == leafPage {
			flags, pos, length, value = binary.NativeEndian.Uint32(e), int64(binary.NativeEndian.Uint32(e[4:])), int64(binary.NativeEndian.Uint32(e[8:])), int64(binary.NativeEndian.Uint32(e[12:]))
		}
		if pos < elementSize || at+pos+length+value > size {
			return nil, fmt.Errorf("element %d of %d is not within it", i, count)
		}
		switch {
		case kind == branchPage:
			refers = append(refers, binary.NativeEndian.Uint64(e[8:]))
		case flags == bucketElement:
			root, err := p.bucket(start+at+pos+length, value)
			if err != nil {
				return nil, fmt.Errorf("the bucket of element %d: %w", i, err)
			}
			if root != 0 {
				refers = append(refers, root)
			}
		case flags != 0:
			return nil, fmt.Errorf("element %d is of no kind that is known (%#x)", i, flags)
		}
	}
	return refers, nil
}

// bucket reads a bucket that has size bytes at start: it gives the number of its root page, or 0 for one that is small enough to be there whole.
func (p *pageWalk) bucket(start, size int64) (root uint64, err error) {
	head := make([]byte, bucketSize+pageHeader)
	if size < bucketSize {
		return 0, errors.New("it is too short")
	}
	if _, err := p.f.ReadAt(head[:min(size, bucketSize+pageHeader)], start); err != nil {
		return 0, err
	}
	if root = binary.NativeEndian.Uint64(head); root != 0 {
		return root, nil
	}
	if size < bucketSize+pageHeader || binary.NativeEndian.Uint16(head[bucketSize+8:]) != leafPage {
		return 0, errors.New("it is no leaf")
	}
	// The table that is being read is the caller's.
	in := pageWalk{f: p.f, size: p.size, count: p.count}
	below, err := in.elements(head[bucketSize:], start+bucketSize, size-bucketSize)
	if err == nil && len(below) > 0 {
		err = errors.New("there is another bucket in it")
	}
	return 0, err
}
