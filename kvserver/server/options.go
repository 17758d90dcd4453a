package server

import (
	"reflect"
	"slices"
	"strings"

	"go.etcd.io/etcd/server/v3/embed"
	"sigs.k8s.io/yaml"
)

// translated are the options of the configuration file that embed turns into
// something else (embed's unexported configJSON), with the security blocks.
var translated = []string{
	"listen-peer-urls", "listen-client-urls", "listen-client-http-urls", "initial-advertise-peer-urls", "advertise-client-urls",
	"cors", "host-whitelist", "client-transport-security", "peer-transport-security", "feature-gates",
}

// security are the options of a block of the file that ends in -transport-security
// (embed's unexported securityConfig).
var security = []string{
	"cert-file", "key-file", "client-cert-file", "client-key-file", "client-cert-auth", "trusted-ca-file", "auto-tls",
	"allowed-cn", "allowed-hostname", "skip-client-san-verification",
}

// unknownOptions lists the options that this etcd does not know, those of the
// security blocks as BLOCK.OPTION. etcd itself passes over them without a
// word, which hides misspellings.
func unknownOptions(settings []byte) []string {
	var given map[string]any
	if yaml.Unmarshal(settings, &given) != nil {
		return nil // embed says what is wrong with it
	}
	known := slices.Clone(translated)
	t := reflect.TypeFor[embed.Config]()
	for i := range t.NumField() {
		tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		known = append(known, tag)
	}
	var unknown []string
	for key, v := range given {
		if !slices.Contains(known, key) {
			unknown = append(unknown, key)
		}
		if block, ok := v.(map[string]any); ok && strings.HasSuffix(key, "-transport-security") {
			for option := range block {
				if !slices.Contains(security, option) {
					unknown = append(unknown, key+"."+option)
				}
			}
		}
	}
	slices.Sort(unknown)
	return unknown
}
