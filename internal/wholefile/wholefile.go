// Package wholefile replaces files so that readers see the former or the new one, whole,
// whatever ends in between.
package wholefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// File is written beside the one that it is to replace.
type File struct {
	*os.File
	path string // of the one to replace
}

// Create begins a file of mode 0600 for path; symbolic links are followed. That it can be
// made shows that [File.Commit] may write there. End it by Commit or [File.Discard].
func Create(path string) (*File, error) {
	path, err := target(path)
	if err != nil {
		return nil, fmt.Errorf("write %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return &File{File: f, path: path}, nil
}

// target is where the file itself is, which must not be a device or a folder: a rename
// would put a file in a device's place.
func target(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	if err != nil {
		return "", err
	}
	info, err := os.Stat(real)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: it is no regular file", path)
	}
	return real, err
}

// Commit puts the file in its place, durably.
func (f *File) Commit() error {
	err := errors.Join(f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), f.path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.path, errors.Join(err, os.Remove(f.Name())))
	}
	return syncFolder(filepath.Dir(f.path))
}

// Discard leaves the former file as it is.
func (f *File) Discard() error { return errors.Join(f.Close(), os.Remove(f.Name())) }

// CommitText writes the text and commits; if that fails the former file is left.
func (f *File) CommitText(text []byte) error {
	if _, err := f.Write(text); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", f.path, err), f.Discard())
	}
	return f.Commit()
}

// Write replaces path by a file of mode 0600 with this text.
func Write(path string, text []byte) error {
	f, err := Create(path)
	if err != nil {
		return err
	}
	return f.CommitText(text)
}

// syncFolder has a rename outlast a loss of power.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" { // folders can't be synchronized there
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("synchronize folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("synchronize folder: %w", err)
	}
	return nil
}
