package projectfile

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// path reads a path inside the repository: relative, with slashes, without
// "..", and not git's own folder. It returns it clean.
func (r *reader) path(at *node, where, p string) string {
	segments := strings.Split(p, "/")
	switch {
	case p == "":
		r.problem(at, where, "the path is empty", "the root itself is .")
	case strings.ContainsAny(p, "\\\x00"):
		r.problem(at, where, fmt.Sprintf("there is a backslash or a NUL byte in %q", p), "separate folders with slashes")
	case path.IsAbs(p) || (len(p) > 1 && p[1] == ':'):
		r.problem(at, where, fmt.Sprintf("%q is an absolute path", p), "name it relative to the root of the repository")
	case slices.Contains(segments, ".."):
		r.problem(at, where, fmt.Sprintf("%q may lead out of the repository", p), "write the path without ..")
	case strings.EqualFold(segments[0], ".git") || strings.HasPrefix(path.Clean(p), ".git/"):
		r.problem(at, where, "git's own folder is no part of a release", "name a folder that is committed")
	default:
		return path.Clean(p)
	}
	return ""
}

// paths reads a list of paths, each at most once.
func (o object) paths(key string) []string {
	var out []string
	for _, e := range o.texts(key, true) {
		p := o.r.path(e.n, e.path, e.n.text)
		if p == "" {
			continue
		}
		if slices.Contains(out, p) {
			o.r.problem(e.n, e.path, fmt.Sprintf("%q stands here a second time", p), "take one out")
			continue
		}
		out = append(out, p)
	}
	return out
}
