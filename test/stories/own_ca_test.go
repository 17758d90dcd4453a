package stories

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"quorate/test/lab"
)

// A CA of the operator's own, and one whose key is encrypted for an SSH key: a cluster
// is started with each, and no plain key of the encrypted one lies anywhere.
func TestOwnCA(t *testing.T) {
	t.Parallel()
	s := open(t, lab.Options{Hosts: 1})
	pub, err := os.ReadFile(s.op.Key() + ".pub")
	s.check(err)
	s.spec(fmt.Sprintf("tls {\n  encryption {\n    recipients    = [%q]\n    identity_file = %q\n  }\n}", strings.TrimSpace(string(pub)), s.op.Key()))
	s.must("apply", "-y")
	s.settled()
	if _, err := os.Stat(filepath.Join(s.dir, "pki/lab/ca-key.pem")); !os.IsNotExist(err) {
		t.Errorf("a plain CA key lies there: %v", err)
	}
	s.must("destroy", "-y")

	s.dir = s.folder("own")
	s.check(os.MkdirAll(filepath.Join(s.dir, "ca"), 0o700))
	out, err := exec.CommandContext(t.Context(), "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "900",
		"-subj", "/CN=house CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
		"-keyout", filepath.Join(s.dir, "ca/ca-key.pem"), "-out", filepath.Join(s.dir, "ca/ca.pem")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.spec("tls {\n  ca_cert = \"ca/ca.pem\"\n  ca_key  = \"ca/ca-key.pem\"\n}")
	s.must("apply", "-y")
	s.settled()
	own, err := os.ReadFile(filepath.Join(s.dir, "ca/ca.pem"))
	s.check(err)
	if got := s.shell(s.Host(0), "cat /etc/quorate/lab/pki/ca.pem"); strings.TrimSpace(string(own)) != got {
		t.Errorf("the host trusts another CA:\n%s", got)
	}
}
