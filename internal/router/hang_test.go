package router

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
)

// stopped is a clock that stands still until a test moves it.
type stopped struct{ ahead atomic.Int64 }

// standing is where it begins: now, because deadlines of connections are real.
var standing = time.Now()

func (s *stopped) now() time.Time        { return standing.Add(time.Duration(s.ahead.Load())) }
func (s *stopped) move(by time.Duration) { s.ahead.Add(int64(by)) }

// patient is a client that gives up when it is told to.
type patient struct {
	at      stopped
	l       *live
	url     string
	reached chan struct{} // the instance has the request
	began   chan struct{} // the client has the head of an answer
}

// gaveUp has a client ask, wait until the instance has the request (or has begun
// to answer), and for some time by the router's clock, and give up. It is how the
// request was counted.
func gaveUp(t *testing.T, client *http.Client, waits time.Duration, body io.Reader, answers bool, h http.HandlerFunc) route.Tally {
	t.Helper()
	p := &patient{reached: make(chan struct{}), began: make(chan struct{})}
	in := handle(t, func(w http.ResponseWriter, r *http.Request) {
		h(w, r)
		close(p.reached)
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice who leaves
		<-r.Context().Done()
	})
	p.url, p.l = serveAt(t, route.Traffic{Revision: "rev_1", Instances: []route.Instance{in}}, p.at.now)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, body)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if resp, err := client.Do(r); err == nil {
			close(p.began)
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}()
	<-p.reached
	if answers {
		<-p.began
	}
	p.at.move(waits)
	leave()
	if sending, ok := body.(*io.PipeReader); ok {
		sending.Close() // the client's transport is in it
	}
	<-done
	awaitIdle(t, p.l)
	return p.l.plan.Load().backends[0].series.client.read()
}

// classes are those that were counted.
func classes(t route.Tally) string {
	out := ""
	for _, class := range route.Classes() {
		if n := t.Requests[class]; n > 0 {
			out += fmt.Sprintf("%d %s ", n, class)
		}
	}
	return strings.TrimSpace(out)
}

func TestProxy_CountsWhatClientsGiveUp(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	for protocol, client := range map[string]*http.Client{"HTTP/1.1": {Transport: &http.Transport{}}, "HTTP/2": h2c(t)} {
		t.Run(protocol, func(t *testing.T) {
			t.Run("as nothing before it has waited for a second", func(t *testing.T) {
				got := gaveUp(t, client, route.Patience-time.Millisecond, nil, false, hang)
				if classes(got) != "1 aborted" || got.Seconds != 0 {
					t.Errorf("counted %s, %v s", classes(got), got.Seconds)
				}
			})
			t.Run("as unanswered from then on, at the time that it waited", func(t *testing.T) {
				for _, body := range []io.Reader{nil, strings.NewReader("order 66")} {
					got := gaveUp(t, client, 7*time.Second, body, false, hang)
					if classes(got) != "1 unanswered" || got.Seconds != 7 || got.Buckets[slices.Index(bounds[:], 7500*time.Millisecond)] != 1 {
						t.Errorf("counted %s, %v s in %v", classes(got), got.Seconds, got.Buckets)
					}
				}
			})
			t.Run("as answered once its answer has begun", func(t *testing.T) {
				got := gaveUp(t, client, time.Hour, nil, true, func(w http.ResponseWriter, _ *http.Request) {
					_ = http.NewResponseController(w).Flush()
				})
				if classes(got) != "1 2xx" {
					t.Errorf("counted %s", classes(got))
				}
			})
			t.Run("as its own doing while it was sending", func(t *testing.T) {
				body, send := io.Pipe()
				go func() { _, _ = io.WriteString(send, "a part") }()
				got := gaveUp(t, client, 10*time.Second, body, false, func(_ http.ResponseWriter, r *http.Request) {
					_, _ = io.ReadFull(r.Body, make([]byte, len("a part")))
				})
				if got.Requests[route.Unanswered]+got.Requests[route.Class5xx] > 0 {
					t.Errorf("counted %s", classes(got))
				}
			})
		})
	}
}
