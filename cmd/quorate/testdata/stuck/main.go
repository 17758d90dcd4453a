// Command stuck stands for kvserver in tests of a run that hangs: it never
// serves. Everything else the real one does, whose path is linked in.
package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

var real string

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		time.Sleep(time.Hour)
		return
	}
	fmt.Fprintln(os.Stderr, syscall.Exec(real, append([]string{real}, os.Args[1:]...), os.Environ()))
	os.Exit(1)
}
