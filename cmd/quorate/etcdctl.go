package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/etcdctl/v3/ctlv3"
)

// etcdctlArgument, as the first one, makes this program etcdctl. Its commands
// end the process as they like, so they run in a child: ctl keeps the tunnel
// and cleans up after it. The next argument is the folder with the child's files.
const etcdctlArgument = "__etcdctl"

// ctlFile tells the child where the cluster is. It is a file because the
// proxy's password must be neither in the arguments nor in the environment
// that others can look at.
type ctlFile struct {
	Proxy     string   `json:"proxy"`
	Endpoints []string `json:"endpoints"`
}

// writeCtlFiles puts what the child needs into its private folder, each file 0600.
func writeCtlFiles(dir string, cert tls.Certificate, bundle []byte, proxy string, endpoints []string) error {
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return fmt.Errorf("cannot keep the certificate of this run: %w", err)
	}
	var chain []byte
	for _, c := range cert.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	where, err := json.Marshal(ctlFile{Proxy: proxy, Endpoints: endpoints})
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"cert.pem": chain, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		"ca.pem": bundle, "ctl.json": where,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return fmt.Errorf("cannot keep the certificate of this run: %w", err)
		}
	}
	return nil
}

// runEtcdctl is the child: it becomes etcdctl and does not return.
func runEtcdctl(args []string) {
	if len(args) < 1 {
		fmt.Fprintln(os.Stderr, "Error: for use by quorate ctl only")
		os.Exit(exitUsage)
	}
	dir, args := args[0], args[1:]
	var at ctlFile
	b, err := os.ReadFile(filepath.Join(dir, "ctl.json"))
	if err == nil {
		err = json.Unmarshal(b, &at)
	}
	if err == nil {
		err = os.Setenv("HTTPS_PROXY", at.Proxy)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error: cannot find the tunnel: "+err.Error())
		os.Exit(exitFailed)
	}
	os.Args = etcdctlArgs(dir, at.Endpoints, args)
	ctlv3.MustStart()
	os.Exit(exitDone)
}

// etcdctlArgs is the command line of etcdctl. Flags of the caller win: each of
// ours is left out if it is given.
func etcdctlArgs(dir string, endpoints, args []string) []string {
	out := []string{"etcdctl"}
	for _, f := range []struct{ name, value string }{
		{"endpoints", strings.Join(endpoints, ",")},
		{"cacert", filepath.Join(dir, "ca.pem")},
		{"cert", filepath.Join(dir, "cert.pem")},
		{"key", filepath.Join(dir, "key.pem")},
	} {
		if !given(args, f.name) {
			out = append(out, "--"+f.name+"="+f.value)
		}
	}
	return append(out, args...)
}

// given reports whether a long flag stands among args, before a --.
func given(args []string, name string) bool {
	for _, a := range args {
		if a == "--" {
			return false
		}
		if a == "--"+name || strings.HasPrefix(a, "--"+name+"=") {
			return true
		}
	}
	return false
}
