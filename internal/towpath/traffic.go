package towpath

import "time"

// TrafficSticky keeps clients with the release that they had: by a cookie that
// the router sets, or by the value of a header.
type TrafficSticky struct {
	Cookie string        `json:"cookie,omitempty"` // its name
	MaxAge time.Duration `json:"maxAge,omitempty"` // of the cookie, nanoseconds
	Header string        `json:"header,omitempty"`
}

// TrafficCopies is the part of the requests that is copied to a revision whose
// answers nobody gets.
type TrafficCopies struct {
	Percent int `json:"percent"` // 1 to 100, of the requests that may be copied
	// Methods may be copied; empty: [SafeMethods]. A copy of any other takes effect
	// twice.
	Methods []string `json:"methods,omitempty"`
}

// Share is its percentage, 0 when nothing is copied.
func (c *TrafficCopies) Share() int {
	if c == nil {
		return 0
	}
	return c.Percent
}

// SafeMethods are those of requests that change nothing (RFC 9110, 9.2.1), but
// for TRACE, which is for whoever looks at a chain of proxies.
func SafeMethods() []string { return []string{"GET", "HEAD", "OPTIONS"} }
