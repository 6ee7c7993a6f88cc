package router

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
)

// mirrored is a route whose requests are copied to shadow.
func mirrored(t *testing.T, m route.Mirror, real, shadow http.HandlerFunc) (url string, l *live, s *series) {
	t.Helper()
	return mirroredAt(t, time.Now, m, real, shadow)
}

// mirroredAt is mirrored with a clock of its own.
func mirroredAt(t *testing.T, now func() time.Time, m route.Mirror, real, shadow http.HandlerFunc) (url string, l *live, s *series) {
	t.Helper()
	m.Revision = "rev_2"
	url, l = serveAt(t, route.Traffic{
		Revision: "rev_1", Weight: 1, Instances: []route.Instance{handle(t, real)}, Mirror: &m,
		Others: []route.Backend{{Revision: "rev_2", Instances: []route.Instance{handle(t, shadow)}}},
	}, now)
	return url, l, l.plan.Load().find("rev_2").series
}

func TestRouter_Mirror(t *testing.T) {
	say := func(what string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, what) }
	}
	t.Run("copies its share, exactly, and drops what is answered", func(t *testing.T) {
		copies := make(chan *http.Request, 20)
		url, _, _ := mirrored(t, route.Mirror{Percent: 30}, say("real"), func(w http.ResponseWriter, r *http.Request) {
			copies <- r
			w.WriteHeader(http.StatusTeapot)
		})
		for range 20 {
			if status, body := get(t, url+"/a?b=c"); status != http.StatusOK || body != "real" {
				t.Errorf("got %d %s", status, body)
			}
		}
		for range 6 {
			if r := <-copies; r.URL.String() != "/a?b=c" || r.Header.Get(mirrorHeader) != "rev_1" || r.Header.Get("X-Forwarded-For") == "" || r.Host == "" {
				t.Errorf("copied as %s %s %v", r.URL, r.Host, r.Header)
			}
		}
		if len(copies) > 0 {
			t.Errorf("%d too many", len(copies))
		}
	})
	t.Run("never delays or fails the real one, and counts what the shadow did", func(t *testing.T) {
		stuck := make(chan struct{})
		url, l, s := mirrored(t, route.Mirror{Percent: 100}, say("real"), func(http.ResponseWriter, *http.Request) {
			<-stuck
			panic(http.ErrAbortHandler)
		})
		for range maxMirrors + 10 {
			if status, body := get(t, url); status != http.StatusOK || body != "real" {
				t.Errorf("got %d %s", status, body)
			}
		}
		if n := s.dropped.Load(); n != 10 {
			t.Errorf("%d dropped while all room was taken", n)
		}
		awaitIdle(t, l) // the copies hold up no drain
		awaitDrained(t, l, "rev_2")
		close(stuck)
	})
	t.Run("copies bodies up to a bound, and only methods that it may", func(t *testing.T) {
		copies := make(chan string, 10)
		url, _, s := mirrored(t, route.Mirror{Percent: 100, MaxBody: 1000, Methods: []string{http.MethodPost}},
			func(w http.ResponseWriter, r *http.Request) { b, _ := io.ReadAll(r.Body); _, _ = w.Write(b) },
			func(_ http.ResponseWriter, r *http.Request) { b, _ := io.ReadAll(r.Body); copies <- string(b) })
		for _, size := range []int{1000, 1001, 0, 999, 100_000} {
			want := bytes.Repeat([]byte("x"), size)
			for _, body := range []io.Reader{bytes.NewReader(want), io.MultiReader(bytes.NewReader(want))} {
				resp, err := http.Post(url, "text/plain", body)
				if err != nil {
					t.Fatal(err)
				}
				if got, _ := io.ReadAll(resp.Body); !bytes.Equal(got, want) {
					t.Errorf("the real one got %d bytes of %d", len(got), size)
				}
				resp.Body.Close()
				if size <= 1000 {
					if got := <-copies; got != string(want) {
						t.Errorf("the copy has %d bytes of %d", len(got), size)
					}
				}
			}
		}
		get(t, url)
		if resp, err := http.Head(url); err != nil || resp.Body.Close() != nil {
			t.Error(err)
		}
		if len(copies) > 0 || s.dropped.Load() != 2 { // of known length they are not even begun
			t.Errorf("%d more copies, %d dropped", len(copies), s.dropped.Load())
		}
	})
	t.Run("bodies that are slow to come keep no others from being copied", func(t *testing.T) {
		began, copies := make(chan struct{}, maxBodies+1), make(chan string, 2*maxBodies)
		url, _, s := mirrored(t, route.Mirror{Percent: 100}, func(_ http.ResponseWriter, r *http.Request) {
			began <- struct{}{}
			_, _ = io.Copy(io.Discard, r.Body)
		}, func(_ http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			copies <- string(b)
		})
		var slow [maxBodies + 1]*io.PipeWriter
		answered := make(chan error, len(slow))
		for i := range slow {
			r, w := io.Pipe()
			slow[i] = w
			go func() {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, r)
				if err == nil {
					var resp *http.Response
					if resp, err = http.DefaultClient.Do(req); err == nil {
						err = resp.Body.Close()
					}
				}
				answered <- err
			}()
			if _, err := io.WriteString(w, "x"); err != nil {
				t.Fatal(err)
			}
			<-began
		}
		get(t, url)
		if got := <-copies; got != "" {
			t.Errorf("copied %q before its end", got)
		}
		for _, w := range slow {
			w.Close()
			if err := <-answered; err != nil {
				t.Error(err)
			}
		}
		for range maxBodies {
			if got := <-copies; got != "x" {
				t.Errorf("copied %q", got)
			}
		}
		if n := s.dropped.Load(); n != 1 { // there was no room for the last
			t.Errorf("%d were dropped", n)
		}
	})
	t.Run("a body that breaks off is not copied", func(t *testing.T) {
		url, _, s := mirrored(t, route.Mirror{Percent: 100, Methods: []string{http.MethodPost}}, say("real"), func(http.ResponseWriter, *http.Request) {
			t.Error("copied")
		})
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, io.MultiReader(strings.NewReader("a part"), broken{}))
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(r); err == nil {
			resp.Body.Close()
			t.Error("it did not break off")
		}
		for s.dropped.Load() == 0 {
			get(t, url)
		}
	})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// both are how a request and its copy were counted, by class.
