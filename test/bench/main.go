// Command bench measures Quorate's budgets, as ratios taken side by side in
// one run: this program beside a hand-tuned shell script, an Ansible play, a
// bare ssh, an upstream etcd. Absolute times are printed for orientation and
// judged nowhere.
//
// It needs Linux, root and what the lab needs; on Debian and Ubuntu it installs
// what is missing. It builds the binaries it measures and leaves nothing behind
// but the lab's cached roots. Every loop is bounded; all rows together take
// about ten minutes on two cores.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"quorate/test/lab"
)

// timeLimit bounds the whole program, with room for a machine under load.
const timeLimit = 25 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	code, err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error: "+err.Error())
	}
	os.Exit(code)
}

// options of one run.
type options struct {
	only     []string
	rounds   int
	json     bool
	markdown bool
}

func parse(args []string, errs io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(errs)
	only := f.String("only", "", "rows to measure, by `NAME,…`; empty is all: "+strings.Join(rowNames(), ", "))
	f.IntVar(&o.rounds, "rounds", 0, "rounds of each comparison; 0 is each row's own number")
	f.BoolVar(&o.json, "json", false, "print the results as JSON")
	f.BoolVar(&o.markdown, "markdown", false, "print the results as a Markdown table")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	if o.rounds < 0 || o.json && o.markdown {
		return o, fmt.Errorf("--rounds cannot be negative, and --json and --markdown exclude each other")
	}
	for name := range strings.SplitSeq(*only, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if !slices.Contains(rowNames(), name) {
			return o, fmt.Errorf("there is no row %q; the rows are %s", name, strings.Join(rowNames(), ", "))
		}
		o.only = append(o.only, name)
	}
	return o, nil
}

// run measures what args ask for. The exit code is 0 when every budget is met,
// 1 when one is missed or could not be measured, 2 for a wrong command line.
func run(ctx context.Context, args []string, out, errs io.Writer) (int, error) {
	o, err := parse(args, errs)
	if err != nil {
		return 2, err
	}
	b, err := newBench(ctx, o.rounds, errs)
	if err != nil {
		return 1, err
	}
	defer b.close()
	rep := Report{Machine: machine(), Began: time.Now().UTC().Truncate(time.Second)}
	measured := rows()
	if len(o.only) > 0 {
		measured = slices.DeleteFunc(slices.Concat(rows(), onRequest()), func(r row) bool { return !slices.Contains(o.only, r.name) })
	}
	for _, r := range measured {
		b.logf("== %s: %s", r.name, r.about)
		began := time.Now()
		results, err := r.measure(ctx, b)
		if err != nil {
			results = append(results, Result{Row: r.name, Work: r.about, Error: err.Error()})
		}
		for i := range results {
			results[i].Row = r.name
			b.logf("   %s", results[i].line())
		}
		b.logf("   took %.0f s", time.Since(began).Seconds())
		rep.Results = append(rep.Results, results...)
		if ctx.Err() != nil {
			return 1, fmt.Errorf("stopped after row %q: %w", r.name, context.Cause(ctx))
		}
	}
	rep.Seconds = time.Since(rep.Began).Seconds()
	rep.Machine.LoadAfter = load()
	switch {
	case o.json:
		err = rep.writeJSON(out)
	case o.markdown:
		err = rep.writeMarkdown(out)
	default:
		err = rep.writeText(out)
	}
	if err != nil {
		return 1, err
	}
	if !rep.met() {
		return 1, nil
	}
	return 0, nil
}

// row is one budget, or several that are measured in one go.
type row struct {
	name, about string
	measure     func(context.Context, *bench) ([]Result, error)
}

// rows in the order in which they are measured.
func rows() []row {
	return []row{
		{"fresh", "a fresh cluster beside a shell script", onHosts(fresh)},
		{"ansible", "a fresh cluster beside an Ansible play", onHosts(ansible, "python3")},
		{"plan", "a plan with nothing to change beside three ssh HOST true", onHosts(emptyPlan)},
		{"roll", "a setting that rolls through three members beside three bare restarts", onHosts(roll)},
		{"members", "a member more, and one less, beside the same by hand", onLab(lab.Options{Hosts: 4}, membership)},
		{"sudo", "a user whose sudo takes two seconds", onHosts(slowSudo)},
		{"rounds", "round trips, counted and confirmed", onLab(lab.Options{Hosts: 4}, rounds)},
		{"fleet", "planning 300 and 3,000 hosts", fleetPlan},
		{"writes", "kvserver's writes beside upstream etcd's", writes},
		{"memory", "quorate's memory", onHosts(memory)},
		{"corruption", "a start with the corruption check beside one without", corruption(1 << 30)},
	}
}

// onRequest are rows that are measured only if they are named: they take long, or much disk.
func onRequest() []row {
	return []row{
		{"backup", "a backup of 1 GB beside a bare etcdctl snapshot save", onHosts(backup)},
		{"restore", "a restore of 1 GB onto three members, and its outage, beside the same by hand", onHosts(restore)},
		{"recover", "from a lost majority to the next write, 10 MB and 1 GB, beside a restore of the database that is left by hand", recoveries},
		{"prove", "proving that a snapshot of 1 GB can be restored", prove},
		{"download", "a file of 1 GB from a host beside OpenSSH's sftp", onLab(lab.Options{Hosts: 1}, download)},
		{"corruption8", "the same with 7 GiB of data: three members take 45 GB of disk", corruption(7 << 30)},
	}
}

func rowNames() []string {
	var names []string
	for _, r := range slices.Concat(rows(), onRequest()) {
		names = append(names, r.name)
	}
	return names
}
