// Package templates turns parameters into the bytes of the files that lie on a
// host: etcd's configuration file, the bootstrap file beside it, the systemd
// unit, the service file of a supervised process. Parameters in, bytes out:
// it reads no file, clock, environment or network, and the same parameters
// always give the same bytes.
//
// Settings are kept in two files on purpose. What a member runs with is in the
// configuration file; what only counts while its data directory is empty
// (who else is there at the start) is in the bootstrap file. So adding a member
// changes no byte of another member's configuration and restarts nobody.
package templates

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"

	"go.yaml.in/yaml/v2"
)

// marshal renders settings as YAML with sorted keys below a comment.
func marshal(comment []string, settings map[string]any) ([]byte, error) {
	body, err := yaml.Marshal(settings)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, line := range comment {
		fmt.Fprintf(&b, "# %s\n", line)
	}
	b.Write(body)
	return b.Bytes(), nil
}

// plain gives the value in the form that etcd's decoder takes: a whole number
// as a number without an exponent, lists element by element.
func plain(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, int, int64, uint64, []string:
		return v, nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<63 {
			return int64(v), nil
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%v is not a number that a configuration file can hold", v)
		}
		return v, nil
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			p, err := plain(e)
			if err != nil {
				return nil, err
			}
			list[i] = p
		}
		return list, nil
	}
	return nil, fmt.Errorf("a value of type %T does not go into a configuration file: use a bool, a number, a string or a list of these", v)
}

// oneLine refuses text that would end its line in a file of lines.
func oneLine(what, s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%s %q contains a control character", what, s)
	}
	return nil
}

// hostPath is a path on a host, and what it is of.
type hostPath struct {
	what, path string
	optional   bool
}

// absolutes demands that each path is as absolute says, or empty where it may be.
func absolutes(paths []hostPath) error {
	var errs []error
	for _, p := range paths {
		if p.path != "" || !p.optional {
			errs = append(errs, absolute(p.what, p.path))
		}
	}
	return errors.Join(errs...)
}

// absolute demands a clean absolute path without anything that a unit file
// could take for syntax.
func absolute(what, p string) error {
	if err := oneLine(what, p); err != nil {
		return err
	}
	if !strings.HasPrefix(p, "/") {
		return fmt.Errorf("%s %q is not an absolute path", what, p)
	}
	for _, part := range strings.Split(p[1:], "/") {
		if part == ".." || part == "." {
			return fmt.Errorf("%s %q is not a clean path", what, p)
		}
	}
	return nil
}
