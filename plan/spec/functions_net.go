package spec

import (
	"math/big"
	"net/netip"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/gocty"
)

// cidrHostFunc is cidrhost(prefix, n): the n-th address of prefix, counted
// from its end when n is negative.
func cidrHostFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "prefix", Type: cty.String}, {Name: "hostnum", Type: cty.Number}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			p, err := prefixArg(args[0])
			if err != nil {
				return cty.NilVal, err
			}
			n := new(big.Int)
			if err := gocty.FromCtyValue(args[1], n); err != nil {
				return cty.NilVal, function.NewArgErrorf(1, "a whole number is required")
			}
			size := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits()))
			if n.Sign() < 0 {
				n.Add(n, size)
			}
			if n.Sign() < 0 || n.Cmp(size) >= 0 {
				return cty.NilVal, function.NewArgErrorf(1, "prefix %s has only %s addresses", p, size)
			}
			return cty.StringVal(addrPlus(p.Addr(), n).String()), nil
		},
	})
}

// cidrSubnetFunc is cidrsubnet(prefix, newbits, n): the n-th of the subnets
// whose prefix is newbits longer.
func cidrSubnetFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "prefix", Type: cty.String}, {Name: "newbits", Type: cty.Number}, {Name: "netnum", Type: cty.Number}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			p, err := prefixArg(args[0])
			if err != nil {
				return cty.NilVal, err
			}
			var more int
			if err := gocty.FromCtyValue(args[1], &more); err != nil || more < 0 {
				return cty.NilVal, function.NewArgErrorf(1, "a whole number, not negative, is required")
			}
			n := new(big.Int)
			if err := gocty.FromCtyValue(args[2], n); err != nil || n.Sign() < 0 {
				return cty.NilVal, function.NewArgErrorf(2, "a whole number, not negative, is required")
			}
			if more > p.Addr().BitLen()-p.Bits() {
				return cty.NilVal, function.NewArgErrorf(1, "prefix %s can be extended by at most %d bits", p, p.Addr().BitLen()-p.Bits())
			}
			bits := p.Bits() + more
			if n.BitLen() > more {
				return cty.NilVal, function.NewArgErrorf(2, "with %d new bits, prefix %s has only %s subnets", more, p, new(big.Int).Lsh(big.NewInt(1), uint(more)))
			}
			n.Lsh(n, uint(p.Addr().BitLen()-bits))
			return cty.StringVal(netip.PrefixFrom(addrPlus(p.Addr(), n), bits).String()), nil
		},
	})
}

func prefixArg(v cty.Value) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(v.AsString())
	if err != nil {
		return p, function.NewArgErrorf(0, "%q is no prefix in CIDR notation, for example \"192.168.7.0/24\"", v.AsString())
	}
	return p.Masked(), nil
}

// addrPlus is a + n; the caller has checked that it fits.
func addrPlus(a netip.Addr, n *big.Int) netip.Addr {
	sum := new(big.Int).SetBytes(a.AsSlice())
	sum.Add(sum, n)
	out := make([]byte, a.BitLen()/8)
	sum.FillBytes(out)
	r, _ := netip.AddrFromSlice(out)
	return r
}
