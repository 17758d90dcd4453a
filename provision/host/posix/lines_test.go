package posix

import (
	"os"
	"path/filepath"
	"testing"

	"quorate/provision/host"
)

// A line is told while the command goes on: one that waits for what its line leads to ends.
func TestLinesAreToldAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s shell, root string) {
		h := New(&s, options(root))
		file := filepath.Join(root, "heard")
		_, err := h.Run(t.Context(), host.Command{
			Argv: []string{"sh", "-c", "echo now; while ! [ -e " + file + " ]; do sleep 0.01; done"},
			Line: func(string) {
				if err := os.WriteFile(file, nil, 0o600); err != nil {
					t.Error(err)
				}
			},
		})
		if err != nil {
			t.Error(err)
		}
	})
}
