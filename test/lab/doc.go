// Package lab boots Debian hosts with real systemd as PID 1 and real OpenSSH
// on one Linux machine, for tests that must be true on real machines.
//
// A lab is a network namespace with one or two bridges, and hosts that are
// systemd-nspawn containers on overlays of one cached root. Addresses come
// out of 198.18.0.0/15 (reserved for benchmarks, RFC 2544) and the namespace
// has no way out, so nothing leaks and any number of labs may run at once.
// Whoever wants to reach the hosts enters the namespace: [Lab.DialContext]
// from within the test process, [Lab.Command] with another program.
//
// What it will not do: emulate another kernel (all hosts share this one, its
// clock and its page cache, so a power cut loses processes and not what was
// written), shape traffic, or give the hosts a way to the internet.
//
// A lab dies with the process that started it, also by kill -9: a watchdog
// kills its hosts at once and the next lab sweeps up what is left. Only a
// lab with [Options.Detached] outlives its maker.
package lab
