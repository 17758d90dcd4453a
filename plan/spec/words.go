package spec

import (
	"fmt"
	"strings"

	"github.com/agext/levenshtein"
)

// didYouMean is " Did you mean …?" for the word nearest to w, or nothing.
func didYouMean(w string, words []string) string {
	if len(w) > 64 {
		return "" // nobody mistypes that
	}
	best, far := "", len(w)/3+2
	for _, x := range words {
		if d := levenshtein.Distance(strings.ToLower(w), strings.ToLower(x), nil); d < far {
			best, far = x, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", best)
}

// withArticle puts "a" or "an" before a type's name, and nothing before "bool or …".
func withArticle(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}
