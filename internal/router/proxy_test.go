package router

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
)

// serveRoute is a proxy in this process for instances.
func serveRoute(t *testing.T, in ...route.Instance) (url string, l *live) {
	t.Helper()
	return serveTraffic(t, route.Traffic{Revision: "rev_1", Instances: in})
}

// serveTraffic is a proxy in this process for traffic of any kind.
func serveTraffic(t *testing.T, traffic route.Traffic) (url string, l *live) {
	t.Helper()
	return serveAt(t, traffic, time.Now)
}

// serveAt is serveTraffic with a clock of its own.
func serveAt(t *testing.T, traffic route.Traffic, now func() time.Time) (url string, l *live) {
	t.Helper()
	if err := check(&traffic); err != nil {
		t.Fatal(err)
	}
	l = newLive(route.Route{Name: name, Traffic: traffic}, newCounter())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newShared(slog.New(slog.DiscardHandler), now)
	srv := newFrontServer(ln, newProxy(l, s), s)
	srv.start()
	t.Cleanup(func() { srv.http.Close() })
	return "http://" + ln.Addr().String(), l
}

func dead(t testing.TB) route.Instance {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return route.Instance{ID: "dead", Address: ln.Addr().String()}
}

func handle(t *testing.T, h http.HandlerFunc) route.Instance {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return route.Instance{ID: "handler", Address: srv.Listener.Addr().String()}
}

// upgrades is an instance that says what it hears, as a websocket would.
func upgrades(w http.ResponseWriter, _ *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	_, _ = io.Copy(conn, rw)
}

// upgrade is a client of it.
func upgrade(t *testing.T, url string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %v, %v", resp, err)
	}
	return conn, r
}

