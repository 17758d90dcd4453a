package spec

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"
)

var durationPart = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)`)

// duration reads Go's notation with days added: "365d", "1d12h", "1.5h". Never negative.
func duration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	units := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	total := new(big.Rat)
	rest := s
	for rest != "" || s == "" {
		m := durationPart.FindStringSubmatch(rest)
		switch {
		case m == nil && strings.HasPrefix(s, "-"):
			return 0, errors.New("a duration is not negative")
		case m == nil:
			return 0, errors.New(`a duration is numbers with the units ms, s, m, h and d, such as "90s", "8760h" or "365d"`)
		}
		n, ok := new(big.Rat).SetString(m[1])
		if !ok {
			return 0, fmt.Errorf("%q is no number", m[1])
		}
		total.Add(total, n.Mul(n, new(big.Rat).SetInt64(int64(units[m[2]]))))
		rest = rest[len(m[0]):]
	}
	if total.Cmp(new(big.Rat).SetInt64(math.MaxInt64)) > 0 {
		return 0, errors.New("it is longer than 292 years")
	}
	ns := new(big.Int).Quo(total.Num(), total.Denom())
	return time.Duration(ns.Int64()), nil
}

var sizeText = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)$`)

// size reads a number of bytes, or a string with a unit: "8GiB", "1.5 MiB", "500MB".
func size(v cty.Value) (int64, error) {
	n := new(big.Rat)
	switch v.Type() {
	case cty.Number:
		if i, ok := whole(v.AsBigFloat()); ok {
			n.SetInt64(i)
		} else {
			return 0, errors.New("wants a whole number of bytes below 8 EiB")
		}
	case cty.String:
		m := sizeText.FindStringSubmatch(v.AsString())
		if m == nil {
			return 0, fmt.Errorf("cannot be %q: a size is a number of bytes, or a number with one of the units KiB, MiB, GiB, kB, MB and GB", v.AsString())
		}
		units := map[string]int64{"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12}
		unit, ok := units[strings.ToLower(m[2])]
		if !ok {
			return 0, fmt.Errorf("cannot be %q: the unit %q is none of KiB, MiB, GiB, kB, MB and GB", v.AsString(), m[2])
		}
		if _, ok := n.SetString(m[1]); !ok {
			return 0, fmt.Errorf("cannot be %q: %q is no number", v.AsString(), m[1])
		}
		n.Mul(n, new(big.Rat).SetInt64(unit))
	default:
		return 0, fmt.Errorf("wants a number of bytes or a string with a unit, not %s", withArticle(v.Type().FriendlyName()))
	}
	switch {
	case n.Sign() < 0:
		return 0, errors.New("cannot be negative")
	case !n.IsInt():
		return 0, errors.New("is no whole number of bytes")
	case !n.Num().IsInt64():
		return 0, errors.New("is larger than 8 EiB")
	}
	return n.Num().Int64(), nil
}

// days writes a duration as the spec would: whole days as such.
func days(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}

// brief is d.String without trailing zero units: "1h", not "1h0m0s".
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
