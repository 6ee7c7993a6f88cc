// Package didyoumean owns the guess at what a mistyped name was meant to be,
// for hints. It knows no noun.
package didyoumean

import (
	"slices"
	"strings"
)

// maxLength bounds the work on one name, in bytes.
const maxLength = 64

// Name is the known name nearest to got, or empty when none is near enough: at
// most a third of got's letters may differ, and at least one. Upper and lower
// case are the same letter. Of equally near names the first in order is chosen.
func Name[T ~string](got string, known []T) T {
	var best T
	if len(got) == 0 || len(got) > maxLength {
		return best
	}
	limit := max(1, len(got)/3)
	for _, k := range slices.Sorted(slices.Values(known)) {
		if len(k) > maxLength {
			continue
		}
		if d := distance(strings.ToLower(got), strings.ToLower(string(k))); d <= limit && d < len(k) {
			best, limit = k, d-1
		}
	}
	return best
}

// Hint is "did you mean …?" with the nearest known name, or all known names
// when none is near and they are few enough to read.
func Hint[T ~string](got string, known []T) string {
	if n := Name(got, known); n != "" {
		return "did you mean " + string(n) + "?"
	}
	if len(known) == 0 || len(known) > 12 {
		return ""
	}
	var names []string
	for _, k := range slices.Sorted(slices.Values(known)) {
		names = append(names, string(k))
	}
	return "known are " + strings.Join(slices.Compact(names), ", ")
}

// distance is the optimal string alignment distance: how many insertions,
// deletions, substitutions and swaps of neighbours lead from a to b.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
