package admin

import "google.golang.org/grpc"

// Conn is what a member's calls run on.
func (c *Client) Conn(name string) grpc.ClientConnInterface { return c.conns[name] }

// Largest is the largest message that a member may send.
const Largest = largest
