package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
)

// flushAfter is how long a part of an answer may wait for the next one. What has
// no length, and events, do not wait.
const flushAfter = 5 * time.Millisecond

// shared is what the proxies of a router have in common.
type shared struct {
	transport *spread
	log       *slog.Logger
	now       func() time.Time
	buffers   *buffers
	mirrors   chan struct{} // room for copies
	bodies    chan struct{} // and for those of requests that are still coming
	build     string        // of this process's program

	replaced    atomic.Bool  // another router has the listeners
	connections atomic.Int64 // of clients, but for those that were upgraded
}

func newShared(log *slog.Logger, now func() time.Time) *shared {
	return &shared{
		transport: newSpread(), log: log, now: now, buffers: newBuffers(), build: buildOf(selfExe),
		mirrors: make(chan struct{}, maxMirrors), bodies: make(chan struct{}, maxBodies),
	}
}

// proxy is the handler of a live route.
type proxy struct {
	*shared
	route   *live
	reverse *httputil.ReverseProxy
}

func newProxy(l *live, s *shared) *proxy {
	p := &proxy{shared: s, route: l}
	p.reverse = &httputil.ReverseProxy{
		Transport:     s.transport,
		FlushInterval: flushAfter,
		BufferPool:    s.buffers,
		ErrorLog:      slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		Rewrite:       rewrite,
		ErrorHandler:  p.failed,
	}
	return p
}

// ServeHTTP sends a request to an instance of a revision that has traffic as it
// begins.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		http.Error(w, "405: this is no tunnel.", http.StatusMethodNotAllowed)
		return
	}
	noH2C(r)
	c, ok := p.route.begin(r)
	if !ok {
		w.Header().Set("Retry-After", "1")
		p.log.WarnContext(r.Context(), "no revision has traffic yet", "route", p.route.status().Name)
		http.Error(w, "503: nothing answers here yet.\n"+forOperators, http.StatusServiceUnavailable)
		return
	}
	x := p.newExchange(w, r, c)
	defer p.finish(x, r)
	if c.plan.mirror.takes(r, c.to) {
		x.copy = p.newCopy(c.plan.mirror, r)
	}
	p.reverse.ServeHTTP(x, x.guard(r))
}

// finish counts the request out, whatever became of it. A panic ends it and
// nothing else.
func (p *proxy) finish(x *exchange, r *http.Request) {
	broke := recover()
	if x.cancel != nil {
		x.cancel(nil)
	}
	if broke != nil && broke != http.ErrAbortHandler { //nolint:errorlint // it is what was thrown, not an error that was returned
		p.log.Error("a request panicked", "route", p.route.status().Name, "revision", x.to.Revision, "panic", broke, "stack", string(debug.Stack()))
		if x.status == 0 {
			broke = nil
			http.Error(x, "500: the router failed on this request; its log says why.", http.StatusInternalServerError)
		}
	}
	took := x.took
	if took == 0 {
		took = p.now().Sub(x.began)
	}
	class := x.class(broke != nil, r.Context().Err() != nil)
	x.to.series.client.count(class, took)
	p.route.end(x.chosen)
	if x.body == nil {
		x.copy.giveUp()
	}
	x.body.finish()
	x.copy.end(x.to.series, class, took)
	if !x.http2 && x.status != 0 && x.status != http.StatusSwitchingProtocols {
		x.arm() // the answer's end is still to be written, however long ago its last part was
	}
	if broke != nil {
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
}

// rewrite makes the request that an instance gets. Hop-by-hop headers are gone
// already.
func rewrite(pr *httputil.ProxyRequest) {
	pr.Out.URL.Scheme = "http"
	pr.Out.URL.Host = "instance" // the transport puts the real one
	pr.Out.Host = pr.In.Host
	x := exchangeOf(pr.In.Context())
	forward(pr, trusts(x.to.Trusted, pr.In.RemoteAddr))
	pr.Out.Header.Del(mirrorHeader) // components believe it: no client may say that it is a copy
	if x.copy == nil {
		return
	}
	x.copy.request = pr.Out.Clone(context.Background())
	x.copy.request.Header.Set(mirrorHeader, string(x.to.Revision))
	if pr.Out.Body == nil {
		x.copy.send()
	}
}

// forward tells an instance who asks, in which scheme and for which host. What the
// client says of that is passed on when it is a proxy that is believed.
func forward(pr *httputil.ProxyRequest, believed bool) {
	if !believed {
		pr.SetXForwarded()
		return
	}
	pr.Out.Header["X-Forwarded-For"] = pr.In.Header["X-Forwarded-For"] // which SetXForwarded adds to
	pr.SetXForwarded()
	for _, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Host"} {
		if said := pr.In.Header[name]; len(said) > 0 {
			pr.Out.Header[name] = said
		}
	}
}

// trusts reports whether a client's address ("10.0.0.7:41234") is in one of the
// ranges.
func trusts(ranges []netip.Prefix, client string) bool {
	if len(ranges) == 0 {
		return false
	}
	a, err := netip.ParseAddrPort(client)
	return err == nil && slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(a.Addr().Unmap().WithZone("")) })
}

// noH2C drops the wish to go on in HTTP/2, which is for the next hop only: an
// instance that granted it would be talked to past the router.
func noH2C(r *http.Request) {
	if strings.EqualFold(r.Header.Get("Upgrade"), "h2c") {
		r.Header.Del("Upgrade")
		r.Header.Del("Http2-Settings")
	}
}

// forOperators is what an answer of the router's own says to who runs it. It names
// nothing of theirs: everybody's users read it.
const forOperators = "If this is yours: `towpath status` shows what runs, and the log of the router which revision did not answer."

// failed answers in place of an instance that did not.
func (p *proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r.Context())
	_, problem := x.body.state()
	switch {
	case errors.Is(problem, errTooLarge):
		http.Error(w, fmt.Sprintf("413: bodies may have at most %d bytes.", orDefault(x.plan.traffic.Limits.MaxBody, route.DefaultMaxBody)), http.StatusRequestEntityTooLarge)
		return
	case errors.Is(problem, errStalled):
		http.Error(w, fmt.Sprintf("408: the request's body stopped coming for %s.", x.stall), http.StatusRequestTimeout)
		return
	case errors.Is(err, context.Canceled), r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // the client went away
	case problem != nil:
		http.Error(w, "400: the request's body broke off.", http.StatusBadRequest)
		return
	}
	status, what := http.StatusBadGateway, "nothing answers here"
	if errors.Is(err, errNoAnswer) {
		status, what = http.StatusGatewayTimeout, fmt.Sprintf("nothing answered within %s", x.to.Answer)
	}
	p.log.WarnContext(r.Context(), "no answer from an instance", "route", p.route.status().Name, "revision", x.to.Revision, "error", err)
	http.Error(w, fmt.Sprintf("%d: %s.\n%s", status, what, forOperators), status)
}

// stickyCookie is what keeps a client with its revision.
func stickyCookie(s *route.Sticky, value string) *http.Cookie {
	return &http.Cookie{
		Name: s.Cookie, Value: value, Path: "/", MaxAge: int(s.MaxAge.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// buffers are what answers are copied through.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

func newBuffers() *buffers {
	return &buffers{sync.Pool{New: func() any { return new([bufferSize]byte) }}}
}

// Get implements [httputil.BufferPool].
func (b *buffers) Get() []byte { return b.pool.Get().(*[bufferSize]byte)[:] }

// Put implements [httputil.BufferPool].
func (b *buffers) Put(p []byte) { b.pool.Put((*[bufferSize]byte)(p)) }
