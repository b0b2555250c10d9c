package testpg

import "syscall"

// childAttributes keeps terminal signals from the server, and ends it with a test
// process that is killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
}
