package router

import (
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// check says everything that is wrong with where requests are to go.
func check(t *route.Traffic) error {
	c := &checking{t: t, known: map[towpath.RevisionID]bool{}}
	c.backends()
	c.matches()
	c.sticky()
	c.mirror()
	c.limits()
	if len(c.wrong) == 0 {
		return nil
	}
	return towpath.E(towpath.KindInvalid, "router.apply", "the traffic is not well described: %s", strings.Join(c.wrong, "; ")).
		WithHint("whoever moves the traffic has to send a valid description; nothing has changed")
}

// checking collects what is wrong.
type checking struct {
	t     *route.Traffic
	known map[towpath.RevisionID]bool
	wrong []string
}

func (c *checking) say(bad bool, format string, a ...any) {
	if bad {
		c.wrong = append(c.wrong, fmt.Sprintf(format, a...))
	}
}

func (c *checking) backends() {
	c.say(c.t.Revision == "" && len(c.t.Others) > 0, "it has revisions beside a main one that it does not name")
	c.say(c.t.Revision == "" && len(c.t.Instances) > 0, "it has instances of no revision")
	list := c.t.Backends()
	c.say(len(list) > route.MaxBackends, "it has %d revisions, and a route takes %d", len(list), route.MaxBackends)
	sum := 0
	for _, b := range list {
		c.say(b.Revision == "", "a revision beside the main one has no name")
		c.say(c.known[b.Revision], "the revision %s stands in it twice", b.Revision)
		c.say(b.Weight < 0 || b.Weight > route.MaxWeight, "the weight %d of %s is not between 0 and %d", b.Weight, b.Revision, route.MaxWeight)
		c.say(b.Protocol != route.HTTP1 && b.Protocol != route.H2C, "instances that speak %q are not known", b.Protocol)
		c.say(b.Answer < 0, "the time for answers of %s is negative", b.Revision)
		c.say(len(b.Trusted) > route.MaxTrusted, "%s trusts %d ranges of addresses, and may trust %d", b.Revision, len(b.Trusted), route.MaxTrusted)
		c.say(slices.ContainsFunc(b.Trusted, func(p netip.Prefix) bool { return !p.IsValid() }), "a range of addresses that %s trusts is none", b.Revision)
		c.known[b.Revision] = true
		sum += b.Weight
	}
	c.say(len(list) > 0 && sum == 0, "no revision has any weight")
}

func (c *checking) matches() {
	c.say(len(c.t.Match) > route.MaxMatches, "it has %d matches, and a route takes %d", len(c.t.Match), route.MaxMatches)
	for i, m := range c.t.Match {
		c.say(!c.known[m.Revision], "match %d sends to %q, which is not in the route", i+1, m.Revision)
		c.say((m.Header == "") == (m.Cookie == ""), "match %d looks at a header or at a cookie", i+1)
		c.say((m.Exact == "") == (m.Regex == ""), "match %d wants an exact value or a pattern", i+1)
		c.say(len(m.Regex) > route.MaxRegex, "the pattern of match %d is longer than %d bytes", i+1, route.MaxRegex)
		_, err := regexp.Compile(m.Regex)
		c.say(err != nil, "the pattern of match %d is none: %v", i+1, err)
	}
}

func (c *checking) sticky() {
	s := c.t.Sticky
	if s == nil {
		return
	}
	c.say((s.Header == "") == (s.Cookie == ""), "clients stay by a header or by a cookie")
	c.say(s.Cookie != "" && (&http.Cookie{Name: s.Cookie, Value: "x"}).Valid() != nil, "%q is no name for a cookie", s.Cookie)
	c.say(s.MaxAge < 0, "the cookie's age is negative")
	c.say(s.Toward != "" && (!c.known[s.Toward] || len(c.known) != 2), "clients are to come to %q, which is not one of two revisions in the route", s.Toward)
}

func (c *checking) mirror() {
	m := c.t.Mirror
	if m == nil {
		return
	}
	c.say(!c.known[m.Revision], "the mirror is %q, which is not in the route", m.Revision)
	c.say(m.Percent < 0 || m.Percent > 100, "%d percent can't be mirrored", m.Percent)
	c.say(m.MaxBody < 0 || m.MaxBody > route.MaxMirrorBody, "bodies of %d bytes can't be mirrored; at most %d", m.MaxBody, route.MaxMirrorBody)
}

func (c *checking) limits() {
	l := c.t.Limits
	c.say(l.MaxBody < -1, "the limit of bodies is negative")
	c.say(l.Stall < 0 || l.Answer < 0, "a limit of time is negative")
}
