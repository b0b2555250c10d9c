//go:build unix

package cli

import (
	"os"
	"syscall"
)

// chownLike gives a file the owner of another.
func chownLike(path string, of os.FileInfo) error {
	owner, ok := of.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return os.Chown(path, int(owner.Uid), int(owner.Gid))
}
