package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"quorate/plan/spec"
)

func newMemberCommand(p *process) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "member",
		Short: "List members, and let them come, go and lead",
		Long: `List the members of a cluster, or change who they are: add, remove and replace
edit the spec, keeping comments and layout, show what changes in it and the plan
for it, ask, write the file, and apply. What cannot be edited safely (a member out
of a dynamic block, an address out of a variable) is refused with the line to
change by hand.`,
		Example: `  quorate member list
  quorate member add etcd4 --address 192.168.7.104
  quorate member remove etcd2
  quorate member replace etcd2 etcd4 --address 192.168.7.104
  quorate member move-leader etcd1`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return badFlags(fmt.Errorf("unknown verb %q after %s%s", args[0], cmd.CommandPath(), suggestion(cmd, args[0])))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newMemberListCommand(p),
		newMemberAddCommand(p),
		newMemberRemoveCommand(p),
		newMemberReplaceCommand(p),
		newMemberMoveLeaderCommand(p),
	)
	return cmd
}

// completeMembers has the shell complete up to most words to the spec's members.
func completeMembers(p *process, o *specOptions, most int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		l, err := readSpec(p, *o)
		if err != nil || l.spec == nil || most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := l.one(o.Cluster)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return memberNames(c), cobra.ShellCompDirectiveNoFileComp
	}
}

func memberNames(c *spec.Cluster) []string {
	var out []string
	for _, m := range c.Members {
		out = append(out, m.Name)
	}
	return out
}
