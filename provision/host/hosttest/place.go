package hosttest

import "quorate/provision/host"

// Place makes one file or folder with its owner and mode, as a program on the
// machine would; it is no call.
func (m *Machine) Place(f host.File) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.place(f)
	return err
}
