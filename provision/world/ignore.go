package world

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
)

// IgnoreKeys are the lines by which version control leaves keys out, and only
// them: ca.pem, certificates and cluster.json are for committing, and so is a key that is encrypted.
const IgnoreKeys = "# Keys stay out of version control; ca.pem and cluster.json are for committing.\n*-key.pem\n*-key.pem.*\n!*-key.pem.age\n"

// Ignore sees that a folder's .gitignore has these lines: it is made if there
// is none, and lines that are missing are added to one that is somebody's own.
func Ignore(dir, lines string) error {
	path := filepath.Join(dir, ".gitignore")
	have, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot look at %s: %w", path, err)
	}
	there := strings.Split(string(have), "\n")
	text := string(have)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	before := text
	for l := range strings.Lines(lines) {
		if !slices.Contains(there, strings.TrimSuffix(l, "\n")) {
			text += l
		}
	}
	if text == before {
		return nil
	}
	if err := renameio.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

// unignore takes a .gitignore away that has nothing but our lines.
func unignore(dir string) error {
	path := filepath.Join(dir, ".gitignore")
	if have, err := os.ReadFile(path); err != nil || string(have) != IgnoreKeys {
		return nil // none, or somebody's own
	}
	return os.Remove(path)
}
