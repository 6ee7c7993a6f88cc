package route

import (
	"net/netip"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Traffic is where requests go: to one revision, or to several by weight. It
// changes as a whole. Without instances requests are answered with 503.
type Traffic struct {
	// Revision is the main one: what the component runs, and what is kept
	// running. Others stand beside it.
	Revision  towpath.RevisionID `json:"revision,omitempty"`
	Listen    string             `json:"listen,omitempty"` // the listener of that revision's spec
	Instances []Instance         `json:"instances,omitempty"`
	// Weight is the main revision's part of the sum of all weights. Alone in its
	// route it gets everything, whatever this says.
	Weight     int                  `json:"weight,omitempty"`
	Protocol   Protocol             `json:"protocol,omitempty"`
	Deployment towpath.DeploymentID `json:"deployment,omitempty"` // for the labels of metrics
	Release    towpath.Digest       `json:"release,omitempty"`    // likewise
	Others     []Backend            `json:"others,omitempty"`

	Match  []Match `json:"match,omitempty"` // the first that fits decides, before stickiness and weights
	Sticky *Sticky `json:"sticky,omitempty"`
	Mirror *Mirror `json:"mirror,omitempty"`
	Limits Limits  `json:"limits,omitzero"`
	// Trusted are the proxies in front that the main revision believes: what they say
	// of whom they ask for is passed on (X-Forwarded-For, -Proto, -Host).
	Trusted []netip.Prefix `json:"trustedProxies,omitempty"`
}

// Backend is a revision beside the main one. With weight 0 it gets only what a
// match or a mirror sends it.
type Backend struct {
	Revision   towpath.RevisionID   `json:"revision"`
	Instances  []Instance           `json:"instances,omitempty"`
	Weight     int                  `json:"weight"`
	Protocol   Protocol             `json:"protocol,omitempty"`
	Deployment towpath.DeploymentID `json:"deployment,omitempty"`
	Release    towpath.Digest       `json:"release,omitempty"`
	Answer     time.Duration        `json:"answer,omitempty"`         // as [Limits.Answer], of this revision
	Trusted    []netip.Prefix       `json:"trustedProxies,omitempty"` // as [Traffic.Trusted], likewise
}

// Backends are all revisions of the route, the main one first, with the weights
// that are in force.
func (t *Traffic) Backends() []Backend {
	if t.Revision == "" {
		return nil
	}
	main := Backend{
		Revision: t.Revision, Instances: t.Instances, Weight: t.Weight, Protocol: t.Protocol,
		Deployment: t.Deployment, Release: t.Release, Answer: t.Limits.Answer, Trusted: t.Trusted,
	}
	if len(t.Others) == 0 {
		main.Weight = max(main.Weight, 1)
	}
	return append([]Backend{main}, t.Others...)
}

// Protocol is what the instances of a revision speak. Clients may speak
// HTTP/1.1 or HTTP/2 without TLS to either.
type Protocol string

// The protocols of instances.
const (
	HTTP1 Protocol = ""    // HTTP/1.1
	H2C   Protocol = "h2c" // HTTP/2 without TLS, by prior knowledge: gRPC
)

// Match sends the requests of an experiment to a revision of the route, also to
// one whose weight is 0. It looks at one header or one cookie.
type Match struct {
	Revision towpath.RevisionID `json:"revision"`
	Header   string             `json:"header,omitempty"`
	Cookie   string             `json:"cookie,omitempty"`
	// Exact is the whole value; Regex is searched for in it, in Go's syntax.
	Exact string `json:"exact,omitempty"`
	Regex string `json:"regex,omitempty"`
}

// Sticky keeps a client with its revision for as long as that has weight. With
// a Cookie the router sets one; with a Header the clients that send the same
// value in it are one client. A request without the header goes by weight.
type Sticky struct {
	Cookie string        `json:"cookie,omitempty"` // its name
	MaxAge time.Duration `json:"maxAge,omitempty"` // of the cookie; 0: until the browser is closed
	Header string        `json:"header,omitempty"`
	// Toward is a revision that clients come to as its weight grows, and stay with:
	// those that met it do until the weight shrinks, and of the others no more come
	// than it has weight. Empty: clients stay with whatever they met.
	Toward towpath.RevisionID `json:"toward,omitempty"`
}

// Mirror copies a share of the requests to a revision of the route and drops
// its answers. What is mirrored is never waited for.
type Mirror struct {
	Revision towpath.RevisionID `json:"revision"`
	Percent  int                `json:"percent"` // of the requests that may be copied
	// Methods may be copied; empty: [towpath.SafeMethods]. A copy of any other takes
	// effect twice, unless the instance heeds the header Towpath-Mirror.
	Methods []string `json:"methods,omitempty"`
	// MaxBody is that of a request to be copied, in bytes; 0: [DefaultMirrorBody].
	MaxBody int64 `json:"maxBody,omitempty"`
}

// Limits bound a request. Zero is the default.
type Limits struct {
	MaxBody int64 `json:"maxBody,omitempty"` // of a request, in bytes; 0: [DefaultMaxBody], -1: none
	// Stall is the longest pause that a client may make within a body that it
	// sends or an answer that it takes; 0: [DefaultStall].
	Stall time.Duration `json:"stall,omitempty"`
	// Answer is how long an instance of the main revision may take to begin its
	// answer, from the last that its client sent; 0: no limit.
	Answer time.Duration `json:"answer,omitempty"`
}

// Defaults and bounds.
const (
	DefaultMaxBody    = 1 << 30
	DefaultStall      = time.Minute
	DefaultMirrorBody = 64 << 10
	MaxMirrorBody     = 1 << 20
	MaxWeight         = 1_000_000
	MaxBackends       = 16 // revisions in a route
	MaxMatches        = 32
	MaxTrusted        = 64
	MaxRegex          = 1 << 10 // bytes of a pattern
)
