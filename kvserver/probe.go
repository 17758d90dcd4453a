package kvserver

// PeerProbe asks a host whether it and its peers reach each other on the peer
// ports, before any member runs: `kvserver probe` reads one as JSON on its
// standard input. It is run on all of the hosts at the same time.
type PeerProbe struct {
	Name string `json:"name"` // of the member here
	// Listen is where the member will listen: an IP address of the host's, or an unspecified one, and the port.
	Listen string      `json:"listen"`
	Peers  []ProbePeer `json:"peers"`
	// TimeoutMS bounds the whole probe, milliseconds.
	TimeoutMS int64 `json:"timeout_ms"`
}

// ProbePeer is another member, where this one will dial it.
type ProbePeer struct {
	Name    string `json:"name"`
	Address string `json:"address"` // host:port
}

// PeerProbeAnswer is what `kvserver probe` writes, as JSON.
type PeerProbeAnswer struct {
	// ListenError says why nobody can listen there; nothing else was tried then.
	ListenError string `json:"listen_error,omitempty"`
	// Unreached are the peers that could not be reached, by name, and why.
	Unreached map[string]string `json:"unreached,omitempty"`
}

// Handshakes asks a host to shake hands with its peers anew, with the certificate that its own member
// shows them: `kvserver handshakes` reads one as JSON on its standard input.
type Handshakes struct {
	CA   string `json:"ca"` // paths on the host
	Cert string `json:"cert"`
	Key  string `json:"key"`
	// CommonName that both ends have to show.
	CommonName string      `json:"common_name"`
	Peers      []ProbePeer `json:"peers"`
	// TimeoutMS bounds all of it, milliseconds.
	TimeoutMS int64 `json:"timeout_ms"`
}

// HandshakesAnswer is what `kvserver handshakes` writes, as JSON.
type HandshakesAnswer struct {
	// Failed are the peers with which it did not work, by name, and why.
	Failed map[string]string `json:"failed,omitempty"`
}
