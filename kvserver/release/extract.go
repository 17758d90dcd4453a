package release

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"debug/elf"
	"debug/macho"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/klauspost/compress/gzip"
)

// extract copies the etcd binary out of in: the regular file whose base name
// is "etcd", or the whole file if it is an executable itself.
func extract(in *os.File, out io.Writer) error {
	head := make([]byte, 4)
	if _, err := in.ReadAt(head, 0); err != nil {
		return errors.New("it is no archive and no binary: it has not even four bytes")
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return fromTar(in, out)
	case bytes.Equal(head, []byte("PK\x03\x04")):
		return fromZip(in, out)
	case bytes.Equal(head, []byte(elf.ELFMAG)), isMacho(head):
		return bounded(out, in)
	}
	return errors.New("it is neither a .tar.gz nor a .zip archive nor an executable")
}

var errNoEtcd = errors.New("there is no file named etcd in the archive")

func fromTar(in io.Reader, out io.Writer) error {
	z, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	t := tar.NewReader(z)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return errNoEtcd
		}
		if err != nil {
			return fmt.Errorf("the archive is damaged: %w", err)
		}
		if h.Typeflag == tar.TypeReg && path.Base(h.Name) == "etcd" {
			return bounded(out, t)
		}
	}
}

func fromZip(in *os.File, out io.Writer) error {
	info, err := in.Stat()
	if err != nil {
		return err
	}
	z, err := zip.NewReader(in, info.Size())
	if err != nil {
		return fmt.Errorf("the archive is damaged: %w", err)
	}
	for _, f := range z.File {
		if f.Mode().IsRegular() && path.Base(f.Name) == "etcd" {
			r, err := f.Open()
			if err != nil {
				return err
			}
			defer r.Close()
			return bounded(out, r)
		}
	}
	return errNoEtcd
}

func bounded(out io.Writer, in io.Reader) error {
	n, err := io.Copy(out, io.LimitReader(in, largestBinary+1))
	if err == nil && n > largestBinary {
		err = fmt.Errorf("the binary in it is larger than %d MB", largestBinary>>20)
	}
	return err
}

// executable checks that a file is an executable for a system.
func executable(file, goos, goarch string) error {
	if goos == "darwin" {
		return machoFor(file, goarch)
	}
	want, ok := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[goarch]
	if !ok {
		return fmt.Errorf("architecture %q is not one that etcd is released for and quorate knows (amd64, arm64)", goarch)
	}
	f, err := elf.Open(file)
	if err != nil {
		return fmt.Errorf("what is in it is no Linux executable: %w", err)
	}
	defer f.Close()
	if f.Machine != want || f.Class != elf.ELFCLASS64 {
		return fmt.Errorf("what is in it is for %s, not for %s: is the source of another architecture named?", f.Machine, goarch)
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return fmt.Errorf("what is in it is no executable (%s)", f.Type)
	}
	return nil
}

func machoFor(file, goarch string) error {
	want, ok := map[string]macho.Cpu{"amd64": macho.CpuAmd64, "arm64": macho.CpuArm64}[goarch]
	if !ok {
		return fmt.Errorf("architecture %q is none of a Mac", goarch)
	}
	f, err := macho.Open(file)
	if err != nil {
		return fmt.Errorf("what is in it is no macOS executable: %w", err)
	}
	defer f.Close()
	if f.Cpu != want {
		return fmt.Errorf("what is in it is for %s, not for %s", f.Cpu, goarch)
	}
	return nil
}

func isMacho(head []byte) bool { return bytes.Equal(head, []byte{0xcf, 0xfa, 0xed, 0xfe}) }
