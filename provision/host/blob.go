package host

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"

	"github.com/klauspost/compress/gzip"
)

// Digest of a content, as it is told of files: sha256 in hex.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// BytesBlob is a Blob held in memory: for tests and small contents.
func BytesBlob(content []byte) Blob {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	_, _ = z.Write(content) // a bytes.Buffer takes everything
	_ = z.Close()
	return &bytesBlob{digest: Digest(content), content: content, packed: b.Bytes()}
}

type bytesBlob struct {
	digest          string
	content, packed []byte
}

func (b *bytesBlob) Digest() string { return b.digest }
func (b *bytesBlob) Size() int64    { return int64(len(b.content)) }

func (b *bytesBlob) Compressed() (io.ReadCloser, int64, error) {
	return io.NopCloser(bytes.NewReader(b.packed)), int64(len(b.packed)), nil
}

func (b *bytesBlob) Open() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b.content)), nil
}
