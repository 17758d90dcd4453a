package sshconfig

import "strings"

// matchPattern matches with * and ?, where * matches any text.
func matchPattern(s, pattern string) bool {
	star, retry := -1, 0
	i, j := 0, 0
	for i < len(s) {
		switch {
		case j < len(pattern) && pattern[j] == '*':
			star, retry = j, i
			j++
		case j < len(pattern) && (pattern[j] == '?' || pattern[j] == s[i]):
			i++
			j++
		case star >= 0:
			retry++
			i, j = retry, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[j:], "*") == ""
}

// matchList matches a list of patterns with commas; a negated one that matches wins.
func matchList(s, patterns string) bool {
	found := false
	for p := range strings.SplitSeq(patterns, ",") {
		p, negated := strings.CutPrefix(p, "!")
		if matchPattern(s, p) {
			if negated {
				return false
			}
			found = true
		}
	}
	return found
}
