//go:build !linux

package main

import (
	"os"
	"path/filepath"
)

// privateDir makes a folder, mode 0700, that the caller removes. One that is killed leaves it behind,
// with a certificate that is valid for hours: this system has no files in memory.
func privateDir(base string) (string, error) { return os.MkdirTemp(base, "quorate-ctl-") }

// privateFile keeps content in that folder.
func privateFile(dir, name string, content []byte) (string, error) {
	path := filepath.Join(dir, name+".pem")
	return path, os.WriteFile(path, content, 0o600)
}
