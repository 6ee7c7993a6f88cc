package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
)

// Limits of connections from clients and to instances.
const (
	headerTimeout   = 30 * time.Second
	idleTimeout     = 2 * time.Minute
	maxHeader       = 1 << 20 // bytes
	dialTimeout     = 5 * time.Second
	backendIdle     = time.Second // shorter than servers' own, so that they don't close under a request
	backendIdleHost = 64
)

// choice is a request's instances, handed to the transport in its context.
type choice struct{}

// proxy is the handler of a live route.
type proxy struct {
	route   *live
	reverse *httputil.ReverseProxy
}

func newProxy(l *live, transport http.RoundTripper, log *slog.Logger) *proxy {
	p := &proxy{route: l}
	p.reverse = &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1, // pass streams on as they come
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL.Scheme = "http"
			pr.Out.URL.Host = "instance" // the transport puts the real one
			pr.Out.Host = pr.In.Host
			pr.Out.Header["X-Forwarded-For"] = pr.In.Header["X-Forwarded-For"]
			pr.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(err, context.Canceled) {
				return // the client went away
			}
			t, _ := r.Context().Value(choice{}).(route.Traffic)
			log.WarnContext(r.Context(), "no answer from an instance", "route", l.status().Name, "revision", t.Revision, "error", err)
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprintf(w, "502: no instance of %s answers (revision %s).\nThe component's log says why; `towpath status` shows what runs.\n",
				l.status().Name, t.Revision)
		},
	}
	return p
}

// ServeHTTP sends a request to an instance of the revision that has the
// traffic as it begins.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t, end := p.route.begin()
	defer end()
	if len(t.Instances) == 0 {
		w.Header().Set("Retry-After", "1")
		http.Error(w, fmt.Sprintf("503: %s has no revision with traffic yet.", p.route.status().Name), http.StatusServiceUnavailable)
		return
	}
	p.reverse.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), choice{}, t)))
}

// spread tries a request's instances in turn while connecting fails: what was
// never sent can't take effect twice.
type spread struct{ next *http.Transport }

func newSpread() *spread {
	return &spread{next: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		MaxIdleConnsPerHost: backendIdleHost,
		IdleConnTimeout:     backendIdle,
		DisableCompression:  true,
		Proxy:               nil, // instances are on this machine
	}}
}

// RoundTrip implements [http.RoundTripper].
func (s *spread) RoundTrip(r *http.Request) (*http.Response, error) {
	t, _ := r.Context().Value(choice{}).(route.Traffic)
	err := errNoInstance
	for _, in := range t.Instances {
		attempt := r.Clone(r.Context())
		attempt.URL.Host = in.Address
		if r.Body != nil {
			attempt.Body = io.NopCloser(r.Body) // a failed dial closes the body of its attempt
		}
		var resp *http.Response
		if resp, err = s.next.RoundTrip(attempt); err == nil {
			return resp, nil
		}
		var dial *net.OpError
		if !errors.As(err, &dial) || dial.Op != "dial" {
			break
		}
	}
	return nil, err
}

var errNoInstance = errors.New("the route has no instance")
