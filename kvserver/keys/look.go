package keys

import (
	"encoding/json"
	"fmt"
	"io"

	"quorate/kvserver"
	"quorate/pki/keypair"
)

// Look says what there is at each path, and beside it: see [kvserver.KeyLook].
// It changes nothing, and what it cannot read is a problem in the answer.
func Look(paths []string) []kvserver.KeyLook {
	out := make([]kvserver.KeyLook, 0, len(paths))
	for _, path := range paths {
		l := kvserver.KeyLook{Path: path}
		var err, newErr error
		l.Exists, l.PublicKey, l.Algorithm, err = look(path)
		l.New, l.NewPublicKey, _, newErr = look(path + kvserver.NewSuffix)
		switch {
		case err != nil:
			l.Problem = err.Error()
		case newErr != nil:
			l.Problem = path + kvserver.NewSuffix + ": " + newErr.Error()
		}
		out = append(out, l)
	}
	return out
}

func look(path string) (exists bool, fingerprint, algorithm string, err error) {
	key, err := existing(path)
	if key == nil {
		return err != nil, "", "", err
	}
	if fingerprint, err = keypair.Fingerprint(key.Public()); err == nil {
		algorithm = keypair.Algorithm(key.Public())
	}
	return true, fingerprint, algorithm, err
}

// RunLook writes what [Look] says of paths as JSON; without paths it reads a
// JSON list of them.
func RunLook(paths []string, in io.Reader, out io.Writer) error {
	if len(paths) == 0 {
		if err := json.NewDecoder(in).Decode(&paths); err != nil {
			return fmt.Errorf("cannot read the paths of the keys: %w", err)
		}
	}
	return json.NewEncoder(out).Encode(Look(paths))
}
