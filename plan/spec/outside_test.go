package spec

import "testing"

// A list of members is other people's word: the host that it names is given no password, and is not connected unless
// its key is known already.
func TestOutsideIsGivenNoPassword(t *testing.T) {
	t.Parallel()
	s, diags := Load([]File{{Name: "s.hcl", Bytes: []byte(`cluster "lab" {
  connection {
    user                     = "ops"
    password                 = "login-secret"
    sudo_password            = "sudo-secret"
    passphrase               = "of-the-key"
    host_keys                = ["SHA256:` + "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU" + `"]
    wait_for_host            = "5m"
  }
  member "etcd1" { address = "192.0.2.1" }
}`)}}, Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	m := s.Clusters[0].Outside("etcd9", "192.0.2.9", 2379, 2380)
	c := m.Connection
	if c.Host != "192.0.2.9" || c.User != "ops" || c.Passphrase.Reveal() != "of-the-key" {
		t.Errorf("it is reached by %+v", c)
	}
	if !c.Password.Empty() || !c.SudoPassword.Empty() {
		t.Error("it would be given a password")
	}
	if c.StrictHostKeyChecking != "yes" || len(c.HostKeys) > 0 || c.WaitForHost != 0 || c.ConnectTimeout != outsideTimeout {
		t.Errorf("it would be taken for a host of the spec's: %+v", c)
	}
	if of := s.Clusters[0].Members[0].Connection; of.Password.Reveal() != "login-secret" || len(of.HostKeys) != 1 {
		t.Errorf("the spec's own member is reached by %+v", of)
	}
}