func TestProxy(t *testing.T) {
	t.Run("answers 503 while nothing has traffic", func(t *testing.T) {
		url, _ := serveRoute(t)
		if status, body := get(t, url); status != http.StatusServiceUnavailable || strings.Contains(body, name) || !strings.Contains(body, "towpath status") {
			t.Errorf("got %d %q", status, body)
		}
	})
	t.Run("answers 502 and says in its log whose instances are dead, to nobody else", func(t *testing.T) {
		l := newLive(route.Route{Name: name, Traffic: route.Traffic{Revision: "rev_1", Instances: []route.Instance{dead(t)}}}, newCounter())
		var log bytes.Buffer
		w := httptest.NewRecorder()
		newProxy(l, newShared(slog.New(slog.NewTextHandler(&log, nil)), time.Now)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		if body := w.Body.String(); w.Code != http.StatusBadGateway || strings.Contains(body, name) || strings.Contains(body, "rev_1") || !strings.Contains(body, "towpath status") {
			t.Errorf("got %d %q", w.Code, body)
		}
		if said := log.String(); !strings.Contains(said, "route="+name) || !strings.Contains(said, "revision=rev_1") {
			t.Errorf("the log says %q", said)
		}
		if !l.idle() {
			t.Error("the failed request still counts")
		}
	})
	t.Run("tries the next instance while one can't be connected to, body and all", func(t *testing.T) {
		url, _ := serveRoute(t, dead(t), handle(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }), dead(t))
		for range 6 {
			resp, err := http.Post(url, "text/plain", strings.NewReader("order 66"))
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := io.ReadAll(resp.Body); string(b) != "order 66" {
				t.Errorf("got %d %q", resp.StatusCode, b)
			}
			resp.Body.Close()
		}
	})
	t.Run("does not send a request twice that an instance has seen", func(t *testing.T) {
		var seen atomic.Int64
		abort := func(http.ResponseWriter, *http.Request) { seen.Add(1); panic(http.ErrAbortHandler) }
		url, _ := serveRoute(t, handle(t, abort), handle(t, abort))
		resp, err := http.Post(url, "text/plain", strings.NewReader("order 66"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if n := seen.Load(); n != 1 || resp.StatusCode != http.StatusBadGateway {
			t.Errorf("sent %d times, answered %d", n, resp.StatusCode)
		}
	})
	t.Run("passes a stream on as it comes", func(t *testing.T) {
		next := make(chan struct{})
		url, _ := serveRoute(t, handle(t, func(w http.ResponseWriter, _ *http.Request) {
			for i := range 3 {
				fmt.Fprintf(w, "event %d\n", i)
				w.(http.Flusher).Flush()
				<-next
			}
		}))
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewReader(resp.Body)
		for i := range 3 { // each line arrives before the next one is written
			if got, err := lines.ReadString('\n'); got != fmt.Sprintf("event %d\n", i) {
				t.Fatalf("got %q, %v", got, err)
			}
			next <- struct{}{}
		}
	})
	t.Run("carries a connection that is upgraded, as websockets are, and counts it", func(t *testing.T) {
		url, l := serveRoute(t, handle(t, upgrades))
		conn, r := upgrade(t, url)
		fmt.Fprint(conn, "hello\n")
		if got, err := r.ReadString('\n'); got != "hello\n" {
			t.Errorf("got %q, %v", got, err)
		}
		if l.idle() {
			t.Error("the connection is not counted")
		}
		conn.Close()
	})
	t.Run("keeps headers to itself that are for this connection only, in both directions", func(t *testing.T) {
		url, _ := serveRoute(t, handle(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "X-Hop")
			w.Header().Set("X-Hop", "secret")
			w.Header().Set("X-Seen", fmt.Sprint(r.Header["X-Hop"], r.Header["Keep-Alive"], r.Header["X-End"]))
		}))
		_, resp := ask(t, http.DefaultClient, url, "Connection", "X-Hop", "X-Hop", "secret", "Keep-Alive", "timeout=5", "X-End", "to end")
		if got := resp.Header.Get("X-Seen"); got != "[] [] [to end]" || resp.Header.Get("X-Hop") != "" {
			t.Errorf("the instance saw %s, the client %v", got, resp.Header)
		}
	})
	t.Run("believes proxies that it is told to, and nobody else, about whom they ask for", func(t *testing.T) {
		said := handle(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Proto"], r.Header["X-Forwarded-Host"], r.Header["Forwarded"])
		})
		for _, tt := range []struct {
			trusted   string
			want, own string // with the headers of a proxy, and without
		}{
			{"", "[127.0.0.1] [http] [HOST] []", "[127.0.0.1] [http] [HOST] []"},
			{"10.0.0.0/8", "[127.0.0.1] [http] [HOST] []", "[127.0.0.1] [http] [HOST] []"},
			{"127.0.0.0/8", "[198.51.100.7, 127.0.0.1] [https] [shop.example] []", "[127.0.0.1] [http] [HOST] []"},
		} {
			t.Run(tt.trusted, func(t *testing.T) {
				traffic := route.Traffic{Revision: "rev_1", Instances: []route.Instance{said}}
				if tt.trusted != "" {
					traffic.Trusted = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix(tt.trusted)}
				}
				url, _ := serveTraffic(t, traffic)
				host := strings.NewReplacer("HOST", strings.TrimPrefix(url, "http://"))
				got, _ := ask(t, http.DefaultClient, url, "X-Forwarded-For", "198.51.100.7", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "shop.example", "Forwarded", "for=198.51.100.7")
				if got != host.Replace(tt.want) {
					t.Errorf("got %s, want %s", got, host.Replace(tt.want))
				}
				if _, got := get(t, url); got != host.Replace(tt.own) {
					t.Errorf("without headers: got %s, want %s", got, host.Replace(tt.own))
				}
			})
		}
	})
	t.Run("believes a proxy for the revision that does", func(t *testing.T) {
		tr := beside(t, 1, 1)
		said := handle(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header["X-Forwarded-Proto"]) })
		tr.Instances, tr.Others[0].Instances = []route.Instance{said}, []route.Instance{said}
		tr.Others[0].Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		url, _ := serveTraffic(t, tr)
		got := map[string]int{}
		for range 10 {
			scheme, _ := ask(t, http.DefaultClient, url, "X-Forwarded-Proto", "https")
			got[scheme]++
		}
		if got["[http]"] != 5 || got["[https]"] != 5 {
			t.Errorf("the instances heard %v", got)
		}
	})
	t.Run("tells the instance who asks for which host", func(t *testing.T) {
		url, _ := serveRoute(t, handle(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Host, " ", r.Header.Get("X-Forwarded-For"), " ", r.Header.Get("X-Forwarded-Host"))
		}))
		want := strings.TrimPrefix(url, "http://")
		if _, got := get(t, url); got != want+" 127.0.0.1 "+want {
			t.Errorf("got %q", got)
		}
	})
}

// Who drains an instance has to see the request that comes to it late: one that
// began under a former plan, and tries the next instance of that.
func TestLive_CountsWhatMovesToAnInstanceThatWasWithdrawn(t *testing.T) {
	in := []route.Instance{{ID: "ins_1", Address: "127.0.0.1:1"}, {ID: "ins_2", Address: "127.0.0.1:2"}}
	l := newLive(route.Route{Name: name, Traffic: route.Traffic{Revision: "rev_1", Instances: in}}, newCounter())
	c, ok := l.begin(httptest.NewRequest(http.MethodGet, "/", nil))
	if !ok {
		t.Fatal("no revision for the request")
	}
	next := 1 - c.first
	l.become(route.Route{Name: name, Traffic: route.Traffic{Revision: "rev_1", Instances: in[c.first : c.first+1]}})
	l.move(&c, next)
	if busy := l.status().Busy; len(busy) != 1 || busy[in[next].ID] != 1 {
		t.Errorf("busy are %v, want %s alone", busy, in[next].ID)
	}
	l.end(c)
	if busy := l.status().Busy; len(busy) != 0 {
		t.Errorf("busy are %v after its end", busy)
	}
}
