package hosttest

import "testing"

func TestFake(t *testing.T) {
	for name, newMachine := range map[string]func(string) *Machine{"systemd": NewMachine, "supervise": NewLocalMachine} {
		t.Run(name, func(t *testing.T) {
			Suite(t, func(*testing.T) Fixture { return FakeFixture(newMachine("fake")) })
		})
	}
}
