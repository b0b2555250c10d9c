package wholefile_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/zerotouch-dps/dps/internal/wholefile"
)

// TestReplacedAtOnce: whoever finds the file finds it whole.
func TestReplacedAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	reads := func(want string) {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil && want != "" || string(text) != want {
			t.Fatalf("the file says %q, %v; want %q", text, err, want)
		}
	}
	for _, step := range []struct{ before, text string }{{"", "first"}, {"first", "second"}} {
		f, err := wholefile.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		reads(step.before)
		if err := f.CommitText([]byte(step.text)); err != nil {
			t.Fatal(err)
		}
		reads(step.text)
	}
	f, err := wholefile.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Discard(); err != nil {
		t.Fatal(err)
	}
	reads("second")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("the folder holds %v, %v", left, err)
	}
}

// TestWhere: a link stays a link, and what is no file stays what it is.
func TestWhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	for _, err := range []error{
		os.WriteFile(file, []byte("old"), 0o600), os.Symlink(file, link), syscall.Mkfifo(pipe, 0o600),
		wholefile.Write(link, []byte("new")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != "new" {
		t.Errorf("the link's file says %q, %v", text, err)
	}
	for _, path := range []string{pipe, dir, filepath.Join(dir, "no", "folder")} {
		if err := wholefile.Write(path, nil); err == nil {
			t.Errorf("%s was written", path)
		}
	}
}
