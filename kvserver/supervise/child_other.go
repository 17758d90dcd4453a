//go:build !linux

package supervise

import "syscall"

// childAttributes: this kernel cannot signal the child of a supervisor that
// was killed; the child then runs on until it is stopped by hand.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
