package router

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"

	"github.com/towpath/towpath/internal/kind/process/route"
)

// places is how finely clients are told apart that come to a revision by and by.
// Each has a place in the order in which they come, and the first are there: as
// many as the revision has weight, none of whom leaves while that grows. It is
// another order for each revision, so that not always the same are the first,
// and too coarse to know anybody again by it.
const places = 10_000

// comes is where a client goes by its place, nil when it has none yet.
func (p *plan) comes(r *http.Request, s *route.Sticky) chosen {
	to, rest := p.toward(s)
	if to == nil || rest == nil || !to.open() || !rest.open() {
		return chosen{}
	}
	place, known := 0, false
	if s.Cookie != "" {
		if c, err := r.Cookie(s.Cookie); err == nil {
			place, known = placeIn(c.Value, to.token)
		}
		if !known {
			return chosen{cookie: true} // by weight, exactly; its place is one of those that are there then
		}
	} else if v := r.Header.Get(s.Header); v != "" {
		place, known = int(hash(v, to.token)%places), true
	}
	switch {
	case !known:
		return chosen{}
	case place < there(to, rest):
		return chosen{to: to}
	}
	return chosen{to: rest}
}

// toward is the revision that clients come to, and the one that they come from.
func (p *plan) toward(s *route.Sticky) (to, rest *upstream) {
	for _, b := range p.backends {
		if b.Revision == s.Toward {
			to = b
		} else {
			rest = b
		}
	}
	return to, rest
}

// there is how many of the first places are at a revision.
func there(to, rest *upstream) int {
	sum := to.Weight + rest.Weight
	return min(max((to.Weight*places+sum-1)/sum, 1), places-1)
}

// keeps is the value of the cookie that keeps a client with the revision that
// it has met.
func (p *plan) keeps(met *upstream) string {
	s := p.traffic.Sticky
	to, rest := p.toward(s)
	if s.Toward == "" || to == nil || rest == nil {
		return met.token
	}
	n := there(to, rest)
	place := n + rand.IntN(places-n) //nolint:gosec // whoever wants to be elsewhere may say so in the cookie
	if met == to {
		place = rand.IntN(n) //nolint:gosec // as above
	}
	return to.token + placeMark + strconv.Itoa(place)
}

// placeMark stands between the revision and the place in a cookie.
const placeMark = "-"

// placeIn is the place that a cookie gives on the way to a revision, if any.
func placeIn(value, token string) (place int, ok bool) {
	of, text, _ := strings.Cut(value, placeMark)
	place, err := strconv.Atoi(text)
	return place, of == token && err == nil && place >= 0 && place < places
}
