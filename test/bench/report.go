package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/olekukonko/tablewriter"
)

// Result is one budget and what was measured.
type Result struct {
	Row  string `json:"row"`
	Work string `json:"work"`
	// Limit is what Measured is held against: at most, or at least where AtLeast.
	Limit   float64 `json:"limit"`
	AtLeast bool    `json:"at_least,omitempty"`
	Unit    string  `json:"unit"` // "×", "MB", "round trips", …
	// Measured is the figure that counts; Low and High the extremes of the rounds.
	Measured float64 `json:"measured"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
	Rounds   int     `json:"rounds"`
	// Slack is the measurement's own uncertainty where the budget is parity: a
	// figure is met within it. 0 elsewhere.
	Slack float64 `json:"slack,omitempty"`
	// Notes are absolute figures and what else belongs to the measurement.
	Notes []string `json:"notes,omitempty"`
	// Error says why nothing was measured.
	Error string `json:"error,omitempty"`
}

// Met reports whether the budget is kept.
func (r Result) Met() bool {
	switch {
	case r.Error != "":
		return false
	case r.AtLeast:
		return r.Measured+r.Slack >= r.Limit
	}
	return r.Measured-r.Slack <= r.Limit
}

func (r Result) budget() string {
	if r.Error != "" {
		return ""
	}
	sign := "≤"
	if r.AtLeast {
		sign = "≥"
	}
	return sign + " " + figure(r.Limit, r.Unit)
}

func (r Result) measured() string {
	if r.Error != "" {
		return "not measured"
	}
	s := figure(r.Measured, r.Unit)
	if r.Slack > 0 {
		s += fmt.Sprintf(" ± %.2f", r.Slack)
	}
	if r.Rounds > 1 {
		s += fmt.Sprintf(" (%s–%s, %d rounds)", number(r.Low), number(r.High), r.Rounds)
	}
	return s
}

func (r Result) verdict() string {
	switch {
	case r.Error != "":
		return "ERROR"
	case r.Met():
		return "met"
	}
	return "MISSED"
}

func (r Result) line() string {
	if r.Error != "" {
		return "ERROR " + r.Error
	}
	return fmt.Sprintf("%s: %s, budget %s: %s", r.Work, r.measured(), r.budget(), r.verdict())
}

func figure(v float64, unit string) string { return strings.TrimSpace(number(v) + " " + unit) }

// number has as many digits as such a measurement deserves.
func number(v float64) string {
	switch {
	case v == float64(int64(v)) && v < 1e6:
		return strconv.FormatInt(int64(v), 10)
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// Machine is what the figures were measured on.
type Machine struct {
	OS     string `json:"os"`
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory_bytes"`
	Go     string `json:"go"`
	// Load is the load average of the last minute, before and after: a
	// machine that was busy with something else measures nothing.
	Load      string `json:"load_before"`
	LoadAfter string `json:"load_after"`
}

func machine() Machine {
	m := Machine{OS: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version(), Load: load()}
	if name := valueIn("/etc/os-release", "=", "PRETTY_NAME"); name != "" {
		m.OS = strings.Trim(name, `"`) + " " + runtime.GOARCH
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	m.Kernel = strings.TrimSpace(string(kernel))
	m.CPU = valueIn("/proc/cpuinfo", ":", "model name")
	m.Memory = bytesIn("/proc/meminfo", "MemTotal")
	return m
}

func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

// valueIn is what a file with a key and its value on each line has for a key; "" where it has not, or cannot be read.
func valueIn(path, separator, key string) string {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if k, v, _ := strings.Cut(line, separator); strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// bytesIn is a size that the kernel gives in such a file, as in "MemTotal: 16384 kB"; 0 where it does not.
func bytesIn(path, key string) int64 {
	kib, _ := strconv.ParseInt(strings.TrimSuffix(valueIn(path, ":", key), " kB"), 10, 64)
	return kib << 10
}

func (m Machine) String() string {
	cpu := m.CPU
	if cpu == "" {
		cpu = "unknown processor"
	}
	return fmt.Sprintf("%d cores (%s), %.0f GB memory, %s, kernel %s, %s, load average %s before and %s after",
		m.Cores, cpu, float64(m.Memory)/1e9, m.OS, m.Kernel, m.Go, m.Load, m.LoadAfter)
}

// Report is one run of the program.
type Report struct {
	Machine Machine   `json:"machine"`
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"`
	Results []Result  `json:"results"`
}

// met: every budget that was asked about is kept.
func (r Report) met() bool {
	return !slices.ContainsFunc(r.Results, func(x Result) bool { return !x.Met() })
}

func (r Report) writeJSON(w io.Writer) error {
	type judged struct {
		Result
		Met bool `json:"met"`
	}
	out := struct {
		Report
		Results []judged `json:"results"`
	}{Report: r}
	for _, x := range r.Results {
		out.Results = append(out.Results, judged{x, x.Met()})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

func (r Report) writeText(w io.Writer) error {
	t := tablewriter.NewTable(w)
	t.Header("row", "work", "budget", "measured", "verdict")
	for _, x := range r.Results {
		if err := t.Append(x.Row, x.Work, x.budget(), x.measured(), x.verdict()); err != nil {
			return err
		}
	}
	if err := t.Render(); err != nil {
		return err
	}
	for _, x := range r.Results {
		for _, n := range x.notes() {
			fmt.Fprintf(w, "%s: %s\n", x.Row, n)
		}
	}
	_, err := fmt.Fprintf(w, "\nMeasured on %s; %.0f s in all.\n", r.Machine, r.Seconds)
	return err
}

func (x Result) notes() []string {
	if x.Error != "" {
		return []string{x.Error}
	}
	return x.Notes
}

func (r Report) writeMarkdown(w io.Writer) error {
	fmt.Fprintf(w, "| row | work | budget | measured | verdict |\n|---|---|---|---|---|\n")
	for _, x := range r.Results {
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", x.Row, x.Work, x.budget(), x.measured(), x.verdict())
	}
	fmt.Fprintln(w)
	for _, x := range r.Results {
		for _, n := range x.notes() {
			fmt.Fprintf(w, "* %s: %s\n", x.Row, n)
		}
	}
	_, err := fmt.Fprintf(w, "\nMeasured on %s, %s; %.0f s in all.\n", r.Began.Format(time.DateOnly), r.Machine, r.Seconds)
	return err
}
