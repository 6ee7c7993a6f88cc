package gate

import (
	"path"
	"slices"
	"strings"
)

// branchOf is a ref as people say it: a branch without refs/heads/.
func branchOf(ref string) string { return strings.TrimPrefix(ref, "refs/heads/") }

// matchesBranch reports whether a ref is a branch that one of the patterns
// matches. A star stands for anything but a slash, and at the end of a pattern
// /** for whatever is below. A tag is no branch.
func matchesBranch(patterns []string, ref string) bool {
	branch := branchOf(ref)
	if branch == "" || strings.HasPrefix(branch, "refs/") {
		return false
	}
	return slices.ContainsFunc(patterns, func(p string) bool {
		if below, ok := strings.CutSuffix(p, "/**"); ok {
			parts, want := strings.Split(branch, "/"), strings.Split(below, "/")
			if len(parts) <= len(want) {
				return false
			}
			ok, err := path.Match(below, strings.Join(parts[:len(want)], "/"))
			return err == nil && ok
		}
		ok, err := path.Match(p, branch)
		return err == nil && ok
	})
}
