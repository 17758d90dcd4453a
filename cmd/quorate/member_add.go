package main

import (
	"errors"

	"github.com/spf13/cobra"

	"quorate/plan/spec"
)

// MemberAddOptions of the verb member add.
type MemberAddOptions struct {
	editOptions
	newMemberOptions
}

func newMemberAddCommand(p *process) *cobra.Command {
	var o MemberAddOptions
	cmd := &cobra.Command{
		Use:   "add NAME --address ADDRESS",
		Short: "Write a member into the spec, and apply",
		Long: `Write a member into the spec, after the last one of its cluster and like the
others, and apply. Without ports it gets what all other members have; among local
members the next that are free.
` + editHelp,
		Example: `  quorate member add etcd4 --address 192.168.7.104
  quorate member add etcd4 --address etcd4.example.com --cluster lab -y
  quorate member add etcd4 --address 192.168.7.104 --dry-run`,
		Args: each("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.newMemberOptions.check(); err != nil {
				return err
			}
			return runEdit(cmd.Context(), p, o.editOptions, viewOptions(p, cmd, o.outputOptions), func(l *loaded, c *spec.Cluster) (*spec.Edit, error) {
				return spec.AddMember(l.sources(), l.options, c.Name, o.member(args[0]))
			})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o.editOptions.AddFlags(p, cmd)
	o.newMemberOptions.AddFlags(cmd)
	return cmd
}

// newMemberOptions describe a member that comes.
type newMemberOptions struct {
	Address              string
	ClientPort, PeerPort int
}

func (o *newMemberOptions) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.Address, "address", "", "its IP address or host name")
	f.IntVar(&o.ClientPort, "client-port", 0, "its port for clients")
	f.IntVar(&o.PeerPort, "peer-port", 0, "its port for the other members")
}

func (o *newMemberOptions) check() error {
	if o.Address == "" {
		return badFlags(errors.New("say where the new member is: --address ADDRESS"))
	}
	return nil
}

func (o *newMemberOptions) member(name string) spec.NewMember {
	return spec.NewMember{Name: name, Address: o.Address, ClientPort: o.ClientPort, PeerPort: o.PeerPort}
}
