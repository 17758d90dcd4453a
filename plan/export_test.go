package plan

// Guards are the planner's rules that a test can switch off.
func Guards() []string {
	var out []string
	for _, g := range guards {
		out = append(out, string(g))
	}
	return out
}

// Without switches one of [Guards] off; "" none.
func (o Options) Without(name string) Options {
	o.without = guard(name)
	return o
}
