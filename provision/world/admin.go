package world

import (
	"crypto/tls"

	"quorate/kvserver/admin"
	"quorate/provision"
)

// newAdmin is provision.World.Admin on the client in kvserver/admin.
func newAdmin(members []provision.Endpoint, t *tls.Config, dial provision.Dial) provision.Admin {
	c := admin.Config{TLS: t, Plain: t == nil, Dial: dial}
	for _, m := range members {
		c.Members = append(c.Members, admin.Endpoint{Name: m.Name, Address: m.Address})
	}
	return admin.New(c)
}
