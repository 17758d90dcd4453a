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
		var problem, newProblem string
		l.Exists, l.PublicKey, l.Algorithm, problem = look(path)
		l.New, l.NewPublicKey, _, newProblem = look(path + kvserver.NewSuffix)
		switch {
		case problem != "":
			l.Problem = problem
		case newProblem != "":
			l.Problem = path + kvserver.NewSuffix + ": " + newProblem
		}
		out = append(out, l)
	}
	return out
}

func look(path string) (exists bool, fingerprint, algorithm, problem string) {
	key, err := existing(path)
	if err != nil {
		return true, "", "", err.Error()
	}
	if key == nil {
		return false, "", "", ""
	}
	fingerprint, err = keypair.Fingerprint(key.Public())
	if err != nil {
		return true, "", "", err.Error()
	}
	return true, fingerprint, keypair.Algorithm(key.Public()), ""
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
