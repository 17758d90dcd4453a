package main

import (
	"fmt"

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
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return badFlags(err) })
	root.PersistentFlags().Bool("no-color", false, "no colours, as with NO_COLOR in the environment")
	root.AddCommand(
		newInitCommand(p),
		newValidateCommand(p),
		newFmtCommand(p),
		newPlanCommand(p),
		newApplyCommand(p),
		newStatusCommand(p),
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
	text := "; did you mean "
	for i, s := range near {
		if i > 0 {
			text += " or "
		}
		text += s
	}
	return text + "?"
}

// noArgs and atMostOne check the words after a verb.
func noArgs(cmd *cobra.Command, args []string) error { return atMost(0, cmd, args) }

func atMostOne(cmd *cobra.Command, args []string) error { return atMost(1, cmd, args) }

func atMost(n int, cmd *cobra.Command, args []string) error {
	if len(args) <= n {
		return nil
	}
	return badFlags(fmt.Errorf("%s does not know what to do with %q", cmd.CommandPath(), args[n]))
}
