package main

import (
	"os"
	"strings"
	"testing"

	"quorate/kvserver/servertest"
)

// The initial corruption check is made where it can find something, and never
// where two members would wait for each other.
func TestInitialCorruptCheck(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 3)
	for _, m := range c.Members {
		text, err := os.ReadFile(m.ConfigFile)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "InitialCorruptCheck=true") {
			text = append(text, "feature-gates: InitialCorruptCheck=true\n"...)
		}
		if err := os.WriteFile(m.ConfigFile, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const checks, leaves = "starting initial corruption check", "no initial corruption check at this start"
	start := func(m *servertest.Member) (said func() (checks, leaves bool)) {
		before := len(m.Log())
		m.Start()
		return func() (bool, bool) {
			log := m.Log()[before:]
			return strings.Contains(log, checks), strings.Contains(log, leaves)
		}
	}
	c.Start()
	if _, err := c.Admin().Put(t.Context(), "m1", "k", "MARKER"); err != nil {
		t.Fatal(err)
	}
	m1, m2, m3 := c.Members[0], c.Members[1], c.Members[2]

	// All at once, as after a power cut: no one waits for another.
	for _, m := range c.Members {
		m.Kill()
	}
	first := start(m1)
	second := start(m2)
	m1.WaitReady()
	m2.WaitReady()
	for name, said := range map[string]func() (bool, bool){"m1": first, "m2": second} {
		if checks, leaves := said(); checks || !leaves {
			t.Errorf("%s: checks %v, says that it does not %v", name, checks, leaves)
		}
	}
	// The last one has both to compare with; and so has each in a roll.
	for _, m := range []*servertest.Member{m3, m1} {
		if m != m3 {
			if err := m.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		said := start(m)
		m.WaitReady()
		if checks, leaves := said(); !checks || leaves {
			t.Errorf("%s: checks %v, says that it does not %v", m.Name, checks, leaves)
		}
	}

	// One whose keys have changed on the disk does not serve.
	if err := m3.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := servertest.Corrupt(m3.DataDir, "MARKER", "marker"); err != nil {
		t.Fatal(err)
	}
	start(m3)
	if err := m3.Wait(); err == nil {
		t.Error("it serves")
	}
	if log := m3.Log(); !strings.Contains(log, "found different hash values from remote peer") {
		t.Error("it ended for another reason")
	}
}
