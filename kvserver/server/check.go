package server

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"sigs.k8s.io/yaml"

	"go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/client/pkg/v3/tlsutil"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/auth"
	"go.etcd.io/etcd/server/v3/embed"
)

// Check tries a configuration file as Run would use it, without using it: no
// port is bound, nothing is written, no log is opened, no name is resolved. A
// nil answer means that this binary takes the file: it parses, has no option that this etcd does
// not know (etcd itself passes over those), no value that etcd refuses at its start,
// and names keys, certificates and authorities that can be read and fit together.
// What only a start can show is not tried: whether an address is this host's, a
// port free, a directory writable, the data of this version.
//
// The configuration comes from f.Config, or from stdin where that is "-". The
// bootstrap file is merged over it if there is one; mark and unit do not count.
//
// An upstream etcd has its own mind and no such check of its own: with etcd set
// this is an error.
func Check(f Files, etcd string, stdin io.Reader) error {
	if etcd != "" {
		return fmt.Errorf("cannot check a configuration for the upstream etcd %s: only that binary knows what it takes", etcd)
	}
	text, err := readConfig(f.Config, stdin)
	if err != nil {
		return fmt.Errorf("cannot read the configuration: %w", err)
	}
	if text, err = withBootstrap(text, f.Bootstrap); err != nil {
		return err
	}
	if err := checkSettings(text); err != nil {
		// One line, whatever etcd's own error looks like.
		return fmt.Errorf("etcd %s cannot be started with this configuration: %s", version.Version, strings.Join(strings.Fields(err.Error()), " "))
	}
	return nil
}

func readConfig(path string, stdin io.Reader) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(path)
}

func withBootstrap(text []byte, path string) ([]byte, error) {
	settings := map[string]any{}
	if yaml.Unmarshal(text, &settings) != nil {
		return text, nil // said below, as the configuration's fault
	}
	over, err := readBootstrap(path)
	if err != nil {
		return nil, err
	}
	maps.Copy(settings, over)
	return yaml.Marshal(settings)
}

func checkSettings(text []byte) error {
	given := map[string]any{}
	if err := yaml.Unmarshal(text, &given); err != nil {
		return err
	}
	if s, _ := given["data-dir"].(string); s == "" {
		return errors.New("it names no data-dir")
	}
	if unknown := unknownOptions(text); len(unknown) > 0 {
		return fmt.Errorf("it does not know the option %s", strings.Join(unknown, ", "))
	}
	// Where etcd would end the process, or open what it is to write to.
	if err := checkURLs(given); err != nil {
		return err
	}
	if err := checkLog(text); err != nil {
		return err
	}
	for _, key := range []string{"enable-log-rotation", "log-rotation-config-json"} {
		delete(given, key)
	}
	given["log-outputs"], given["log-level"] = []string{embed.StdErrLogOutput}, "panic" // says nothing
	quiet, err := yaml.Marshal(given)
	if err != nil {
		return err
	}
	cfg, err := Config(quiet)
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "cannot use the configuration: "))
	}
	if err := checkCompaction(cfg.AutoCompactionRetention); err != nil {
		return err
	}
	if _, ok := given["initial-cluster"]; ok {
		peers, _, err := cfg.PeerURLsMapAndToken("etcd")
		if err != nil {
			return fmt.Errorf("initial-cluster: %w", err)
		}
		if _, ok := peers[cfg.Name]; !ok {
			return fmt.Errorf("initial-cluster does not have the member itself, %q", cfg.Name)
		}
	}
	if _, err := auth.NewTokenProvider(zap.NewNop(), cfg.AuthToken, nil, time.Duration(cfg.AuthTokenTTL)*time.Second); err != nil {
		return fmt.Errorf("auth-token %q: %w", strings.SplitN(cfg.AuthToken, ",", 2)[0], err)
	}
	suites, err := tlsutil.GetCipherSuites(cfg.CipherSuites)
	if err != nil {
		return fmt.Errorf("cipher-suites: %w", err)
	}
	cfg.ClientTLSInfo.CipherSuites, cfg.PeerTLSInfo.CipherSuites = suites, suites
	if err := checkTLS("client-transport-security", cfg.ClientTLSInfo, cfg.ClientAutoTLS, given, "listen-client-urls", "listen-client-http-urls"); err != nil {
		return err
	}
	return checkTLS("peer-transport-security", cfg.PeerTLSInfo, cfg.PeerAutoTLS, given, "listen-peer-urls")
}

