package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

const rootLong = `Quorate turns one HCL file into a healthy, TLS-secured etcd cluster on plain
machines, and keeps it that way.

A plan is computed before anything is touched. It shows for every step how many
voters are up and how many more failures are tolerated, refuses by name what
would be unsafe, is applied exactly as shown, and can be interrupted anywhere
and run again.

Two commands to begin with:

  quorate init --host 192.168.7.101 --host 192.168.7.102 --host 192.168.7.103
  quorate apply

`

// newRootCommand joins the verbs.
func newRootCommand(p *process) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:           "quorate",
		Short:         "Provision and keep etcd clusters",
		Long:          rootLong + exitCodesHelp(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return badFlags(fmt.Errorf("unknown verb %q%s", args[0], suggestion(cmd, args[0])))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				return runVersion(p, VersionOptions{})
			}
			return cmd.Help()
		},
	}
	root.Flags().BoolVarP(&version, "version", "v", false, "print the version, as the verb version does")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return badFlags(err) })
	root.PersistentFlags().Bool("no-color", false, "no colours, as with NO_COLOR in the environment")
	root.AddCommand(
		newInitCommand(p),
		newValidateCommand(p),
		newFmtCommand(p),
		newPlanCommand(p),
		newApplyCommand(p),
		newStatusCommand(p),
		newAuditCommand(p),
		newMemberCommand(p),
		newBackupCommand(p),
		newRestoreCommand(p),
		newRecoverCommand(p),
		newDefragCommand(p),
		newCompactCommand(p),
		newAlarmCommand(p),
		newCtlCommand(p),
		newEnvCommand(p),
		newDestroyCommand(p),
		newVersionCommand(p),
	)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
}

// suggestion names the verbs that look like what was typed.
func suggestion(cmd *cobra.Command, typed string) string {
	cmd.SuggestionsMinimumDistance = 2
	near := cmd.SuggestionsFor(typed)
	if len(near) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(near, " or ") + "?"
}

// atMost takes no more than n words after a verb.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= n {
			return nil
		}
		return badFlags(fmt.Errorf("%s does not know what to do with %q%s", cmd.CommandPath(), args[n], placeOf(cmd, args[n])))
	}
}

// each takes exactly these words after a verb.
func each(words ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(words) {
			return badFlags(fmt.Errorf("%s wants %s", cmd.CommandPath(), strings.Join(words, " ")))
		}
		return atMost(len(words))(cmd, args)
	}
}

// placeOf says where a word belongs that stands where the verb takes none; "" if nobody knows.
func placeOf(cmd *cobra.Command, word string) string {
	switch {
	case cmd.Flags().Lookup("file") == nil:
		return ""
	case looksLikeSpec(word):
		return "; name a spec with -f " + shellQuote(word)
	case cmd.Flags().Lookup("cluster") != nil:
		return "; name a cluster with --cluster " + shellQuote(word)
	}
	return ""
}

// looksLikeSpec reports whether a word names an HCL file, or a folder that is there.
func looksLikeSpec(word string) bool {
	st, err := os.Stat(word)
	return strings.HasSuffix(word, ".hcl") || err == nil && st.IsDir()
}

// oneDash finds a long flag of the verb's that is written with one dash, as
// Terraform's are: -out=FILE would silently be -o with the value ut=FILE. What
// follows --, or the first word of ctl's, is not ours.
func oneDash(root *cobra.Command, args []string) (*cobra.Command, error) {
	cmd, rest, err := root.Find(args)
	if err != nil {
		return root, nil // Execute says what is wrong
	}
	mine := len(rest) - len(foreign(cmd, rest))
	for _, a := range rest[:mine] {
		name, _, _ := strings.Cut(strings.TrimPrefix(a, "-"), "=")
		if !strings.HasPrefix(a, "-") || len(name) < 2 {
			continue
		}
		if cmd.Flags().Lookup(name) != nil || cmd.InheritedFlags().Lookup(name) != nil {
			return cmd, badFlags(fmt.Errorf("-%s is written with two dashes: --%s", name, name))
		}
	}
	return cmd, nil
}

// foreign are the arguments that the verb does not read as its own flags.
func foreign(cmd *cobra.Command, args []string) []string {
	for i, a := range args {
		value := i > 0 && strings.HasPrefix(args[i-1], "-") && !strings.Contains(args[i-1], "=")
		if a == "--" || cmd.Name() == "ctl" && !strings.HasPrefix(a, "-") && !value {
			return args[i:]
		}
	}
	return nil
}
