package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"quorate/plan/spec"
)

// CtlOptions of the verb ctl.
type CtlOptions struct {
	specOptions
	// Client is the client block whose certificate is used; "" makes one for the run.
	Client string
}

func newCtlCommand(p *process) *cobra.Command {
	var o CtlOptions
	cmd := &cobra.Command{
		Use:   "ctl [flags] [--] COMMAND…",
		Short: "etcdctl itself, through the tunnel, with this run's certificate",
		Long: `Run etcdctl's own commands against a cluster of the spec. Members are reached
through the connections to their hosts, so neither open ports nor bastions are in
the way, with a short-lived certificate made for this run, or with that of a client
block: --client; the CA's key is not opened then. Everything from the first word, or
from --, belongs to etcdctl; its exit code is passed on.

ETCDCTL_* variables are not read: endpoints and certificates are the spec's.`,
		Example: `  quorate ctl put /name xin
  quorate ctl -- get / --prefix --keys-only
  quorate ctl --cluster lab endpoint status --cluster -w table
  quorate ctl --client root user list
  quorate ctl snapshot save backup.db
  quorate ctl watch /name`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return runCtl(cmd.Context(), p, o, args)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o.specOptions.AddFlags(p, cmd)
	addClient(p, cmd, &o.Client, &o.specOptions, "use the certificate of this client block; the CA's key is not touched")
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func runCtl(ctx context.Context, p *process, o CtlOptions, args []string) error {
	l, err := loadSpec(p, o.specOptions, false)
	if err != nil {
		return err
	}
	cluster, err := l.one(o.Cluster)
	if err != nil {
		return err
	}
	var client *spec.Client // nil: a certificate is made for this run
	if o.Client != "" {
		if client, err = oneClient(cluster, o.Client); err != nil {
			return err
		}
	}
	j := &job{cluster: cluster, dir: l.dir}
	if err := j.open(p, true); err != nil {
		return err
	}
	defer closeAll([]*job{j})
	// Hosts that are still being connected when etcdctl ends are given up.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	j.session.AskAs(o.Client)
	t, err := j.session.Operator(ctx)
	if err != nil {
		return fmt.Errorf("cannot talk to cluster %q: %w%s", cluster.Name, err, otherClient(cluster, client))
	}
	// The tunnel belongs to this process, not to the request that first needs a host.
	tunnel, err := openTunnel(ctx, random(16), owners(cluster), j.session.Dial)
	if err != nil {
		return err
	}
	defer tunnel.Close()
	members := cluster.Members
	if oneEndpoint(args) {
		m, err := anyHealthy(ctx, j.session, cluster)
		if err != nil {
			return err
		}
		members = []*spec.Member{m}
	}
	endpoints, err := endpointsFor(ctx, members, tunnel)
	if err != nil {
		return err
	}
	bundle, err := bundleFor(l, j, client)
	if err != nil {
		return err
	}
	h, err := handoverOf(t.Certificates[0], bundle, tunnel.proxyURL(), endpoints)
	if err != nil {
		return err
	}
	if h.Dir, err = privateDir(p.env("XDG_RUNTIME_DIR")); err != nil {
		return fmt.Errorf("cannot keep the certificate of this run: %w", err)
	}
	if h.Dir != "" {
		defer os.RemoveAll(h.Dir)
	}
	return p.spawn(h, args)
}

// bundleFor are the CA certificates that the members are held against: those
// beside the client's certificate, or those of the CA.
func bundleFor(l *loaded, j *job, client *spec.Client) ([]byte, error) {
	if client == nil {
		ca, err := j.world.Authority.Look()
		return []byte(ca.PEM), err
	}
	return os.ReadFile(clientFiles(l, client).CA)
}

// otherClient is the way out where no certificate could be made for this run; "" if there is none.
func otherClient(c *spec.Cluster, used *spec.Client) string {
	if used != nil || len(c.ClientsHere()) == 0 {
		return ""
	}
	return "\n  with the certificate of a client: --client " + c.ClientsHere()[0].Name
}

// spawn runs etcdctl as a child with our standard streams and passes its exit code on.
func (p *process) spawn(h handover, args []string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	child := &exec.Cmd{
		Path: exe, Args: append([]string{p.args[0], etcdctlArgument}, args...),
		Env: childEnvironment(p.environ), Stdin: p.in, Stdout: raw(p.out), Stderr: raw(p.err),
	}
	// Ctrl-C reaches the child from the terminal by itself; the others are passed
	// on. Either way the child ends first, and we clean up.
	signals := make(chan os.Signal, 4)
	signal.Reset(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	defer write.Close()                 // not before: the child ends when nobody holds it
	child.ExtraFiles = []*os.File{read} // handoverFD
	if err := child.Start(); err != nil {
		return fmt.Errorf("cannot start etcdctl: %w", err)
	}
	go func() {
		_ = json.NewEncoder(write).Encode(h) // a child that is gone already says why itself
	}()
	done := make(chan error, 1)
	go func() { done <- child.Wait() }()
	for {
		select {
		case s := <-signals:
			// SIGTERM, since a shell has its background jobs ignore an interrupt.
			if s != os.Interrupt || !p.inTerminal {
				_ = child.Process.Signal(syscall.SIGTERM) // it may be gone already
			}
		case err := <-done:
			return childExit(err)
		}
	}
}

// childExit passes the exit code on.
func childExit(err error) error {
	exit, ran := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return nil
	case !ran:
		return fmt.Errorf("etcdctl: %w", err)
	case exit.ExitCode() < 0: // ended by a signal
		return said(exitInterrupted)
	}
	return said(exit.ExitCode())
}

// childEnvironment leaves out what would point etcdctl elsewhere.
func childEnvironment(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(strings.ToUpper(kv), "=")
		return strings.HasPrefix(name, "ETCDCTL_") || strings.HasSuffix(name, "_PROXY") || name == "REQUEST_METHOD"
	})
}
