package sqlite

import (
	"fmt"
	"os"

	"github.com/zerotouch-dps/dps/storage/query"
)

// home is the file that a store was opened in. What is committed into a file without a
// name is lost when it is closed, and SQLite doesn't notice.
type home struct {
	path string
	file os.FileInfo
}

// homeOf is that of an open store; nil of one in memory.
func homeOf(path string) (*home, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // such a store has none
	}
	file, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return &home{path, file}, nil
}

// check fails once the file is not there any more. Errors: [dps.Unavailable].
func (h *home) check() error {
	if h == nil {
		return nil
	}
	if file, err := os.Stat(h.path); err != nil || !os.SameFile(file, h.file) {
		return query.Unavailable(fmt.Errorf("%s was deleted or replaced while it was open; put it back, or restart dps with what is there", h.path))
	}
	return nil
}
