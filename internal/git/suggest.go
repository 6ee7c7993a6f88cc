package git

import (
	"cmp"
	"slices"
	"strings"
)

// suggestions is how many names a hint offers.
const suggestions = 3

// nearest are the names that wrong most likely meant, the likeliest first: few
// edits away, or one the beginning of the other.
func nearest(wrong string, names []string) []string {
	type scored struct {
		name  string
		edits int
	}
	var near []scored
	for _, name := range names {
		edits := distance(strings.ToLower(wrong), strings.ToLower(name))
		if edits <= max(1, len(wrong)/3) || strings.HasPrefix(name, wrong) || strings.HasSuffix(name, "/"+wrong) {
			near = append(near, scored{name, edits})
		}
	}
	slices.SortFunc(near, func(a, b scored) int {
		return cmp.Or(cmp.Compare(a.edits, b.edits), cmp.Compare(a.name, b.name))
	})
	var out []string
	for _, s := range near[:min(len(near), suggestions)] {
		out = append(out, s.name)
	}
	return out
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
