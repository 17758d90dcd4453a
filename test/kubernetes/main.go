// Command kubernetes is what a Kubernetes API server and one who watches through it have of etcd: Kubernetes' own storage code, its watch
// cache and a client-go reflector, with no server around them. It is a module of its own, since it wants other versions than ours.
//
// It reads commands, one a line, and answers each with a line of JSON. Nothing is repeated by it: whatever comes back after its
// cluster was restored has come back by Kubernetes' own code.
//
//	put NAME VALUE      makes an object, or changes it, and gives its resource version
//	swap NAME VERSION VALUE
//	                    changes it if it still has that resource version, as who has read it before would
//	delete NAME
//	look                what etcd, the watch cache and the reflector have
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/klog/v2"
)

// bound is how long an answer may take. Who asks asks again.
const bound = 10 * time.Second

func main() {
	endpoints := flag.String("endpoints", "", "URLs of the members, with commas between them")
	cert := flag.String("cert", "", "certificate")
	key := flag.String("key", "", "its key")
	ca := flag.String("ca", "", "certificate of the CA")
	flag.Parse()
	klog.LogToStderr(true)
	s, err := open(strings.Split(*endpoints, ","), *cert, *key, *ca)
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error: "+err.Error())
		os.Exit(1)
	}
	out := json.NewEncoder(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := out.Encode(s.answer(strings.Fields(in.Text()))); err != nil {
			os.Exit(1)
		}
	}
}

// Answer is one line.
type Answer struct {
	Error   string `json:"error,omitempty"`
	Version uint64 `json:"version,omitempty"` // resource version of what was written
	Look    *Look  `json:"look,omitempty"`
}

func (s *server) answer(words []string) (a Answer) {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	var err error
	switch verb := strings.Join(words[:min(1, len(words))], ""); {
	case verb == "put" && len(words) == 3:
		a.Version, err = s.put(ctx, words[1], "", words[2])
	case verb == "swap" && len(words) == 4:
		a.Version, err = s.put(ctx, words[1], words[2], words[3])
	case verb == "delete" && len(words) == 2:
		err = s.delete(ctx, words[1])
	case verb == "look" && len(words) == 1:
		a.Look, err = s.look(ctx)
	default:
		err = fmt.Errorf("what is %q?", words)
	}
	if err != nil {
		return Answer{Error: err.Error()}
	}
	return a
}
