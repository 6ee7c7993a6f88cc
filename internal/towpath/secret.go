package towpath

import (
	"path"
	"slices"
	"strings"
	"time"
)

// SecretAllowance lets what looks like a credential into a release, because
// somebody said why it is none, or is worth nothing.
type SecretAllowance struct {
	Path   string `json:"path"`           // see [MatchPath]; relative to the root of the repository
	Rule   string `json:"rule,omitempty"` // of the scan; empty: all
	Reason string `json:"reason"`
	Until  string `json:"until,omitempty"` // "2027-01-31": last day on which it counts, in UTC
}

// Covers says whether it speaks of a rule's findings in a file.
func (a SecretAllowance) Covers(file, rule string) bool {
	return (a.Rule == "" || a.Rule == rule) && MatchPath(a.Path, file)
}

// Expired says whether its last day is over.
func (a SecretAllowance) Expired(now time.Time) bool {
	return a.Until != "" && now.UTC().Format(time.DateOnly) > a.Until
}

// MatchPath says whether a slash-separated path matches a pattern as a whole:
// ** stands for any number of folders, also none, and within a folder's or a
// file's name * ? and [] mean what they do in [path.Match]. A pattern that is
// malformed matches nothing.
func MatchPath(pattern, name string) bool {
	return matchSegments(strings.Split(pattern, "/"), strings.Split(name, "/"))
}

// matchSegments goes on from the last ** only: what an earlier one stands for
// never needs to grow once a later one was reached. So it takes time by the
// product of both lengths at most.
func matchSegments(pattern, name []string) bool {
	star, from := -1, 0 // where to go on after a mismatch
	p, n := 0, 0
	for n < len(name) {
		if p < len(pattern) && pattern[p] == "**" {
			star, from = p, n
			p++
			continue
		}
		if p < len(pattern) {
			if ok, err := path.Match(pattern[p], name[n]); ok && err == nil {
				p, n = p+1, n+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		from++
		p, n = star+1, from
	}
	return !slices.ContainsFunc(pattern[p:], func(s string) bool { return s != "**" })
}
