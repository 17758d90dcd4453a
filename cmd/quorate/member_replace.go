package main

import (
	"context"

	"github.com/spf13/cobra"

	"quorate/cmd/quorate/internal/view"
	"quorate/plan/spec"
)

// MemberReplaceOptions of the verb member replace.
type MemberReplaceOptions struct {
	editOptions
	newMemberOptions
}

func newMemberReplaceCommand(p *process) *cobra.Command {
	var o MemberReplaceOptions
	cmd := &cobra.Command{
		Use:   "replace OLD NEW --address ADDRESS",
		Short: "Write a member in the place of another into the spec, and apply",
		Long: `Write the member NEW in the place of OLD into the spec, and apply: one that
answers leaves after its successor has joined, a lost one before. NEW may be the
name of OLD. The other attributes of the member stay. What its connection says of
the old host goes: host and host_keys with another address, root with another
name. A local member gets ports of its own, since it joins beside the old one.

OLD is a name, an address or an id; it counts as --remove OLD. A member that is
protected is refused.
` + editHelp,
		Example: `  quorate member replace etcd2 etcd4 --address 192.168.7.104
  quorate member replace 192.168.7.102 etcd2 --address 192.168.7.112 --dry-run`,
		Args: each("OLD", "NEW"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runMemberReplace(cmd.Context(), p, o, args[0], args[1], viewOptions(p, cmd, o.outputOptions))
		},
		ValidArgsFunction: completeMembers(p, &o.specOptions, 1),
	}
	o.editOptions.AddFlags(p, cmd)
	o.newMemberOptions.AddFlags(cmd)
	return cmd
}

func runMemberReplace(ctx context.Context, p *process, o MemberReplaceOptions, old, name string, v view.Options) error {
	if err := o.newMemberOptions.check(); err != nil {
		return err
	}
	l, c, err := oneCluster(p, o.editOptions)
	if err != nil {
		return err
	}
	found, err := findMembers(ctx, p, o.editOptions, l, c, old)
	if err != nil {
		return err
	}
	if found[0].Spec == "" {
		return badUsage("cannot replace member %q: the spec does not have it\n  quorate member add %s puts the other one there, and quorate apply expels it", old, shellQuote(name))
	}
	o.Remove = append(o.Remove, namesOf(found)...)
	return runEdit(ctx, p, o.editOptions, v, func(l *loaded, c *spec.Cluster) (*spec.Edit, error) {
		return spec.ReplaceMember(l.sources(), l.options, c.Name, found[0].Spec, o.member(name))
	})
}
