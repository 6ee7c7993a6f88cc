package projectfile

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/towpath"
)

// defaultMirror is how long copies are looked at, unless told otherwise, or until
// a person has seen enough.
const defaultMirror = time.Minute

// mirrorMethods are those of requests that can be copied.
var mirrorMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

// readMirror reads the step in which a new revision gets copies of requests.
func readMirror(rollout object) *towpath.RolloutStep {
	x, ok := rollout.child("mirror")
	if !ok {
		return nil
	}
	x.only("percent", "for", "manual", "methods")
	x.need("percent", "say what share of the requests is copied: percent: 10")
	copies := &towpath.TrafficCopies{Percent: x.integer("percent", 1, 1, 100)}
	for _, e := range x.texts("methods", true) {
		if !slices.Contains(mirrorMethods, e.n.text) {
			x.r.problem(e.n, e.path, fmt.Sprintf("requests of the method %q can't be copied", e.n.text), didyoumean.Hint(e.n.text, mirrorMethods))
			continue
		}
		copies.Methods = append(copies.Methods, e.n.text)
	}
	if n, ok := x.value("methods"); ok && n.kind == kindList && len(n.items) == 0 {
		x.r.problem(n, x.at("methods"), "without a method nothing is copied", "take it out: requests that change nothing are copied")
	}
	if slices.Sort(copies.Methods); slices.Equal(copies.Methods, towpath.SafeMethods()) {
		copies.Methods = nil
	}
	s := &towpath.RolloutStep{Manual: x.boolean("manual"), Copies: copies}
	otherwise := defaultMirror
	if s.Manual {
		otherwise = 0
	}
	s.For = x.duration("for", otherwise, time.Second, 7*24*time.Hour)
	return s
}

// readSticky reads by what clients stay with a new revision that they met.
func readSticky(rollout object) *towpath.TrafficSticky {
	x, ok := rollout.child("sticky")
	if !ok {
		return nil
	}
	x.only("cookie", "header", "maxAge")
	s := &towpath.TrafficSticky{Cookie: x.str("cookie", ""), Header: x.str("header", ""), MaxAge: x.duration("maxAge", 0, time.Second, 365*24*time.Hour)}
	_, cookie := x.value("cookie")
	_, header := x.value("header")
	const hint = "write sticky: {cookie: shop-rollout}, or {header: X-User}"
	switch {
	case cookie && header:
		x.r.problem(x.n, rollout.at("sticky"), "clients are known by a cookie or by a header, not by both", "take one out")
	case !cookie && !header:
		x.r.problem(x.n, rollout.at("sticky"), "nothing says by what a client is known", hint)
	case cookie && (&http.Cookie{Name: s.Cookie, Value: "x"}).Valid() != nil:
		n, _ := x.value("cookie")
		x.r.problem(n, x.at("cookie"), fmt.Sprintf("%q is no name for a cookie", s.Cookie), hint)
	case header && (&http.Cookie{Name: s.Header, Value: "x"}).Valid() != nil: // both are tokens
		n, _ := x.value("header")
		x.r.problem(n, x.at("header"), fmt.Sprintf("%q is no name for a header", s.Header), hint)
	}
	if n, ok := x.value("maxAge"); ok && header {
		x.r.problem(n, x.at("maxAge"), "only a cookie has an age", "take it out")
	}
	return s
}
