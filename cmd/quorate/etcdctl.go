package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"

	"go.etcd.io/etcd/etcdctl/v3/ctlv3"
)

// etcdctlArgument, as the first one, makes this program etcdctl. Its commands
// end the process as they like, so they run in a child, and ctl keeps the tunnel.
const etcdctlArgument = "__etcdctl"

// handoverFD is the descriptor on which the child reads its [handover].
const handoverFD = 3

// handover tells the child where the cluster is and what to show there. It goes through a pipe: neither
// the proxy's password nor a key may stand in arguments or in an environment that others can look at,
// nor be left in a file by a process that was killed.
type handover struct {
	Proxy     string   `json:"proxy"`
	Endpoints []string `json:"endpoints"`
	Cert      []byte   `json:"cert"` // PEM
	Key       []byte   `json:"key"`
	CA        []byte   `json:"ca"`
	// Dir is a private folder for those three, where a system has no files in memory.
	Dir string `json:"dir,omitempty"`
}

func handoverOf(cert tls.Certificate, bundle []byte, proxy string, endpoints []string) (handover, error) {
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return handover{}, fmt.Errorf("cannot hand over the certificate of this run: %w", err)
	}
	var chain []byte
	for _, c := range cert.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	return handover{Proxy: proxy, Endpoints: endpoints, Cert: chain, Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), CA: bundle}, nil
}

// runEtcdctl is the child: it becomes etcdctl and does not return.
func runEtcdctl(args []string) {
	var h handover
	from := os.NewFile(handoverFD, "handover")
	err := json.NewDecoder(from).Decode(&h)
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error: for use by quorate ctl only")
		os.Exit(exitUsage)
	}
	go func() { // this process ends with the other one, however that ends
		_, _ = io.Copy(io.Discard, from)
		if h.Dir != "" {
			_ = os.RemoveAll(h.Dir)
		}
		os.Exit(exitInterrupted)
	}()
	paths := map[string]string{}
	for name, content := range map[string][]byte{"cert": h.Cert, "key": h.Key, "cacert": h.CA} {
		if err == nil {
			paths[name], err = privateFile(h.Dir, name, content)
		}
	}
	if err == nil {
		err = os.Setenv("HTTPS_PROXY", h.Proxy)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error: cannot find the tunnel: "+err.Error())
		os.Exit(exitFailed)
	}
	os.Args = etcdctlArgs(paths, h.Endpoints, args)
	ctlv3.MustStart()
	os.Exit(exitDone)
}

// etcdctlArgs is the command line of etcdctl. Flags of the caller win: each of
// ours is left out if it is given.
func etcdctlArgs(paths map[string]string, endpoints, args []string) []string {
	out := []string{"etcdctl"}
	for _, f := range []struct{ name, value string }{
		{"endpoints", strings.Join(endpoints, ",")},
		{"cacert", paths["cacert"]},
		{"cert", paths["cert"]},
		{"key", paths["key"]},
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
