// Command etcd is upstream etcd 3.5, as its own main package has it: what an
// operator who names a release in place of kvserver runs. It is a module of
// its own, so that another version of etcd can be built beside ours.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
