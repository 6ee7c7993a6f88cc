package router

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
)

func TestProxy_Limits(t *testing.T) {
	read := func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}
	with := func(t *testing.T, limits route.Limits, h http.HandlerFunc) (string, *live) {
		return serveTraffic(t, route.Traffic{Revision: "rev_1", Limits: limits, Instances: []route.Instance{handle(t, h)}})
	}
	t.Run("refuses a body that is too large, whether its length is known or not", func(t *testing.T) {
		url, l := with(t, route.Limits{MaxBody: 10}, read)
		for _, body := range []io.Reader{strings.NewReader("0123456789a"), io.MultiReader(strings.NewReader("0123456789a"))} {
			resp, err := http.Post(url, "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(b), "10 bytes") {
				t.Errorf("got %d %s", resp.StatusCode, b)
			}
			resp.Body.Close()
		}
		resp, err := http.Post(url, "text/plain", io.MultiReader(strings.NewReader("0123456789")))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if b, _ := io.ReadAll(resp.Body); string(b) != "10 <nil>" {
			t.Errorf("one that is not too large: %d %s", resp.StatusCode, b)
		}
		if got := l.plan.Load().backends[0].series.client.read(); got.Requests[route.Class5xx] > 0 {
			t.Errorf("it is the client's fault: %v", got.Requests)
		}
	})
	t.Run("gives up a body that stops coming, and not one that is slow", func(t *testing.T) {
		url, _ := with(t, route.Limits{Stall: 100 * time.Millisecond}, read)
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 20\r\n\r\n")
		tick := time.NewTicker(30 * time.Millisecond)
		defer tick.Stop()
		for range 10 { // longer than a stall may be, in all
			<-tick.C
			fmt.Fprint(conn, "x")
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusRequestTimeout {
			t.Errorf("got %v, %v", resp, err)
		}
	})
	t.Run("gives up a client that does not take its answer, over either protocol", func(t *testing.T) {
		for _, client := range []*http.Client{{Transport: &http.Transport{ReadBufferSize: 4096}}, h2c(t)} {
			url, l := with(t, route.Limits{Stall: 100 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					if _, err := w.Write(make([]byte, 1<<16)); err != nil {
						return
					}
				}
			})
			resp, err := client.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			awaitIdle(t, l) // though nobody has read it
			resp.Body.Close()
		}
	})
	t.Run("a pause between two parts of an answer is no stall of the client's", func(t *testing.T) {
		for _, client := range []*http.Client{{}, h2c(t)} {
			url, _ := with(t, route.Limits{Stall: 20 * time.Millisecond}, func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, "one ")
				w.(http.Flusher).Flush()
				<-time.After(100 * time.Millisecond)
				fmt.Fprint(w, "two")
			})
			if got, _ := ask(t, client, url); got != "one two" {
				t.Errorf("got %q", got)
			}
		}
	})
	t.Run("nor is one before its end", func(t *testing.T) {
		for _, client := range []*http.Client{{}, h2c(t)} {
			url, _ := with(t, route.Limits{Stall: 20 * time.Millisecond}, func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, "all of it")
				w.(http.Flusher).Flush()
				<-time.After(100 * time.Millisecond)
			})
			if got, _ := ask(t, client, url); got != "all of it" {
				t.Errorf("got %q", got)
			}
		}
	})
	t.Run("waits for a client that is slow to send, and for its instance from then on", func(t *testing.T) {
		never := make(chan struct{})
		defer close(never)
		url, l := with(t, route.Limits{Answer: 500 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			if r.URL.Path == "/late" {
				<-never
			}
			fmt.Fprint(w, n, err)
		})
		for path, want := range map[string]string{"/": "200 3 <nil>", "/late": "504 "} {
			body, send := io.Pipe()
			go func() {
				tick := time.NewTicker(300 * time.Millisecond) // in all longer than an answer may take
				defer tick.Stop()
				for range 3 {
					<-tick.C
					_, _ = io.WriteString(send, "x")
				}
				send.Close()
			}()
			resp, err := http.Post(url+path, "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if got := fmt.Sprintf("%d %s", resp.StatusCode, b); !strings.HasPrefix(got, want) {
				t.Errorf("%s got %s", path, got)
			}
		}
		awaitIdle(t, l)
		if got := classes(l.plan.Load().backends[0].series.client.read()); got != "1 2xx 1 5xx" {
			t.Errorf("counted %s", got)
		}
	})
	t.Run("gives each revision the time that is its own, copies included", func(t *testing.T) {
		never := make(chan struct{})
		defer close(never)
		hang := handle(t, func(http.ResponseWriter, *http.Request) { <-never })
		url, l := serveTraffic(t, route.Traffic{
			Revision: "rev_1", Instances: []route.Instance{handle(t, func(w http.ResponseWriter, _ *http.Request) {
				<-time.After(100 * time.Millisecond)
				fmt.Fprint(w, "late")
			})}, Weight: 1, Mirror: &route.Mirror{Revision: "rev_2", Percent: 100},
			Others: []route.Backend{{Revision: "rev_2", Instances: []route.Instance{hang}, Weight: 1, Answer: 10 * time.Millisecond}},
		})
		got := map[int]int{}
		for range 2 {
			status, _ := get(t, url)
			got[status]++
		}
		if got[http.StatusOK] != 1 || got[http.StatusGatewayTimeout] != 1 {
			t.Errorf("got %v", got)
		}
		awaitBoth(t, l, l.plan.Load().find("rev_2").series, "1 good, 0 bad; copied 0 good, 1 bad; to users 0 good, 1 bad")
	})
	t.Run("says that an instance does not begin its answer in time, and bounds no answer that has begun", func(t *testing.T) {
		late := make(chan struct{})
		url, _ := with(t, route.Limits{Answer: 500 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/late" {
				<-late
			}
			w.(http.Flusher).Flush()
			<-time.After(600 * time.Millisecond)
			fmt.Fprint(w, "all of it")
		})
		if status, body := get(t, url+"/late"); status != http.StatusGatewayTimeout {
			t.Errorf("got %d %s", status, body)
		}
		close(late)
		if status, body := get(t, url); status != http.StatusOK || body != "all of it" {
			t.Errorf("got %d %s", status, body)
		}
	})
	t.Run("a panic ends one request, and is an error of its revision", func(t *testing.T) {
		l := newLive(route.Route{Name: name, Traffic: route.Traffic{Revision: "rev_1", Instances: []route.Instance{backend(t, "one")}}}, newCounter())
		p := newProxy(l, newShared(slog.New(slog.DiscardHandler), time.Now))
		healthy := p.reverse.Transport
		srv := httptest.NewServer(p)
		defer srv.Close()
		p.reverse.Transport = panics{}
		if status, body := get(t, srv.URL); status != http.StatusInternalServerError {
			t.Errorf("got %d %s", status, body)
		}
		p.reverse.Transport = healthy
		if status, body := get(t, srv.URL); status != http.StatusOK || body != "one" {
			t.Errorf("afterwards: %d %s", status, body)
		}
		awaitIdle(t, l)
		if got := l.plan.Load().backends[0].series.client.read(); got.Requests[route.Class5xx] != 1 {
			t.Errorf("counted %v", got.Requests)
		}
	})
}

type panics struct{}

func (panics) RoundTrip(*http.Request) (*http.Response, error) { panic("a bug") }
