package sshconfig

import "strings"

// kind is what a keyword takes.
type kind int

const (
	skip    kind = iota // anything: without effect on how a host is reached here
	word                // one argument
	choice              // one of those listed
	port                // a number
	list                // several arguments, or "none" alone
	collect             // one argument, and each line adds one
	rest                // the rest of the line
	jump                // a chain of bastions
	block               // Host, Match, Include
)

// keyword is an entry of the table of those that mean something here.
type keyword struct {
	kind    kind
	choices string
}

func known() map[string]keyword {
	const yesNo = "yes no true false"
	return map[string]keyword{
		"host": {kind: block}, "match": {kind: block}, "include": {kind: block},

		"hostname": {kind: word}, "user": {kind: word}, "port": {kind: port}, "hostkeyalias": {kind: word},
		"proxycommand": {kind: rest}, "proxyjump": {kind: jump},

		"identityfile": {kind: collect}, "certificatefile": {kind: collect},
		"identitiesonly": {kind: choice, choices: yesNo}, "identityagent": {kind: word},

		"userknownhostsfile": {kind: list}, "globalknownhostsfile": {kind: list}, "revokedhostkeys": {kind: list},
		"stricthostkeychecking": {kind: choice, choices: yesNo + " ask off accept-new"},
		"knownhostscommand":     {kind: rest},

		"hostkeyalgorithms": {kind: word}, "ciphers": {kind: word}, "kexalgorithms": {kind: word}, "macs": {kind: word},

		"addressfamily": {kind: choice, choices: "any inet inet6"}, "bindaddress": {kind: word},
		"pkcs11provider": {kind: word}, "securitykeyprovider": {kind: word},

		"tag": {kind: word}, "sessiontype": {kind: choice, choices: "none subsystem default"},
		"ignoreunknown": {kind: word}, "refuseconnection": {kind: word},
		"canonicalizehostname": {kind: choice, choices: yesNo + " always"}, "canonicalizepermittedcnames": {kind: list},
		"canonicaldomains": {kind: list}, "canonicalizemaxdots": {kind: word},
	}
}

// aliases are older names of keywords.
func aliases() map[string]string {
	return map[string]string{"identityfile2": "identityfile", "smartcarddevice": "pkcs11provider"}
}

// skipped are the other keywords that OpenSSH knows, or knew, or that Apple,
// Debian and Red Hat add to it.
const skipped = ` addkeystoagent afstokenpassing batchmode bindinterface canonicalizefallbacklocal
casignaturealgorithms challengeresponseauthentication channeltimeout checkhostip cipher
clearallforwardings compression compressionlevel connectionattempts connecttimeout controlmaster controlpath
controlpersist dsaauthentication dynamicforward enableescapecommandline enablesshkeysign escapechar
exitonforwardfailure fallbacktorsh fingerprinthash forkafterauthentication forwardagent forwardx11 forwardx11timeout
forwardx11trusted gatewayports globalknownhostsfile2 gssapiauthentication gssapiclientidentity
gssapidelegatecredentials gssapikexalgorithms gssapikeyexchange gssapirenewalforcesrekey gssapiserveridentity
gssapitrustdns hashknownhosts hostbasedacceptedalgorithms hostbasedauthentication hostbasedkeytypes ipqos
kbdinteractiveauthentication kbdinteractivedevices keepalive kerberosauthentication kerberostgtpassing localcommand
localforward loglevel logverbose nohostauthenticationforlocalhost numberofpasswordprompts obscurekeystroketiming
passwordauthentication permitlocalcommand permitremoteopen preferredauthentications protocol protocolkeepalives
proxyusefdpass pubkeyacceptedalgorithms pubkeyacceptedkeytypes pubkeyauthentication rekeylimit remotecommand
remoteforward requesttty requiredrsasize rhostsauthentication rhostsrsaauthentication rsaauthentication rsaminsize
sendenv serveralivecountmax serveraliveinterval setenv setuptimeout skeyauthentication stdinnull streamlocalbindmask
streamlocalbindunlink syslogfacility tcpkeepalive tisauthentication tunnel tunneldevice updatehostkeys usekeychain
useprivilegedport userknownhostsfile2 useroaming usersh verifyhostkeydns versionaddendum visualhostkey warnweakcrypto
xauthlocation `

// lookup finds a keyword by any of its names.
func lookup(name string) (canonical string, k keyword, ok bool) {
	canonical = strings.ToLower(name)
	if other, ok := aliases()[canonical]; ok {
		canonical = other
	}
	if k, ok := known()[canonical]; ok {
		return canonical, k, true
	}
	for s := range strings.FieldsSeq(skipped) {
		if s == canonical {
			return canonical, keyword{}, true
		}
	}
	return canonical, keyword{}, false
}
