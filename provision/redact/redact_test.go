package redact_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"quorate/provision/redact"
)

func TestVisible(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain, ünïcode, 日本 and → 🙂":  "plain, ünïcode, 日本 and → 🙂",
		"lines\n\tand tabs":           "lines\n\tand tabs",
		"\x1b[1A\x1b[2K\x1b]52;c;x\a": `\u001b[1A\u001b[2K\u001b]52;c;x\u0007`,
		"over\rwritten":               `over\u000dwritten`,
		"del\x7f c1\u009b31m":         `del\u007f c1\u009b31m`,
		"\u202Egnp.exe\u2066":         `\u202egnp.exe\u2066`,
		"zero\u200bwidth\ufeff":       `zero\u200bwidth\ufeff`,
		"\u2028\u2029":                `\u2028\u2029`,
		"tag\U000E0041":               `tag\udb40\udc41`,
		"no utf-8 \xff\xc3":           `no utf-8 \xff\xc3`,
		"a real \uFFFD":               "a real \uFFFD",
		"":                            "",
	} {
		if got := redact.Visible(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestWriter(t *testing.T) {
	t.Parallel()
	var f redact.Filter
	f.Hide("hunter22", `pa"ss\w`, "abc", "hunter22-longer")
	for what, tt := range map[string]struct {
		colors bool
		parts  []string
		want   string
	}{
		"secrets":                   {false, []string{"sudo: hunter22 is wrong; hunter22-longer too"}, "sudo: ••• is wrong; ••• too"},
		"as in JSON":                {false, []string{`{"error":"pa\"ss\\w"}`}, `{"error":"•••"}`},
		"short ones are left alone": {false, []string{"abc"}, "abc"},
		"a character in two parts":  {false, []string{"\xe2\x86", "\x92 and \xf0\x9f", "\x99\x82"}, "→ and 🙂"},
		"our colours":               {true, []string{"\x1b[31mred\x1b[0m \x1b[1;4mx\x1b[0m"}, "\x1b[31mred\x1b[0m \x1b[1;4mx\x1b[0m"},
		"no others":                 {true, []string{"\x1b[8mhidden\x1b[0m\x1b[2J\x1b[38;5;1m\x1b["}, `\u001b[8mhidden` + "\x1b[0m" + `\u001b[2J\u001b[38;5;1m\u001b[`},
		"none in a pipe":            {false, []string{"\x1b[31mred"}, `\u001b[31mred`},
	} {
		var b bytes.Buffer
		w := f.Writer(&b, tt.colors)
		for _, p := range tt.parts {
			if n, err := w.Write([]byte(p)); n != len(p) || err != nil {
				t.Errorf("%s: %d %v", what, n, err)
			}
		}
		if b.String() != tt.want {
			t.Errorf("%s: %q, want %q", what, b.String(), tt.want)
		}
	}
}

// JSON that passes is the same document.
func FuzzJSON(f *testing.F) {
	f.Add("x\x1b[2J\u202e\u009b\x7f\U000E0041\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		in, err := json.Marshal(s)
		if err != nil {
			t.Skip()
		}
		var none *redact.Filter
		out := none.Text(string(in))
		var a, b string
		if json.Unmarshal(in, &a) != nil || json.Unmarshal([]byte(out), &b) != nil || a != b {
			t.Errorf("%q became %q", in, out)
		}
		if strings.ContainsFunc(out, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
			t.Errorf("%q is not visible", out)
		}
	})
}
