package router

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/kind/process/route"
)

// mirrored is a route whose requests are copied to shadow.
func mirrored(t *testing.T, m route.Mirror, real, shadow http.HandlerFunc) (url string, l *live, s *series) {
	t.Helper()
	m.Revision = "rev_2"
	url, l = serveTraffic(t, route.Traffic{
		Revision: "rev_1", Weight: 1, Instances: []route.Instance{handle(t, real)}, Mirror: &m,
		Others: []route.Backend{{Revision: "rev_2", Instances: []route.Instance{handle(t, shadow)}}},
	})
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
