//go:build unix && !linux

package testpg

import "syscall"

// childAttributes keeps terminal signals from the server.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
