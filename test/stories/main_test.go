package stories

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"quorate/kvserver/servertest"
)

// workshop is where the binaries under test are built; it exists for the run of the tests.
var workshop = func() string {
	dir, err := os.MkdirTemp("", "quorate-stories-")
	if err != nil {
		panic(err)
	}
	return dir
}()

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(workshop)
	os.Exit(code)
}

// build builds quorate and kvserver as `make build` does, once for all tests,
// and only if a test asks.
var build = sync.OnceValue(func() error {
	return goBuild("./cmd/quorate", "./cmd/kvserver")
})

// buildEtcd builds etcd's own server from the release that go.mod names: what
// a user would download.
var buildEtcd = sync.OnceValue(func() error {
	return goBuild("go.etcd.io/etcd/server/v3")
})

// buildEtcdctl builds etcd's own client, likewise.
var buildEtcdctl = sync.OnceValue(func() error {
	return goBuild("go.etcd.io/etcd/etcdctl/v3")
})

// goBuild builds programs into the workshop, named after their packages.
func goBuild(packages ...string) error {
	for _, p := range packages {
		name := filepath.Base(p)
		switch p {
		case "go.etcd.io/etcd/server/v3":
			name = "etcd"
		case "go.etcd.io/etcd/etcdctl/v3":
			name = "etcdctl"
		}
		if err := servertest.Build("../..", p, filepath.Join(workshop, name)); err != nil { // the module's root
			return err
		}
	}
	return nil
}
