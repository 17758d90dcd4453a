//go:build !linux

package lab

import (
	"errors"
	"os"
	"os/exec"
)

var errLinuxOnly = errors.New("the lab needs Linux")

func inNamespace(string, func() error) error               { return errLinuxOnly }
func mountOverlay(lower, upper, work, target string) error { return errLinuxOnly }
func mountTmpfs(string) error                              { return errLinuxOnly }
func unmount(string) error                                 { return errLinuxOnly }
func onOverlay(string) (bool, error)                       { return false, errLinuxOnly }
func tryNamespaces() error                                 { return errLinuxOnly }
func inodeName(os.FileInfo) string                         { return "" }
func detach(*exec.Cmd)                                     {}
func ownerOf(os.FileInfo) (uid, gid int)                   { return -1, -1 }
