package provision_test

import (
	"testing"
	"time"

	"quorate/kvserver/admintest"
	"quorate/provision/host"
)

// TestModelOfMembers: what these tests take for members behaves as members do.
func TestModelOfMembers(t *testing.T) {
	t.Parallel()
	r := newRig(t, threeMembers)
	must(t, r.apply())
	s := r.session()
	defer s.Close()
	a, err := s.Admin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	admintest.Suite(t, admintest.Subject{
		Admin: a, Names: []string{"etcd1", "etcd2", "etcd3"}, Wait: 10 * time.Second,
		Stop: func(name string) { r.world.Machine(name).Crash("quorate-lab.service") },
		Start: func(name string) {
			h, err := s.Host(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			go h.Service(t.Context(), host.ServiceRequest{Unit: "quorate-lab.service", Verb: "start", Wait: 10 * time.Second})
		},
	})
}
