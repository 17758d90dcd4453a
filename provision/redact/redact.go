// Package redact is the boundary at which text leaves the program, for a screen, a pipe or a journal. Much
// of it was said by hosts, members and files, which are not trusted: they must not steer a terminal, hide a
// line or reorder one, and what they echo of a secret that they were given must not be kept.
package redact

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Visible writes out every character that is not seen, or changes how others are seen: control
// characters but newline and tab, escape sequences thereby, marks of direction and other format
// characters, separators of lines, and bytes that are no UTF-8. The form is that of JSON, \u001b,
// so that JSON stays what it is; a byte that is no UTF-8 becomes \xff.
func Visible(s string) string {
	at := strings.IndexFunc(s, hidden)
	if at < 0 {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:at])
	for rest := s[at:]; rest != ""; {
		r, n := utf8.DecodeRuneInString(rest)
		switch {
		case r == utf8.RuneError && n <= 1:
			fmt.Fprintf(&b, `\x%02x`, rest[0])
		case r == utf8.RuneError || !hidden(r):
			b.WriteString(rest[:n])
		case r > 0xffff:
			high, low := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		rest = rest[n:]
	}
	return b.String()
}

// hidden also finds U+FFFD, which is what a byte that is no UTF-8 is read as; Visible leaves a real one.
func hidden(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r < 0x7f:
		return r < ' '
	case r == utf8.RuneError:
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// Mask is what stands in the place of a secret.
const Mask = "•••"

// shortest is the length in bytes from which on a secret is looked for in texts: replacing every "a"
// would only make them unreadable, and a secret that short is none.
const shortest = 4

// Filter knows secrets and takes them out of texts. It may be used from many goroutines; nil knows none.
type Filter struct {
	mu       sync.Mutex
	secrets  []string
	replacer *strings.Replacer
}

// Hide has the filter know more secrets. Each is found as it is, and as it stands in JSON and in a
// quoted string.
func (f *Filter) Hide(secrets ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range secrets {
		if len(s) < shortest {
			continue
		}
		f.secrets = append(f.secrets, s, inner(json.Marshal(s)), inner([]byte(fmt.Sprintf("%q", s)), nil))
	}
	// The longest first, so that a secret within another one leaves nothing of it.
	slices.SortFunc(f.secrets, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	f.secrets = slices.Compact(f.secrets)
	var pairs []string
	for _, s := range f.secrets {
		pairs = append(pairs, s, Mask)
	}
	f.replacer = strings.NewReplacer(pairs...)
}

// inner is a quoted text without its quotes.
func inner(quoted []byte, _ error) string { return string(quoted[1 : len(quoted)-1]) }

// Text is s without secrets, and all of it visible.
func (f *Filter) Text(s string) string { return Visible(f.mask(s)) }

func (f *Filter) mask(s string) string {
	if f == nil {
		return s
	}
	f.mu.Lock()
	r := f.replacer
	f.mu.Unlock()
	if r == nil {
		return s
	}
	return r.Replace(s)
}

// Writer passes on what is written to it, whole texts, filtered. colors lets the colours pass
// that this program itself writes (select graphic rendition of ECMA-48: bold, faint, underlined, 31 to 36).
func (f *Filter) Writer(w io.Writer, colors bool) io.Writer {
	return &writer{f: f, w: w, colors: colors}
}

type writer struct {
	f      *Filter
	w      io.Writer
	colors bool
	mu     sync.Mutex
	part   []byte // of a character whose rest is yet to come
}

// Write reports what it took of b; what goes out may be longer or shorter.
func (w *writer) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := string(append(w.part, b...))
	whole := wholeRunes(text)
	w.part = append(w.part[:0], text[whole:]...)
	text = w.f.mask(text[:whole])
	if w.colors {
		text = visibleButColors(text)
	} else {
		text = Visible(text)
	}
	if _, err := io.WriteString(w.w, text); err != nil {
		return 0, err
	}
	return len(b), nil
}

// wholeRunes is the length of text without a last character that has only begun.
func wholeRunes(text string) int {
	for i := len(text) - 1; i >= 0 && i >= len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRuneInString(text[i:]) {
				return i
			}
			break
		}
	}
	return len(text)
}

func visibleButColors(text string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "\x1b[")
		b.WriteString(Visible(before))
		if !found {
			return b.String()
		}
		code, after, ended := strings.Cut(rest, "m")
		if ended && color(code) {
			b.WriteString("\x1b[" + code + "m")
			text = after
			continue
		}
		b.WriteString(Visible("\x1b["))
		text = rest
	}
}

func color(code string) bool {
	for c := range strings.SplitSeq(code, ";") {
		switch c {
		case "0", "1", "2", "4", "31", "32", "33", "34", "35", "36":
		default:
			return false
		}
	}
	return true
}
