package spec

import (
	"fmt"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// tls fills c.TLS.
func (l *loader) tls(n *node, c *Cluster) {
	c.TLS = TLS{
		Dir:          l.localPath(n.value("dir")),
		KeyAlgorithm: n.text("key_algorithm"),
		CALifetime:   n.value("ca_lifetime").span,
		LeafLifetime: n.value("leaf_lifetime").span,
		RenewBefore:  n.value("renew_before").span,
		ExtraSANs:    n.texts("extra_sans"),
		CACert:       l.localPath(n.value("ca_cert")),
		CAKey:        l.localPath(n.value("ca_key")),
	}
	l.checkSANs(n)
	l.checkLifetimes(n, &c.TLS)
	_, cert := n.given("ca_cert")
	_, key := n.given("ca_key")
	switch {
	case cert && !key && !n.bad("ca_key"):
		l.fail(n.where("ca_cert"), "Half a CA", "ca_cert is given without ca_key, so nothing can be signed.", "Add ca_key, or leave both out: a CA is then made.")
	case key && !cert && !n.bad("ca_cert"):
		l.fail(n.where("ca_key"), "Half a CA", "ca_key is given without ca_cert, so nobody knows whom to trust.", "Add ca_cert, or leave both out: a CA is then made.")
	}
	if n.has("encryption") {
		c.TLS.Encryption = l.encryption(n.one("encryption"), "CA key", true)
	}
}

func (l *loader) checkLifetimes(n *node, t *TLS) {
	for _, name := range []string{"ca_lifetime", "leaf_lifetime", "renew_before"} {
		if v, ok := n.given(name); ok && v.span <= 0 {
			l.fail(v.at, "Bad lifetime", fmt.Sprintf("%s cannot be zero.", name), fmt.Sprintf("For example: %s = %s", name, n.block.attr(name).sample()))
			return
		}
	}
	if n.bad("ca_lifetime") || n.bad("leaf_lifetime") || n.bad("renew_before") {
		return
	}
	_, ownCA := n.given("ca_cert")
	if t.LeafLifetime > t.CALifetime && !ownCA {
		l.fail(n.written("leaf_lifetime", "ca_lifetime"), "Bad lifetime",
			fmt.Sprintf("leaf_lifetime (%s) is longer than ca_lifetime (%s); a certificate ends with its CA.", days(t.LeafLifetime), days(t.CALifetime)), "Shorten leaf_lifetime or lengthen ca_lifetime.")
	}
	if t.RenewBefore >= t.LeafLifetime {
		l.fail(n.written("renew_before", "leaf_lifetime"), "Bad lifetime",
			fmt.Sprintf("renew_before (%s) is not shorter than leaf_lifetime (%s); every apply would renew every certificate.", days(t.RenewBefore), days(t.LeafLifetime)), "Shorten renew_before or lengthen leaf_lifetime.")
	}
}

// encryption is how a thing is encrypted. opens: whoever writes it must be able to read it, so the identity has to be named.
func (l *loader) encryption(n *node, thing string, opens bool) *Encryption {
	e := &Encryption{Passphrase: n.secret("passphrase"), Recipients: n.texts("recipients"), IdentityFile: l.home(n.text("identity_file"))}
	given := func(name string) bool { return n.values[name].given } // also when it is wrong
	choice := "Give passphrase, or recipients."
	if opens {
		choice = "Give passphrase, or recipients and identity_file."
	}
	switch {
	case given("passphrase") && given("recipients"):
		l.fail(n.where("recipients"), "Two kinds of encryption", fmt.Sprintf("A %s is encrypted by a passphrase or for recipients, and here are both.", thing), choice)
	case !given("passphrase") && !given("recipients"):
		l.fail(n.at, "No kind of encryption", "The encryption block says neither by which passphrase nor for which recipients.", choice)
	case opens && given("recipients") && !given("identity_file"):
		l.fail(n.where("recipients"), "Missing attribute", fmt.Sprintf("Without identity_file the %s could be written and never read again.", thing), "Add identity_file: the private key of one of the recipients.")
	case given("passphrase") && given("identity_file"):
		l.fail(n.where("identity_file"), "Attribute without use", "identity_file belongs to recipients; what a passphrase encrypts needs none.", "Remove it.")
	}
	if v, ok := n.given("recipients"); ok {
		if len(v.texts) == 0 {
			l.fail(v.at, "No recipients", fmt.Sprintf("The list of recipients is empty, so nobody could open the %s.", thing), "Add a public key, or leave the encryption block out.")
		}
		for i, r := range v.texts {
			switch {
			case strings.HasPrefix(r, "age1"), strings.HasPrefix(r, "ssh-ed25519 "), strings.HasPrefix(r, "ssh-rsa "):
				if l.o.Recipient == nil {
					continue
				}
				if err := l.o.Recipient(r); err != nil {
					l.fail(v.element(i), "Bad recipient", fmt.Sprintf("No %s could be encrypted for it: %v.", thing, err), "Take the public key that age-keygen prints, or an SSH public key (ed25519, or RSA of 2048 bits and more).")
				}
			case strings.HasPrefix(strings.ToUpper(r), "AGE-SECRET-KEY-"), strings.Contains(r, "PRIVATE KEY"):
				l.keepSecret(cty.StringVal(r))
				l.fail(v.element(i), "Private key among recipients", "A recipient is a public key, and this is a private one. Consider it leaked.", "Write the public key (age1…, or age-keygen -y FILE); name the file with the private one in identity_file.")
			default:
				l.fail(v.element(i), "Bad recipient", fmt.Sprintf("%q is no recipient: those start with \"age1\", \"ssh-ed25519 \" or \"ssh-rsa \".", r), "Take the public key that age-keygen prints, or an SSH public key.")
			}
		}
	}
	if v, ok := n.given("identity_file"); ok && l.o.Identity != nil {
		if err := l.o.Identity(l.path(e.IdentityFile)); err != nil {
			l.fail(v.at, "Bad identity file", fmt.Sprintf("The %s could not be opened with it: %v.", thing, err), "Name the file that age-keygen wrote, or an SSH private key of one of the recipients.")
		}
	}
	return e
}