// checkURLs: at one that is wrong embed ends the process.
func checkURLs(given map[string]any) error {
	for _, key := range []string{"listen-peer-urls", "listen-client-urls", "listen-client-http-urls", "initial-advertise-peer-urls", "advertise-client-urls", "listen-metrics-urls"} {
		if s, _ := given[key].(string); s != "" {
			if _, err := types.NewURLs(strings.Split(s, ",")); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	return nil
}

// checkLog stands for embed's setupLogging, which opens what it is to log to.
func checkLog(text []byte) error {
	var l struct {
		Level    string   `json:"log-level"`
		Outputs  []string `json:"log-outputs"`
		Rotate   bool     `json:"enable-log-rotation"`
		Rotation string   `json:"log-rotation-config-json"`
	}
	if err := yaml.Unmarshal(text, &l); err != nil {
		return err
	}
	if _, err := zapcore.ParseLevel(l.Level); err != nil {
		return fmt.Errorf("log-level: %w", err)
	}
	special := []string{embed.DefaultLogOutput, embed.StdErrLogOutput, embed.StdOutLogOutput, embed.JournalLogOutput}
	files := slices.DeleteFunc(slices.Clone(l.Outputs), func(o string) bool { return slices.Contains(special, o) })
	switch {
	case slices.Contains(l.Outputs, ""):
		return errors.New("log-outputs: one of them is empty")
	case len(l.Outputs) > 1 && slices.Contains(l.Outputs, embed.DefaultLogOutput):
		return errors.New(`log-outputs: "default" has to stand alone`)
	case l.Rotate && len(files) != 1:
		return errors.New("enable-log-rotation wants one file in log-outputs")
	case l.Rotate && !json.Valid([]byte(l.Rotation)):
		return errors.New("log-rotation-config-json is no JSON")
	}
	return nil
}

// checkCompaction is embed's parseCompactionRetention.
func checkCompaction(retention string) error {
	if n, err := strconv.Atoi(retention); retention == "" || err == nil && n >= 0 {
		return nil
	}
	if _, err := time.ParseDuration(retention); err != nil {
		return fmt.Errorf("auto-compaction-retention: %w", err)
	}
	return nil
}

// checkTLS loads what one of the two blocks names, as the listeners would; each
// of the options listed in listen that says https must find a certificate.
func checkTLS(block string, info transport.TLSInfo, auto bool, given map[string]any, listen ...string) error {
	if info.CertFile == "" && info.KeyFile == "" {
		for _, key := range listen {
			if s, _ := given[key].(string); !auto && strings.Contains(s, "https://") {
				return fmt.Errorf("%s wants TLS, and %s names no cert-file and key-file", key, block)
			}
		}
		return nil
	}
	pairs := [][2]string{{info.CertFile, info.KeyFile}}
	if info.ClientCertFile != "" || info.ClientKeyFile != "" {
		pairs = append(pairs, [2]string{info.ClientCertFile, info.ClientKeyFile})
	}
	for _, p := range pairs {
		if _, err := tls.LoadX509KeyPair(p[0], p[1]); err != nil {
			return fmt.Errorf("%s: certificate %s with key %s: %w", block, p[0], p[1], err)
		}
	}
	if ca := info.TrustedCAFile; ca != "" {
		if _, err := tlsutil.NewCertPool([]string{ca}); err != nil {
			return fmt.Errorf("%s: trusted-ca-file %s: %w", block, ca, err)
		}
	}
	if _, err := info.ServerConfig(); err != nil {
		return fmt.Errorf("%s: %w", block, err)
	}
	if _, err := info.ClientConfig(); err != nil {
		return fmt.Errorf("%s: %w", block, err)
	}
	return nil
}
