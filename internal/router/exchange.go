package router

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
)

// exchange is one request and its answer. It is the writer of the answer, and
// what the parts of the proxy find in the request's context.
type exchange struct {
	http.ResponseWriter
	chosen
	route  *live
	shared *shared
	began  time.Time
	took   time.Duration // until the answer began, of one whose end says nothing
	stall  time.Duration // that the client may make
	body   *body         // of the request; nil without one
	copy   *copied       // for the mirror; nil when it is not copied
	cancel context.CancelCauseFunc

	writeBy func(time.Time) error // sets the deadline of writing; nil when there is none to set
	http2   bool                  // whose deadlines strike while nobody writes, too
	status  int                   // 0: not answered yet
	lost    bool                  // the client did not take the answer
}

// exchangeKey is that of an exchange in its request's context.
type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

func (p *proxy) newExchange(w http.ResponseWriter, r *http.Request, c chosen) *exchange {
	s := p.shared
	x := &exchange{ResponseWriter: w, chosen: c, route: p.route, shared: s, began: s.now(), http2: r.ProtoMajor == 2}
	x.stall = orDefault(c.plan.traffic.Limits.Stall, defaultStall)
	if d, ok := w.(interface{ SetWriteDeadline(t time.Time) error }); ok {
		x.writeBy = d.SetWriteDeadline
	}
	return x
}

// Unwrap is for [http.ResponseController].
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader implements [http.ResponseWriter]. What only says that an answer is
// to come passes.
func (x *exchange) WriteHeader(status int) {
	if status >= 200 {
		x.status = status
		x.finishHeader(false)
	}
	x.arm()
	x.ResponseWriter.WriteHeader(status)
	x.disarm()
}

func (x *exchange) finishHeader(upgraded bool) {
	h := x.Header()
	if upgraded || strings.HasPrefix(h.Get("Content-Type"), "text/event-stream") {
		x.took = x.shared.now().Sub(x.began)
	}
	if x.cookie {
		http.SetCookie(x.ResponseWriter, stickyCookie(x.plan.traffic.Sticky, x.plan.keeps(x.to)))
	}
	if upgraded {
		return
	}
	// The client's next request is for the router that replaced this one; HTTP/2
	// has its own way to say it. And what follows an answer that did not wait for
	// the request's end must not be taken for a request.
	if x.shared.replaced.Load() || !x.http2 && x.body.open() {
		h.Set("Connection", "close")
	}
}

// Write implements [http.ResponseWriter]. A client that does not take its answer
// is given up after a while.
func (x *exchange) Write(p []byte) (int, error) {
	x.arm()
	n, err := x.ResponseWriter.Write(p)
	x.disarm()
	x.lost = x.lost || err != nil
	return n, err
}

// FlushError is what [http.ResponseController] looks for.
func (x *exchange) FlushError() error {
	x.arm()
	err := http.NewResponseController(x.ResponseWriter).Flush()
	x.disarm()
	x.lost = x.lost || err != nil
	return err
}

// Hijack gives the connection away: from here on it is the client's and the
// instance's own. [httputil.ReverseProxy] does so instead of answering 101.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(x.ResponseWriter).Hijack()
	if err == nil {
		x.status = http.StatusSwitchingProtocols
		x.finishHeader(true)
	}
	return conn, rw, err
}

// arm sets the deadline of what is written next.
func (x *exchange) arm() {
	if x.writeBy != nil {
		_ = x.writeBy(x.shared.now().Add(x.stall)) // without one the write may take for ever, which is no reason to fail
	}
}

// disarm takes it back where it would strike without a write.
func (x *exchange) disarm() {
	if x.http2 && x.writeBy != nil {
		_ = x.writeBy(time.Time{})
	}
}

// waited is how long an instance has had all that the client sent, as far as it
// took it: what a client is slow to send holds up no answer of the instance's.
func (x *exchange) waited() time.Duration {
	since, client := x.body.moved()
	if client {
		return 0
	}
	if since.Before(x.began) {
		since = x.began
	}
	return x.shared.now().Sub(since)
}

// class is how the exchange counts. broke says that its handler was broken off,
// gone that the client was not there any more.
func (x *exchange) class(broke, gone bool) int {
	switch {
	case x.status == 0 && gone && x.waited() >= route.Patience:
		return classUnanswered
	case x.status == 0 && gone:
		return classAborted
	case x.status == 0, broke && !gone && !x.lost:
		return class5xx
	case x.status == http.StatusOK && !broke && !gone && !x.lost && grpcFailed(x.Header(), x.Header()):
		return class5xx
	}
	return min(max(x.status/100-1, class1xx), class5xx)
}
