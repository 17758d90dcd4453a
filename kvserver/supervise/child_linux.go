package supervise

import "syscall"

// childAttributes: should the supervisor be killed, its child is asked to
// stop, so that no orphan keeps the ports.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
