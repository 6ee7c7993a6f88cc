package git

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/towpath/towpath/internal/towpath"
)

const (
	branchPrefix      = "refs/heads/"
	tagPrefix         = "refs/tags/"
	environmentPrefix = "refs/towpath/env/"
	ownPrefix         = "refs/towpath/"

	maxName = 1024
)

var commitPattern = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// EnvironmentRef is the ref that says what runs in an environment.
func EnvironmentRef(name towpath.EnvironmentName) string { return environmentPrefix + string(name) }

// checkCommit refuses what is not a full object name, so that no ID handed to
// git can be read as an option, a ref or an expression.
func checkCommit(op string, ids ...towpath.CommitID) error {
	for _, id := range ids {
		if !commitPattern.MatchString(string(id)) {
			return towpath.E(towpath.KindInvalid, op, "%q is not a commit ID", id).
				WithHint("a commit ID is all 40 (or 64) hex digits; names are resolved first")
		}
	}
	return nil
}

// branchRef is the full name of a branch. The rules are those of
// git-check-ref-format(1), and a name never starts with a dash.
func branchRef(op, branch string) (string, error) {
	if strings.HasPrefix(branch, "refs/") || !validName(branch) {
		return "", towpath.E(towpath.KindInvalid, op, "%q is not the name of a branch", branch).
			WithHint("give the short name, such as staging; see git check-ref-format for what it may contain")
	}
	return branchPrefix + branch, nil
}

// ownRef checks that ref is one of those that are Towpath's to move freely.
func ownRef(op, ref string) error {
	name, own := strings.CutPrefix(ref, ownPrefix)
	if !own || !validName(name) {
		return towpath.E(towpath.KindInvalid, op, "%q is not a ref of Towpath", ref).
			WithHint("only refs below %s are set directly; branches are advanced", ownPrefix)
	}
	return nil
}

// checkRevision accepts names, abbreviations and the suffixes ~N and ^N. It
// refuses ranges, paths, searches and reflog expressions, whose meaning depends
// on more than the commit graph.
func checkRevision(op, rev string) error {
	base := rev
	if i := strings.IndexAny(rev, "~^"); i >= 0 {
		base = rev[:i]
		if strings.Trim(rev[i:], "~^0123456789") != "" {
			base = ""
		}
	}
	if base != "@" && !validName(base) {
		return towpath.E(towpath.KindInvalid, op, "%q does not name a commit", rev).
			WithHint("give a branch, a tag or a commit ID, with ~N or ^N after it if need be")
	}
	return nil
}

func validName(name string) bool {
	if name == "" || name == "@" || len(name) > maxName || !utf8.ValidString(name) ||
		strings.HasPrefix(name, "-") || strings.HasSuffix(name, ".") ||
		strings.Contains(name, "..") || strings.Contains(name, "@{") {
		return false
	}
	for _, c := range name {
		if c <= ' ' || c == 0x7f || strings.ContainsRune(`~^:?*[\`, c) {
			return false
		}
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || len(part) > 250 || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}