func both(l *live, s *series) string {
	say := func(t *tally) string {
		r := t.read().Requests
		return fmt.Sprintf("%d good, %d bad", r[route.Class2xx], r[route.Class5xx])
	}
	return fmt.Sprintf("%s; copied %s; to users %s", say(&l.plan.Load().find("rev_1").series.original), say(&s.mirrored), say(&s.client))
}

func awaitBoth(t *testing.T, l *live, s *series, want string) {
	t.Helper()
	for got := ""; got != want; got = both(l, s) {
		if t.Context().Err() != nil {
			t.Fatalf("counted %s, want %s", got, want)
		}
		time.Sleep(time.Millisecond) // between two looks
	}
}

func TestRouter_MirrorCountsPairs(t *testing.T) {
	fine := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") }
	broken := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	t.Run("what was copied beside the copies, and no copy as a user's", func(t *testing.T) {
		url, l, s := mirrored(t, route.Mirror{Percent: 20}, fine, broken)
		for range 20 {
			get(t, url)
		}
		awaitBoth(t, l, s, "4 good, 0 bad; copied 0 good, 4 bad; to users 0 good, 0 bad")
		awaitDrained(t, l, "rev_1")
		if n := l.plan.Load().find("rev_1").series.client.read().Requests[route.Class2xx]; n != 20 {
			t.Errorf("%d of 20 requests count as users'", n)
		}
	})
	t.Run("requests that change nothing, unless told otherwise", func(t *testing.T) {
		url, l, s := mirrored(t, route.Mirror{Percent: 100}, fine, fine)
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE"} {
			r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		awaitBoth(t, l, s, "3 good, 0 bad; copied 3 good, 0 bad; to users 0 good, 0 bad")
		awaitDrained(t, l, "rev_1")
		if got := both(l, s); !strings.HasPrefix(got, "3 good") {
			t.Errorf("counted %s", got)
		}
	})
	t.Run("events by how they begin", func(t *testing.T) {
		ends := make(chan struct{})
		events := func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: one\n\n")
			_ = http.NewResponseController(w).Flush()
			if r.Header.Get(mirrorHeader) != "" {
				<-r.Context().Done()
				close(ends)
			}
		}
		url, l, s := mirrored(t, route.Mirror{Percent: 100}, events, events)
		get(t, url)
		awaitBoth(t, l, s, "1 good, 0 bad; copied 1 good, 0 bad; to users 0 good, 0 bad")
		<-ends // nobody listens to the copy's events
	})
	t.Run("neither when the client gave up at once", func(t *testing.T) { gaveUpPair(t, 0) })
	t.Run("nor when it did after a while", func(t *testing.T) { gaveUpPair(t, 2*route.Patience) })
	t.Run("nothing that a client calls a copy", func(t *testing.T) {
		said := make(chan string, 1)
		url, _, _ := mirrored(t, route.Mirror{Percent: 1}, func(_ http.ResponseWriter, r *http.Request) { said <- r.Header.Get(mirrorHeader) }, fine)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(mirrorHeader, "rev_2")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := <-said; got != "" {
			t.Errorf("the component is told that it is the copy %s", got)
		}
	})
	t.Run("neither when the request takes longer than a copy is waited for", func(t *testing.T) {
		answer := make(chan struct{})
		url, l, s := mirrored(t, route.Mirror{Percent: 100}, func(w http.ResponseWriter, _ *http.Request) {
			<-answer
			fmt.Fprint(w, "at last")
		}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		l.plan.Load().mirror.patience = 50 * time.Millisecond
		got := make(chan string)
		go func() {
			_, body := get(t, url)
			got <- body
		}()
		for s.dropped.Load() == 0 {
			time.Sleep(time.Millisecond) // between two looks
		}
		close(answer)
		if body := <-got; body != "at last" {
			t.Errorf("got %q", body)
		}
		awaitDrained(t, l, "rev_1")
		get(t, url) // its copy hangs as well, but it has long been answered
		awaitBoth(t, l, s, "1 good, 0 bad; copied 0 good, 1 bad; to users 0 good, 0 bad")
	})
}

// gaveUpPair has a client wait for some time by the router's clock for what is
// copied, and give up.
func gaveUpPair(t *testing.T, waits time.Duration) {
	var at stopped
	hang, answered := make(chan struct{}), make(chan struct{})
	slow := func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/slow":
		case r.Header.Get(mirrorHeader) == "":
			at.move(waits)
			<-r.Context().Done()
		default:
			<-hang
			defer close(answered)
		}
		fmt.Fprint(w, "fine")
	}
	url, l, s := mirroredAt(t, at.now, route.Mirror{Percent: 100}, slow, slow)
	ctx, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer leave()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/slow", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(r); err == nil {
		resp.Body.Close()
		t.Fatalf("answered %s", resp.Status)
	}
	awaitDrained(t, l, "rev_1")
	close(hang) // its copy is answered, and says nothing
	<-answered
	for range 5 {
		get(t, url)
	}
	awaitBoth(t, l, s, "5 good, 0 bad; copied 5 good, 0 bad; to users 0 good, 0 bad")
}
