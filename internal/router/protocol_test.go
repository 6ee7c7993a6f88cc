package router

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// h2c is a client of HTTP/2 without TLS.
func h2c(t *testing.T) *http.Client {
	t.Helper()
	p := &http.Protocols{}
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: p}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// handleH2C is an instance that speaks HTTP/2 without TLS, and nothing else.
func handleH2C(t *testing.T, h http.HandlerFunc) route.Instance {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &http.Protocols{}
	p.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: h, Protocols: p}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close() })
	return route.Instance{ID: "h2c", Address: ln.Addr().String()}
}

// echo answers each line of a request as it comes, and says in its trailers how
// the call ended, as gRPC does.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "Grpc-Status")
	w.Header().Set("X-Proto", r.Proto+" "+r.Header.Get("Te"))
	_ = http.NewResponseController(w).EnableFullDuplex()
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		fmt.Fprintf(w, "echo %s\n", lines.Text())
		w.(http.Flusher).Flush()
	}
	w.Header().Set("Grpc-Status", "0")
	w.Header().Set(http.TrailerPrefix+"Grpc-Message", "done")
}

func TestProxy_HTTP2(t *testing.T) {
	for _, c := range []struct {
		what     string
		client   func(*testing.T) *http.Client
		protocol route.Protocol
		instance func(*testing.T, http.HandlerFunc) route.Instance
		want     string
	}{
		{"HTTP/2 to HTTP/2, as gRPC has it", h2c, route.H2C, handleH2C, "HTTP/2.0 trailers"},
		{"HTTP/2 to HTTP/1.1", h2c, route.HTTP1, handle, "HTTP/1.1 trailers"},
		{"HTTP/1.1 to HTTP/2", func(*testing.T) *http.Client { return &http.Client{} }, route.H2C, handleH2C, "HTTP/2.0 trailers"},
		{"HTTP/1.1 to HTTP/1.1", func(*testing.T) *http.Client { return &http.Client{} }, route.HTTP1, handle, "HTTP/1.1 trailers"},
	} {
		t.Run("carries both directions at once, and trailers: "+c.what, func(t *testing.T) {
			url, l := serveTraffic(t, route.Traffic{Revision: "rev_1", Protocol: c.protocol, Instances: []route.Instance{c.instance(t, echo)}})
			body, send := io.Pipe()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Te", "trailers")
			resp, err := c.client(t).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			lines := bufio.NewReader(resp.Body)
			for i := range 3 { // each is answered before the next one is sent
				fmt.Fprintf(send, "%d\n", i)
				if got, err := lines.ReadString('\n'); got != fmt.Sprintf("echo %d\n", i) {
					t.Fatalf("got %q, %v", got, err)
				}
			}
			send.Close()
			if _, err := lines.ReadString('\n'); err != io.EOF {
				t.Fatalf("the end: %v", err)
			}
			if resp.Header.Get("X-Proto") != c.want || resp.Trailer.Get("Grpc-Status") != "0" || resp.Trailer.Get("Grpc-Message") != "done" {
				t.Errorf("the instance saw %q, the trailers are %v", resp.Header.Get("X-Proto"), resp.Trailer)
			}
			awaitIdle(t, l)
		})
	}
	t.Run("an upgrade to HTTP/2 goes no further than the router", func(t *testing.T) {
		url, _ := serveRoute(t, handle(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Header["Upgrade"], r.Header["Http2-Settings"])
		}))
		got, _ := ask(t, http.DefaultClient, url, "Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c", "HTTP2-Settings", "AAMAAABk")
		if got != "[] []" && got != "[][]" {
			t.Errorf("the instance saw %s", got)
		}
	})
}

// awaitIdle waits until nothing is under way to the revision of [serveRoute].
func awaitIdle(t *testing.T, l *live) {
	t.Helper()
	awaitDrained(t, l, "rev_1")
}

// awaitDrained waits until nothing is under way to a revision, as a drain does.
func awaitDrained(t *testing.T, l *live, rev towpath.RevisionID) {
	t.Helper()
	for {
		n, again := l.left(rev)
		if n == 0 {
			return
		}
		select {
		case <-again:
		case <-t.Context().Done():
			t.Fatal("requests are still under way")
		}
	}
}

// early answers without waiting for what it is sent.
func early(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "HTTP/1.1 418 I'm a teapot\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nenough\r\n0\r\n\r\n")
	_, _ = io.Copy(io.Discard, conn)
}

func TestProxy_Clients(t *testing.T) {
	t.Run("an instance hears that the client went away", func(t *testing.T) {
		for _, client := range []*http.Client{{}, h2c(t)} {
			entered, left := make(chan struct{}), make(chan struct{})
			in := handle(t, func(_ http.ResponseWriter, r *http.Request) {
				close(entered)
				<-r.Context().Done()
				close(left)
			})
			var at stopped // it has not waited at all
			url, l := serveAt(t, route.Traffic{Revision: "rev_1", Instances: []route.Instance{in}}, at.now)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-entered; cancel() }()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp, err := client.Do(r); err == nil {
				resp.Body.Close()
				t.Error("answered")
			}
			<-left
			awaitIdle(t, l)
			got := l.plan.Load().backends[0].series.client.read()
			if got.Requests[route.Aborted] != 1 || got.Requests[route.Class5xx] != 0 || got.Requests[route.Unanswered] != 0 {
				t.Errorf("counted %v", got.Requests)
			}
			if n := slices.Max(got.Buckets); n > 0 || got.Seconds > 0 {
				t.Errorf("it says how long an answer takes: %v", got.Buckets)
			}
		}
	})
	t.Run("an answer before the body's end comes at once", func(t *testing.T) {
		url, _ := serveRoute(t, handle(t, early))
		body, send := io.Pipe()
		defer send.Close()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(send, "the first part") }()
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusTeapot || string(b) != "enough" {
			t.Errorf("got %d %q, %v", resp.StatusCode, b, err)
		}
	})
	t.Run("what follows such an answer is never taken for a request", func(t *testing.T) {
		var seen atomic.Int64
		url, _ := serveRoute(t, handle(t, func(w http.ResponseWriter, r *http.Request) { seen.Add(1); early(w, r) }))
		for _, size := range []int{100, 1000, 1 << 20} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\nx", size)
			answers := bufio.NewReader(conn)
			resp, err := http.ReadResponse(answers, nil)
			if err != nil || resp.StatusCode != http.StatusTeapot || !resp.Close {
				t.Fatalf("got %v, %v", resp, err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			fmt.Fprint(conn, "GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n") // a part of the body
			if resp, err := http.ReadResponse(answers, nil); err == nil {
				t.Errorf("answered again: %v", resp)
			}
			conn.Close()
		}
		if n := seen.Load(); n != 3 {
			t.Errorf("the instance saw %d requests", n)
		}
	})
	t.Run("many small bodies over one connection", func(t *testing.T) {
		url, _ := serveRoute(t, handle(t, func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			_, _ = w.Write(b)
		}))
		for i := range 300 {
			want := strings.Repeat("x", i*i)
			var body io.Reader = strings.NewReader(want)
			if i%2 == 0 {
				body = io.MultiReader(body) // of unknown length
			}
			resp, err := http.Post(url, "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(resp.Body); string(b) != want {
				t.Fatalf("%d bytes came back as %d, %v", len(want), len(b), err)
			}
			resp.Body.Close()
		}
	})
}
