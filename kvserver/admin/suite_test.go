package admin_test

import (
	"slices"
	"testing"

	"quorate/kvserver/admintest"
	"quorate/kvserver/servertest"
)

// The suite that the models pass too, beside real members.
func TestSuite(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 3)
	c.Start()
	member := func(name string) *servertest.Member {
		return c.Members[slices.IndexFunc(c.Members, func(m *servertest.Member) bool { return m.Name == name })]
	}
	s := admintest.Subject{Admin: c.Admin(), Wait: servertest.Wait, Stop: func(name string) { member(name).Kill() }, Start: func(name string) { member(name).Start() }}
	for _, m := range c.Members {
		s.Names = append(s.Names, m.Name)
	}
	admintest.Suite(t, s)
}
