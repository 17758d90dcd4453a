// Command lab boots Debian hosts for a person to try things on: see package lab.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"quorate/test/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := newCommand().ExecuteContext(ctx)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode()) // of the program that ran in the lab, which has spoken for itself
	case err != nil:
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "lab",
		Short:         "Debian hosts with systemd and OpenSSH on this machine",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	var cache string
	cmd.PersistentFlags().StringVar(&cache, "cache", lab.DefaultCache(), "folder for the hosts' roots and disks")
	cmd.AddCommand(newUp(&cache), newDown(&cache), newStatus(&cache), newSSH(&cache), newRun(&cache), newPrepare(&cache), newPossible())
	return cmd
}

func newUp(cache *string) *cobra.Command {
	o := lab.Options{Detached: true, Log: os.Stderr}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Boot a lab; it stays until lab down",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Cache = *cache
			if err := lab.Prepare(cmd.Context(), o); err != nil {
				return err
			}
			l, err := lab.Up(cmd.Context(), o)
			if err != nil {
				return err
			}
			op, err := l.Operator("you")
			if err != nil {
				return errors.Join(err, l.Close())
			}
			printLab(cmd, l)
			fmt.Fprintf(cmd.OutOrStdout(), "\nHOME of an operator whose keys fit:  %s\nrun a program in the lab's network:   lab run %s -- PROGRAM...\n", op.Home(), l.ID())
			return nil
		},
	}
	cmd.Flags().IntVar(&o.Hosts, "hosts", 3, "how many hosts")
	cmd.Flags().BoolVar(&o.Bastion, "bastion", false, "put the hosts behind a bastion")
	cmd.Flags().StringSliceVar(&o.Packages, "package", nil, "a Debian package to have on the hosts")
	return cmd
}

func newDown(cache *string) *cobra.Command {
	return &cobra.Command{
		Use:   "down [ID...]",
		Short: "Take down the labs named, or all that `lab up` made",
		RunE: func(cmd *cobra.Command, ids []string) error {
			labs, err := lab.List(*cache)
			if err != nil {
				return err
			}
			if len(ids) > 0 {
				labs = nil
				for _, id := range ids {
					l, err := lab.Open(*cache, id)
					if err != nil {
						return err
					}
					labs = append(labs, l)
				}
			}
			for _, l := range labs {
				if err := l.Close(); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "lab %s is down\n", l.ID())
			}
			return lab.Sweep(cmd.Context(), *cache)
		},
	}
}

func newStatus(cache *string) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "List the labs that `lab up` made",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			labs, err := lab.List(*cache)
			for _, l := range labs {
				printLab(cmd, l)
			}
			if err == nil && len(labs) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "no lab is up")
			}
			return err
		},
	}
}

func printLab(cmd *cobra.Command, l *lab.Lab) {
	fmt.Fprintf(cmd.OutOrStdout(), "lab %s, %s's password: %s\n", l.ID(), lab.UserSudoPW, l.Password())
	hosts := l.Hosts()
	if b := l.Bastion(); b != nil {
		hosts = append(hosts, b)
	}
	for _, h := range hosts {
		power := "up"
		if !h.Running() {
			power = "off"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "  %-8s %-14s %s\n", h.Name(), h.Addr(), power)
	}
}

func newSSH(cache *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ssh HOST [COMMAND...]",
		Short: "Log in to a host of the only lab, or of lab ID as ID/HOST; USER@HOST works",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, host, named := strings.Cut(args[0], "/")
			if !named {
				id, host = "", args[0]
			}
			op, err := operator(*cache, id)
			if err != nil {
				return err
			}
			return attach(cmd, op.Command(cmd.Context(), "ssh", append([]string{"-F", op.SSHConfig(), host}, args[1:]...)...))
		},
	}
	cmd.Flags().SetInterspersed(false) // what follows the host is the command's
	return cmd
}

func newRun(cache *string) *cobra.Command {
	return &cobra.Command{
		Use:   "run [ID] -- PROGRAM [ARGUMENT...]",
		Short: "Run a program of this machine in a lab's network, as its operator",
		RunE: func(cmd *cobra.Command, args []string) error {
			id := ""
			if n := cmd.ArgsLenAtDash(); n == 1 {
				id, args = args[0], args[1:]
			} else if n != 0 {
				return errors.New("cannot tell the program from the lab: put -- before the program")
			}
			if len(args) == 0 {
				return errors.New("cannot run nothing: name a program after --")
			}
			op, err := operator(*cache, id)
			if err != nil {
				return err
			}
			c := op.Command(cmd.Context(), args[0], args[1:]...)
			c.Dir = "" // where the person is
			return attach(cmd, c)
		},
	}
}

func newPrepare(cache *string) *cobra.Command {
	o := lab.Options{Log: os.Stderr}
	cmd := &cobra.Command{
		Use:   "prepare",
		Short: "Install what the lab needs and build its root, so that tests need not",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Cache = *cache
			return lab.Prepare(cmd.Context(), o)
		},
	}
	cmd.Flags().StringSliceVar(&o.Packages, "package", nil, "a Debian package to have on the hosts")
	return cmd
}

func newPossible() *cobra.Command {
	return &cobra.Command{
		Use:   "possible",
		Short: "Say whether this machine can run a lab now, and why not",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return lab.Possible() },
	}
}

// operator is who sits at the lab of that id, or at the only one there is.
func operator(cache, id string) (*lab.Operator, error) {
	if id == "" {
		labs, err := lab.List(cache)
		switch {
		case err != nil:
			return nil, err
		case len(labs) == 0:
			return nil, errors.New("cannot find a lab: none is up; `lab up` makes one")
		case len(labs) > 1:
			return nil, fmt.Errorf("cannot choose among %d labs: name one by the id that `lab status` shows", len(labs))
		}
		id = labs[0].ID()
	}
	l, err := lab.Open(cache, id)
	if err != nil {
		return nil, err
	}
	return l.Operator("you")
}

func attach(cmd *cobra.Command, c *exec.Cmd) error {
	c.Env = append(c.Env, "TERM="+os.Getenv("TERM"))
	c.Stdin, c.Stdout, c.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	return c.Run()
}
