package projectfile

import (
	"fmt"
	"path"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// readSecrets reads what may be in a release although it looks like a
// credential.
func readSecrets(root object) []towpath.SecretAllowance {
	o, ok := root.child("secrets")
	if !ok {
		return nil
	}
	o.only("allow")
	var out []towpath.SecretAllowance
	for _, e := range o.list("allow") {
		x := o.r.object(e.path, e.n)
		x.only("path", "rule", "reason", "until")
		x.need("path", "say in which files, as in api/testdata/**")
		x.need("reason", "say why it may be there: whoever reviews the release reads it")
		a := towpath.SecretAllowance{Path: x.str("path", ""), Rule: x.str("rule", ""), Reason: x.str("reason", ""), Until: readDate(x, "until")}
		if n, ok := x.value("path"); ok && n.kind == kindString && !validPattern(a.Path) {
			o.r.problem(n, x.at("path"), fmt.Sprintf("%q is no pattern of files", a.Path), "write a path from the root of the repository, with * for a part of a name and ** for any folders")
		}
		if n, ok := x.value("reason"); ok && n.kind == kindString && strings.TrimSpace(a.Reason) == "" {
			o.r.problem(n, x.at("reason"), "the reason is empty", "say why it may be there: whoever reviews the release reads it")
		}
		out = append(out, a)
	}
	return out
}

func validPattern(p string) bool {
	if p == "" || strings.HasPrefix(p, "/") {
		return false
	}
	for _, part := range strings.Split(p, "/") {
		if _, err := path.Match(part, ""); err != nil || part == "" || part == ".." {
			return false
		}
	}
	return true
}
