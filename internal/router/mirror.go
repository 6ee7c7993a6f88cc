package router

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// Bounds of copies.
const (
	maxMirrors    = 64               // under way at a time, in the whole router
	maxBodies     = 64               // whose request's body is still coming, likewise
	mirrorTimeout = 30 * time.Second // of one
	mirrorAnswer  = 1 << 20          // bytes of its answer that are read
)

// mirrorHeader tells an instance that nobody waits for its answer.
const mirrorHeader = "Towpath-Mirror"

// mirror is a [route.Mirror] at work.
type mirror struct {
	route.Mirror
	to       *upstream
	patience time.Duration // with a copy
	asked    atomic.Uint64 // requests that might have been copied
	turn     atomic.Uint64
}

func newMirror(p *plan) *mirror {
	m := p.traffic.Mirror
	if m == nil {
		return nil
	}
	to := p.find(m.Revision)
	if to == nil || len(to.Instances) == 0 {
		return nil
	}
	out := &mirror{Mirror: *m, to: to, patience: mirrorTimeout}
	out.MaxBody = min(orDefault(m.MaxBody, route.DefaultMirrorBody), route.MaxMirrorBody)
	if len(m.Methods) == 0 {
		out.Methods = towpath.SafeMethods()
	}
	return out
}

// takes reports whether a request is one of the share that is copied.
func (m *mirror) takes(r *http.Request, to *upstream) bool {
	if m == nil || m.to == to || r.ContentLength > m.MaxBody || r.Header.Get("Upgrade") != "" || !slices.Contains(m.Methods, r.Method) {
		return false
	}
	n := m.asked.Add(1) * uint64(m.Percent)
	return n/100 != (n-uint64(m.Percent))/100
}

// copied is a request that is to be sent to the mirror, once its body is known.
// It is touched under the lock of the body, if there is one.
type copied struct {
	*mirror
	shared  *shared
	room    chan struct{} // that it has a place in, unless it is over: where bodies come, or where copies are sent
	request *http.Request
	body    []byte
	over    bool // sent, or given up
	sent    bool
	pair    pair
}

// pair is what a request and its copy know of each other: they count together or
// not at all, because what one is compared with is the other.
type pair struct {
	mu    sync.Mutex
	other func() // counts the one that ended first; nil: none has
	void  bool   // neither says anything
}

// end ends one of the two. It is void when it says nothing: a client that gave up
// would have left its copy alone, too, however long it had waited.
func (p *pair) end(count func(), void bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.void = p.void || void
	switch {
	case p.other == nil:
		p.other = count
	case !p.void:
		p.other()
		count()
	}
}

// wait reports whether the request takes longer than anybody waits for its copy,
// which says nothing then.
func (p *pair) wait() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.void = p.void || p.other == nil
	return p.void
}

// newCopy makes room for the copy of a request, nil when there is none. A body that is
// slow to come takes no room from copies that can be sent.
func (s *shared) newCopy(m *mirror, r *http.Request) *copied {
	c := &copied{mirror: m, shared: s, room: s.mirrors}
	if r.Body != nil && r.Body != http.NoBody {
		c.room = s.bodies
	}
	select {
	case c.room <- struct{}{}:
		return c
	default:
		m.to.series.dropped.Add(1)
		return nil
	}
}

// add takes the next part of the request's body. At its end the copy is sent.
func (c *copied) add(p []byte, err error) {
	switch {
	case c.over:
	case int64(len(c.body)+len(p)) > c.MaxBody, err != nil && !errors.Is(err, io.EOF):
		c.giveUp()
	default:
		c.body = append(c.body, p...)
		if err != nil {
			c.send()
		}
	}
}

// send sends the copy in the background, if there is room.
func (c *copied) send() {
	c.over = true
	if c.room != c.shared.mirrors {
		<-c.room
		select {
		case c.shared.mirrors <- struct{}{}:
		default:
			c.to.series.dropped.Add(1)
			return
		}
	}
	c.sent = true
	go c.run()
}

// end counts the request that was copied, by how its client had it answered. Its
// body, if there is one, is over.
func (c *copied) end(s *series, class int, took time.Duration) {
	if c != nil && c.sent {
		c.pair.end(func() { s.original.count(class, took) }, class == classAborted || class == classUnanswered)
	}
}

// giveUp leaves a copy that has not been sent.
func (c *copied) giveUp() {
	if c == nil || c.over {
		return
	}
	c.over = true
	c.to.series.dropped.Add(1)
	<-c.room
}

func (c *copied) run() {
	began := c.shared.now()
	defer func() { <-c.shared.mirrors }()
	defer func() {
		if v := recover(); v != nil {
			c.shared.log.Error("a copy of a request panicked", "revision", c.to.Revision, "panic", v)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), c.patience)
	defer cancel()
	r := c.request.WithContext(ctx)
	r.URL.Host = c.to.Instances[c.turn.Add(1)%uint64(c.to.in)].Address
	r.ContentLength, r.Body = int64(len(c.body)), http.NoBody
	if len(c.body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(c.body))
	}
	class := c.class(r)
	took := c.shared.now().Sub(began)
	if ctx.Err() != nil && c.pair.wait() {
		c.to.series.dropped.Add(1)
		return
	}
	c.pair.end(func() { c.to.series.mirrored.count(class, took) }, false)
}

// class sends the copy and takes its answer, which has to begin as soon as one to
// a user. Events have no end to wait for.
func (c *copied) class(r *http.Request) int {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	late := time.AfterFunc(cmp.Or(c.to.Answer, longest), cancel)
	resp, err := c.shared.transport.of(c.to.Protocol).RoundTrip(r.WithContext(ctx))
	late.Stop()
	if err != nil {
		return class5xx
	}
	defer resp.Body.Close()
	class := min(max(resp.StatusCode/100-1, class1xx), class5xx)
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return class
	}
	n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, mirrorAnswer))
	if err != nil || n < mirrorAnswer && resp.StatusCode == http.StatusOK && grpcFailed(resp.Header, resp.Trailer) {
		return class5xx
	}
	return class
}
