package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"quorate/kvserver/servertest"
)

// check is `kvserver serve --check` with a candidate on standard input.
func check(t *testing.T, m *servertest.Member, candidate []byte, more ...string) (string, error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(exe, append([]string{"serve", "--config-file", m.ConfigFile, "--bootstrap-file", m.BootstrapFile, "--unit-file", m.UnitFile, "--mark", m.MarkFile, "--check", "--config-file", "-"}, more...)...)
	c.Env = append(os.Environ(), "QUORATE_SERVERTEST_MAIN=1")
	c.Stdin = bytes.NewReader(candidate)
	out, err := c.CombinedOutput()
	return string(out), err
}

func files(t *testing.T, dir string) (all []string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error { all = append(all, path); return err }); err != nil {
		t.Fatal(err)
	}
	return all
}

// What check refuses, etcd refuses at its start; where etcd passes over it
// without a word, the case says so.
func TestCheckAgreesWithTheStart(t *testing.T) {
	t.Parallel()
	set := func(key string, v any) func(*testing.T, *servertest.Member, map[string]any) {
		return func(_ *testing.T, _ *servertest.Member, s map[string]any) { s[key] = v }
	}
	tlsSet := func(block, key, v string) func(*testing.T, *servertest.Member, map[string]any) {
		return func(t *testing.T, m *servertest.Member, s map[string]any) {
			b, ok := s[block].(map[string]any)
			if !ok {
				t.Fatalf("no %s in %v", block, s)
			}
			b[key] = strings.ReplaceAll(v, "DIR", m.Dir)
		}
	}
	for name, tc := range map[string]struct {
		change func(*testing.T, *servertest.Member, map[string]any)
		want   string
		starts bool // etcd itself starts with it
	}{
		"as it is":                     {change: func(*testing.T, *servertest.Member, map[string]any) {}, starts: true},
		"text for a number":            {change: set("max-txn-ops", "lots"), want: "max-txn-ops of type uint"},
		"an unknown option":            {change: set("quota-backend-byte", 1), want: "does not know the option quota-backend-byte", starts: true},
		"an option of another release": {change: set("experimental-initial-corrupt-check", true), want: "experimental-initial-corrupt-check", starts: true},
		"an unknown option of a block": {change: tlsSet("client-transport-security", "cert-fle", "x"), want: "client-transport-security.cert-fle", starts: true},
		"an unknown gate":              {change: set("feature-gates", "InitialCoruptCheck=true"), want: "InitialCoruptCheck"},
		"a gate that is no bool":       {change: set("feature-gates", "InitialCorruptCheck=yes"), want: "InitialCorruptCheck=yes"},
		"heartbeat over election":      {change: set("heartbeat-interval", 5000), want: "--election-timeout"},
		"compaction mode":              {change: set("auto-compaction-mode", "sometimes"), want: `auto-compaction-mode "sometimes"`},
		"compaction retention":         {change: set("auto-compaction-retention", "ten"), want: "auto-compaction-retention"},
		"a URL that is none":           {change: set("listen-client-urls", "https://127.0.0.1"), want: "listen-client-urls"},
		"a name to bind":               {change: set("listen-peer-urls", "https://some-host:2380"), want: "expected IP in URL for binding"},
		"a panic in etcd":              {change: set("cors", "https://no-port.example.org"), want: "no-port.example.org"},
		"log level":                    {change: set("log-level", "loud"), want: "log-level"},
		"log outputs":                  {change: set("log-outputs", "stderr"), want: "log-outputs"},
		"log format":                   {change: set("log-format", "xml"), want: "xml"},
		"TLS version":                  {change: set("tls-min-version", "TLS9"), want: "TLS9"},
		"cipher suites":                {change: set("cipher-suites", []string{"ROT13"}), want: "ROT13"},
		"token":                        {change: set("auth-token", "jwt,pub-key=/nowhere,priv-key=/nowhere,sign-method=RS256"), want: `auth-token "jwt"`},
		"initial cluster":              {change: set("initial-cluster-state", "old"), want: `"old"`},
		"no certificate":               {change: tlsSet("client-transport-security", "cert-file", "/nowhere/server.pem"), want: "/nowhere/server.pem"},
		"key of another certificate":   {change: tlsSet("peer-transport-security", "key-file", "DIR/server-key.pem"), want: "peer-transport-security: certificate"},
		"no authority":                 {change: tlsSet("peer-transport-security", "trusted-ca-file", "DIR/peer-key.pem"), want: "trusted-ca-file"},
		"no TLS at all":                {change: func(_ *testing.T, _ *servertest.Member, s map[string]any) { delete(s, "client-transport-security") }, want: "listen-client-urls wants TLS"},
		"no data directory":            {change: func(_ *testing.T, _ *servertest.Member, s map[string]any) { delete(s, "data-dir") }, want: "data-dir"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := servertest.New(t, 1)
			m := c.Members[0]
			text, err := os.ReadFile(m.ConfigFile)
			if err != nil {
				t.Fatal(err)
			}
			settings := map[string]any{}
			if err := yaml.Unmarshal(text, &settings); err != nil {
				t.Fatal(err)
			}
			tc.change(t, m, settings)
			candidate, err := yaml.Marshal(settings)
			if err != nil {
				t.Fatal(err)
			}
			if key := "initial-cluster-state"; settings[key] != nil { // the bootstrap file would win
				os.Remove(m.BootstrapFile)
			}
			before := files(t, c.Dir)
			out, err := check(t, m, candidate)
			if d := cmp.Diff(before, files(t, c.Dir)); d != "" {
				t.Errorf("checking has written: %s", d)
			}
			switch {
			case tc.want == "":
				if err != nil || out != "" {
					t.Errorf("%v %s", err, out)
				}
			case err == nil || !strings.Contains(out, tc.want) || strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "kvserver: etcd 3.7.3 cannot be started with this configuration: "):
				t.Errorf("%v %q, want %q in one line", err, out, tc.want)
			}

			if err := os.WriteFile(m.ConfigFile, candidate, 0o600); err != nil {
				t.Fatal(err)
			}
			m.Start()
			if tc.starts {
				m.WaitReady()
				return
			}
			if err := m.Wait(); err == nil {
				t.Error("etcd starts with it")
			}
		})
	}
}

// A candidate is tried beside the running member: its ports are taken, its files are open.
func TestCheckWhileServing(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 1)
	m := c.Members[0]
	c.Start()
	text, err := os.ReadFile(m.ConfigFile)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := check(t, m, text); err != nil || out != "" {
		t.Errorf("%v %s", err, out)
	}
	logFile := filepath.Join(c.Dir, "etcd.log")
	if out, err := check(t, m, append(text, "log-outputs: ["+logFile+"]\nlog-level: debug\n"...)); err != nil || out != "" {
		t.Errorf("%v %s", err, out)
	}
	if _, err := os.Stat(logFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the log was opened: %v", err)
	}
	if out, err := check(t, m, text, "--etcd", "/opt/etcd"); err == nil || !strings.Contains(out, "only that binary knows") {
		t.Errorf("%v %s", err, out)
	}
	if out, err := check(t, m, nil, "--config-file", filepath.Join(c.Dir, "missing")); err == nil || !strings.Contains(out, "missing: no such file") {
		t.Errorf("%v %s", err, out)
	}
	if out, err := check(t, m, nil, "--config-file", m.ConfigFile); err != nil || out != "" {
		t.Errorf("%v %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Admin().Health(ctx, "m1"); err != nil {
		t.Error(err)
	}
}
