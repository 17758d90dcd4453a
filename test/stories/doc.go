// Package stories has no code: its tests drive the real quorate and kvserver
// binaries against the lab's hosts, each telling what an operator would do and
// see. Where no lab is possible they are skipped.
package stories
