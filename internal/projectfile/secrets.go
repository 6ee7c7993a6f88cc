package projectfile

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/secretscan"
	"github.com/towpath/towpath/internal/towpath"
)

// maxAllowed bounds the allow list: a longer one is read by nobody.
const maxAllowed = 100

// readSecrets reads what the scan for credentials lets into a release.
func readSecrets(o object) []towpath.SecretAllowance {
	x, ok := o.child("secrets")
	if !ok {
		return nil
	}
	x.only("allow")
	items := x.list("allow")
	if len(items) > maxAllowed {
		x.r.problem(items[0].n, x.at("allow"), fmt.Sprintf("there are %d entries, and at most %d are allowed", len(items), maxAllowed), "put files together in a folder")
		return nil
	}
	var out []towpath.SecretAllowance
	for _, e := range items {
		a := readAllowance(x.r, e)
		if slices.ContainsFunc(out, func(b towpath.SecretAllowance) bool { return b.Path == a.Path && b.Rule == a.Rule && a.Path != "" }) {
			x.r.problem(e.n, e.path, "there is an entry for this path and rule already", "take one out")
		}
		out = append(out, a)
	}
	return out
}

func readAllowance(r *reader, e entry) towpath.SecretAllowance {
	o := r.object(e.path, e.n)
	o.only("path", "rule", "reason", "until")
	o.need("path", "name the files, relative to the root of the repository: path: api/testdata/**")
	o.need("reason", "say why what is found there is no credential, or is worth nothing")
	a := towpath.SecretAllowance{Rule: choice(o, "rule", "", ruleNames()...), Until: readDate(o, "until")}
	if n, ok := o.scalar("reason", kindString, "put the reason in quotes"); ok {
		if a.Reason = strings.TrimSpace(n.text); a.Reason == "" || strings.ContainsAny(n.text, "\n\r") {
			r.problem(n, o.at("reason"), "the reason is no sentence", "say on one line why what is found there is no credential, or is worth nothing")
		}
	}
	if n, ok := o.scalar("path", kindString, ""); ok {
		a.Path = r.glob(n, o.at("path"), n.text)
		if _, ruled := o.value("rule"); !ruled && a.Path != "" && strings.Trim(a.Path, "*/") == "" {
			r.problem(n, o.at("path"), "this would allow every credential everywhere", "name a folder or a file, or one rule")
		}
	}
	return a
}

func ruleNames() []string {
	var out []string
	for _, r := range secretscan.Rules() {
		out = append(out, r.ID)
	}
	return out
}

// glob reads a path with patterns; see [towpath.MatchPath].
func (r *reader) glob(at *node, where, pattern string) string {
	clean := r.path(at, where, pattern)
	for segment := range strings.SplitSeq(clean, "/") {
		_, err := path.Match(segment, "")
		switch {
		case err != nil:
			r.problem(at, where, fmt.Sprintf("%q is no pattern", pattern), "close every [ with a ]")
			return ""
		case segment != "**" && strings.Contains(segment, "**"):
			r.problem(at, where, fmt.Sprintf("%q has ** beside other letters", pattern), "** stands alone between slashes, for any number of folders: api/**/*.pem")
			return ""
		}
	}
	return clean
}
