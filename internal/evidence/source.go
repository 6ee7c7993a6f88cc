package evidence

import (
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// source takes the URI of a source apart: git+REPOSITORY@REF. A name of a branch
// may have any @, and whoever may push to any branch chooses it, so that no part of
// one must pass for another. What the build was asked for, where the provenance says
// so, has to agree. Its error is that nobody can tell the ref.
func source(uri, repository, ref string) (from, at string, err error) {
	uri = strings.TrimPrefix(uri, "git+")
	if repository != "" && ref != "" && uri == repository+"@"+ref {
		return repository, ref, nil
	}
	host := authority(uri)
	path := uri[host:]
	from = uri
	if i := strings.Index(path, "@refs/"); i > 0 || i == 0 && host > 0 {
		from, at = uri[:host+i], path[i+1:]
	} else if i := strings.Index(path, "@"); i > 0 || i == 0 && host > 0 {
		from, at = uri[:host+i], path[i+1:]
		if strings.Contains(at, "@") {
			return "", "", unclear("the provenance names its source %q, and nobody can tell where the ref begins in it", short(uri))
		}
	}
	if at != "" && ref != "" && ref != "HEAD" && at != ref && at != "refs/heads/"+ref && at != "refs/tags/"+ref {
		return "", "", unclear("the provenance says that %q was built, and that its source is at %q", short(ref), short(at))
	}
	return from, at, nil
}

// authority is how many bytes of the URI of a repository come before its path: a
// scheme, a user and a host.
func authority(uri string) int {
	if i := strings.Index(uri, "://"); i >= 0 {
		if end := strings.IndexByte(uri[i+3:], '/'); end >= 0 {
			return i + 3 + end
		}
		return len(uri)
	}
	if i := strings.IndexByte(uri, ':'); i > 0 && !strings.Contains(uri[:i], "/") { // as ssh has it: git@host:path
		return i + 1
	}
	return 0
}

func unclear(format string, args ...any) error {
	return towpath.E(towpath.KindInvalid, "evidence.provenance", format, args...).
		WithHint("have the builder name its source git+REPOSITORY@REF, with the whole ref: refs/heads/main")
}
