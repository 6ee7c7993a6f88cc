package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/http/rest"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/apitest"
)

var errEnough = errors.New("enough")

// collect watches until it has seen the entry last.
func collect(ctx context.Context, c *client.Client, after, last int64) (seqs []int64, err error) {
	err = c.Watch(ctx, "shop", after, func(e ledger.Entry) error {
		seqs = append(seqs, e.Seq)
		if e.Seq == last {
			return errEnough
		}
		return nil
	})
	return seqs, err
}

func entries(from, to int64) (out []ledger.Entry) {
	for seq := from; seq <= to; seq++ {
		out = append(out, ledger.Entry{Seq: seq, Event: towpath.Event{
			ID: towpath.EventID(fmt.Sprint("evt_", seq)), Action: "a.b", Actor: "ana", Project: "shop", At: time.Unix(seq, 0).UTC(),
		}})
	}
	return out
}

func TestWatch(t *testing.T) {
	t.Run("sees every entry once and in order, however often the connection breaks", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			w := apitest.NewWorld()
			total := rapid.Int64Range(1, 40).Draw(rt, "entries")
			w.Append(entries(1, total)...)
			cuts := rapid.SliceOfN(rapid.IntRange(1, 2000), 0, 6).Draw(rt, "bytes before the connection breaks")
			s := apitest.New(t, w)
			c := connect(t, s.URL, func(c *client.Config) { c.Transport = &cutting{cuts: cuts} })
			got, err := collect(t.Context(), c, 0, total)
			if !errors.Is(err, errEnough) {
				rt.Fatal(err)
			}
			want := make([]int64, total)
			for i := range want {
				want[i] = int64(i + 1)
			}
			if !slices.Equal(got, want) {
				rt.Fatalf("got %v", got)
			}
		})
	})
	t.Run("goes on when the server ends the stream", func(t *testing.T) {
		w := apitest.NewWorld()
		s := apitest.New(t, w, func(c *rest.Config, _ *rest.Deps) { c.WatchFor = 20 * time.Millisecond })
		streams := int64(0)
		each := connect(t, s.URL, func(c *client.Config) {
			c.Transport = before(func() { // one entry a stream
				streams++
				w.Append(entries(streams, streams)...)
			})
		})
		got, err := collect(t.Context(), each, 0, 5)
		if !errors.Is(err, errEnough) || !slices.Equal(got, []int64{1, 2, 3, 4, 5}) {
			t.Errorf("got %v, %v", got, err)
		}
	})
	t.Run("begins now when it is told to", func(t *testing.T) {
		w := apitest.NewWorld()
		w.Append(entries(1, 3)...)
		s := apitest.New(t, w)
		c := connect(t, s.URL, func(c *client.Config) {
			c.Transport = before(func() { // it has found its position
				if w.Called("audit.Events") == 1 {
					w.Append(entries(4, 4)...)
				}
			})
		})
		got, err := collect(t.Context(), c, client.FromNow, 4)
		if !errors.Is(err, errEnough) || !slices.Equal(got, []int64{4}) {
			t.Errorf("got %v, %v", got, err)
		}
	})
	t.Run("ends when it is refused", func(t *testing.T) {
		s := apitest.New(t, apitest.NewWorld())
		c := connect(t, s.URL, func(c *client.Config) { c.Token = "other" })
		if _, err := collect(t.Context(), c, 0, 1); towpath.KindOf(err) != towpath.KindUnauthenticated {
			t.Errorf("got %v", err)
		}
	})
	t.Run("leaves out what a server sends again", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for _, seq := range []int64{1, 2, 2, 1, 3} {
				_, _ = fmt.Fprintf(w, "id: %d\ndata: {\"seq\":%d}\n\n", seq, seq)
			}
		}))
		defer s.Close()
		got, err := collect(t.Context(), connect(t, s.URL), 0, 3)
		if !errors.Is(err, errEnough) || !slices.Equal(got, []int64{1, 2, 3}) {
			t.Errorf("got %v, %v", got, err)
		}
	})
	t.Run("takes a stream that says nothing for dead", func(t *testing.T) {
		connections := make(chan struct{}, 100)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			connections <- struct{}{}
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}))
		defer s.Close()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-connections
			<-connections
			cancel()
		}()
		c := connect(t, s.URL, func(c *client.Config) { c.Quiet = 20 * time.Millisecond })
		if _, err := collect(ctx, c, 0, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// cutting breaks connections of watches after some bytes.
type cutting struct{ cuts []int }

func (c *cutting) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && len(c.cuts) > 0 && resp.Header.Get("Content-Type") == "text/event-stream" {
		resp.Body = &cut{resp.Body, c.cuts[0]}
		c.cuts = c.cuts[1:]
	}
	return resp, err
}

// before calls itself before every request.
type before func()

func (b before) RoundTrip(r *http.Request) (*http.Response, error) {
	b()
	return http.DefaultTransport.RoundTrip(r)
}
