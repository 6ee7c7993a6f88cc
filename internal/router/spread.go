package router

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
)

// Limits of connections to instances.
const (
	dialTimeout     = 5 * time.Second
	backendIdle     = time.Second // shorter than servers' own, so that they don't close under a request
	backendIdleHost = 64
)

// maxSent is to how many instances a request may be sent, one after the other,
// each of which broke off: it may be the request that ends them.
const maxSent = 2

var (
	errNoInstance = errors.New("the route has no instance")
	errNoAnswer   = errors.New("the instance did not begin its answer in time")
)

// spread sends a request to the instances that its exchange has chosen, one
// after the other while that is safe.
type spread struct{ http1, h2c *http.Transport }

func newSpread() *spread {
	transport := func(set func(*http.Protocols)) *http.Transport {
		p := &http.Protocols{}
		set(p)
		return &http.Transport{
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			MaxIdleConnsPerHost:    backendIdleHost,
			IdleConnTimeout:        backendIdle,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true,
			Protocols:              p,
			Proxy:                  nil, // instances are on this machine
		}
	}
	return &spread{
		http1: transport(func(p *http.Protocols) { p.SetHTTP1(true) }),
		h2c:   transport(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }),
	}
}

func (s *spread) of(p route.Protocol) *http.Transport {
	if p == route.H2C {
		return s.h2c
	}
	return s.http1
}

// RoundTrip implements [http.RoundTripper].
func (s *spread) RoundTrip(r *http.Request) (*http.Response, error) {
	x := exchangeOf(r.Context())
	if x.to.Answer > 0 {
		var ctx context.Context
		ctx, x.cancel = context.WithCancelCause(r.Context())
		defer x.within(x.to.Answer)()
		r = r.WithContext(ctx)
	}
	if x.body != nil {
		r.Body = x.body // [httputil.ReverseProxy] has one around it that a failed attempt closes
	}
	transport := s.of(x.to.Protocol)
	if r.Header.Get("Upgrade") != "" {
		transport = s.http1 // HTTP/2 upgrades nothing
	}
	var sent atomic.Bool               // the transport may send it on a connection that breaks, and fail to make a new one
	if len(x.to.Instances) > maxSent { // else it makes no difference
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}))
	}
	err, times := errNoInstance, 0
	for i := range x.to.Instances {
		at := x.to.attempt(x.first, i)
		attempt := r
		if i > 0 {
			x.to.series.retries.Add(1)
			attempt = r.WithContext(r.Context()) // the transport may not have let go of the first one yet
			u := *r.URL
			attempt.URL = &u
			x.route.move(&x.chosen, at)
		}
		attempt.URL.Host = x.to.Instances[at].Address
		var resp *http.Response
		if resp, err = transport.RoundTrip(attempt); err == nil {
			return resp, nil
		}
		if r.Context().Err() != nil {
			return nil, context.Cause(r.Context())
		}
		if sent.Swap(false) {
			times++
		}
		if times == maxSent || !x.again(r, err) {
			break
		}
	}
	return nil, err
}

// longest is when a timer fires that was not set yet.
const longest = time.Duration(math.MaxInt64)

// within gives an instance up that does not begin its answer in time, until what
// it gives is called. A client that is slow to send takes none of that time.
func (x *exchange) within(limit time.Duration) (began func()) {
	var over atomic.Bool
	var t *time.Timer
	t = time.AfterFunc(longest, func() {
		switch left := limit - x.waited(); {
		case over.Load():
		case left > 0:
			t.Reset(left)
		default:
			x.cancel(errNoAnswer)
		}
	})
	t.Reset(limit)
	return func() {
		over.Store(true)
		t.Stop()
	}
}

// again reports whether a request that failed may be tried on another instance:
// nothing was sent, or sending it twice is as good as once (RFC 9110, 9.2.2) and
// it is still all there.
func (x *exchange) again(r *http.Request, err error) bool {
	touched, problem := x.body.state()
	if touched || problem != nil {
		return false
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return true
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}
