// Command quorate is the operator's side: it reads a spec, looks at the hosts,
// makes a plan, shows it and applies it. Each verb has a file here with its
// texts, its options and one call; what commands have to say is drawn by
// package view. Only this package reads arguments, the environment and the clock.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == etcdctlArgument {
		runEtcdctl(os.Args[2:]) // does not return, and keeps its own ways with signals
	}
	if os.Getenv("GOGC") == "" {
		// A run lives for seconds and holds little at a time: a plan of hundreds of hosts takes a
		// tenth less with a fifth more memory.
		debug.SetGCPercent(200)
	}
	os.Exit(run(context.Background(), realProcess()))
}

// run is the whole program: from arguments to exit code.
func run(ctx context.Context, p *process) int {
	// etcdctl's package lets any prefix of a verb pass for it; here "de" must not mean destroy.
	cobra.EnablePrefixMatching = false
	p.out, p.err = filtered(&p.filter, p.out, p.outTerminal), filtered(&p.filter, p.err, p.errTerminal)
	root := newRootCommand(p)
	root.SetArgs(p.args[1:])
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	ctx, stop := p.interruptible(ctx)
	defer stop()
	cmd, err := oneDash(root, p.args[1:])
	if err == nil {
		cmd, err = root.ExecuteContextC(ctx)
	}
	if err == nil {
		return exitDone
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(p.err, "Error: "+text)
	}
	var usage *usageError
	if errors.As(err, &usage) && usage.hint {
		fmt.Fprintf(p.err, "See: %s --help\n", cmd.CommandPath())
	}
	return exitCode(err)
}
