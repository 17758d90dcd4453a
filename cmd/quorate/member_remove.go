package main

import (
	"context"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/plan/spec"
)

// MemberRemoveOptions of the verb member remove.
type MemberRemoveOptions struct{ editOptions }

func newMemberRemoveCommand(p *process) *cobra.Command {
	var o MemberRemoveOptions
	cmd := &cobra.Command{
		Use:   "remove NAME | ADDRESS | ID…",
		Short: "Take members out of the spec, and apply",
		Long: `Take members out of the spec, with the comments that belong to them, and apply:
they are expelled one after another, leadership is moved away first, and their data
is moved aside. Of a member that the cluster lists and the spec does not have there
is nothing to take out; it is expelled all the same.

A member is named by its name, its address, or its id as member list prints it.
That counts as --remove NAME. One that is protected is refused.
` + editHelp,
		Example: `  quorate member remove etcd2
  quorate member remove 192.168.7.102 -y
  quorate member remove 8e9e05c52164694d --dry-run`,
		Args: func(cmd *cobra.Command, args []string) error { return each("NAME")(cmd, args[:min(len(args), 1)]) },
		RunE: func(cmd *cobra.Command, args []string) error {
			return runMemberRemove(cmd.Context(), p, o, args, viewOptions(p, cmd, o.outputOptions))
		},
		ValidArgsFunction: completeMembers(p, &o.specOptions, 0),
	}
	o.editOptions.AddFlags(p, cmd)
	return cmd
}

func runMemberRemove(ctx context.Context, p *process, o MemberRemoveOptions, words []string, v view.Options) error {
	l, c, err := oneCluster(p, o.editOptions)
	if err != nil {
		return err
	}
	found, err := findMembers(ctx, p, o.editOptions, l, c, words...)
	if err != nil {
		return err
	}
	o.Remove = append(o.Remove, namesOf(found)...)
	var names []string
	for _, m := range found {
		if m.Spec != "" {
			names = append(names, m.Spec)
		}
	}
	return runEdit(ctx, p, o.editOptions, v, func(l *loaded, c *spec.Cluster) (*spec.Edit, error) {
		if len(names) == 0 {
			return nil, nil // the spec lacks them already
		}
		return spec.RemoveMembers(l.sources(), l.options, c.Name, names...)
	})
}
