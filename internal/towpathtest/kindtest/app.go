package kindtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Variables that tell the program what to be.
const (
	AppVersion = "APP_VERSION" // what GET / answers
	AppStarts  = "APP_STARTS"  // a file that gets the version as a line at every start
	AppMode    = "APP_MODE"    // Crash, Unhealthy, Failing, Hanging, Deadlocked, H2C, Unwell, Unserved, or Stubborn: it ignores SIGTERM
)

// Stubborn is a program that has to be killed.
const Stubborn = "stubborn"

// Failing is a program that fails every second request of a user, and none of
// those that did not come through a proxy.
const Failing = "failing"

// H2C is a program that speaks HTTP/2 without TLS, and nothing else.
const H2C = "h2c"

// Unwell and Unserved are the same, and don't serve by gRPC's health check, or
// don't have it.
const (
	Unwell   = "unwell"
	Unserved = "unserved"
)

// Hanging is a program that never answers every second request of a user, and
// is healthy.
const Hanging = "hanging"

// Deadlocked is a program that answers nothing any more, its health check
// included, once it got a request of a user.
const Deadlocked = "deadlocked"

// Metrics are those that the program shows, of every type.
const Metrics = `# TYPE orders_total counter
orders_total{result="good",component="mine"} 7
# TYPE queue gauge
queue NaN
# TYPE load gauge
load 0.5
# TYPE wait_seconds histogram
wait_seconds_bucket{le="0.1"} 2
wait_seconds_bucket{le="+Inf"} 3
wait_seconds_sum 1.5
wait_seconds_count 3
# TYPE size summary
size{quantile="0.5"} 10
size_sum 40
size_count 4
plain{revision="theirs"} 1
# TYPE towpath_router_requests_total counter
towpath_router_requests_total{class="2xx"} 1e9
`

// App is a program for processes to run: a test binary calls it when it is
// executed again. It serves HTTP on HOST and PORT until SIGTERM and gives its
// exit status. POST /hold answers when its body ends; GET /env shows its
// environment, GET /metrics the Metrics. POST /call answers each line as it
// comes with the version and the line, and says in its trailers that it has
// ended well, as gRPC does. It also answers gRPC's health check.
func App() int {
	version, mode := os.Getenv(AppVersion), os.Getenv(AppMode)
	if f, err := os.OpenFile(os.Getenv(AppStarts), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err == nil {
		fmt.Fprintln(f, version)
		f.Close()
	}
	fmt.Println("starting", version)
	if mode == Crash {
		fmt.Fprintln(os.Stderr, "the configuration is missing")
		return 3
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	ln, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	mux := http.NewServeMux()
	var asked atomic.Int64
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if mode == Failing && r.Header.Get("X-Forwarded-For") != "" && asked.Add(1)%2 == 0 {
			http.Error(w, "out of order", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, version)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if mode == Unhealthy {
			http.Error(w, "no database", http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /env", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Join(os.Environ(), "\n")) })
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, Metrics) })
	mux.HandleFunc("POST /hold", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, version)
	})
	mux.HandleFunc("POST /call", func(w http.ResponseWriter, r *http.Request) { call(w, r, version) })
	mux.HandleFunc("POST /grpc.health.v1.Health/Check", func(w http.ResponseWriter, r *http.Request) { check(w, r, mode) })
	srv := &http.Server{Handler: hanging(mode, mux), ReadHeaderTimeout: time.Minute}
	if mode == H2C || mode == Unwell || mode == Unserved {
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetUnencryptedHTTP2(true)
	}
	go func() {
		<-stop
		if mode == Stubborn {
			select {}
		}
		_ = srv.Shutdown(context.Background())
	}()
	_ = srv.Serve(ln)
	return 0
}

func call(w http.ResponseWriter, r *http.Request, version string) {
	w.Header().Set("Trailer", "Grpc-Status")
	w.Header().Set("X-Proto", r.Proto)
	_ = http.NewResponseController(w).EnableFullDuplex()
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		fmt.Fprintf(w, "%s %s\n", version, lines.Text())
		w.(http.Flusher).Flush()
	}
	if lines.Err() == nil {
		w.Header().Set("Grpc-Status", "0")
	}
}

// check answers grpc.health.v1.Health/Check of the server as a whole, and
// nothing else.
func check(w http.ResponseWriter, r *http.Request, mode string) {
	asked, err := io.ReadAll(r.Body)
	if err != nil || string(asked) != "\x00\x00\x00\x00\x00" || r.ProtoMajor != 2 || r.Header.Get("Content-Type") != "application/grpc" || r.Header.Get("Te") != "trailers" {
		http.Error(w, "no gRPC", http.StatusUnsupportedMediaType)
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	serves := byte(1)
	switch mode {
	case Unwell:
		serves = 2
	case Unserved:
		w.Header().Set("Grpc-Status", "12") // unimplemented, with nothing but headers
		return
	}
	w.Header().Set("Trailer", "Grpc-Status")
	_, _ = w.Write([]byte{0, 0, 0, 0, 2, 8, serves})
	w.Header().Set("Grpc-Status", "0")
}

// hanging is a handler that hangs, if that is its mode, until its client leaves.
func hanging(mode string, h http.Handler) http.Handler {
	var asked atomic.Int64
	var locked atomic.Bool
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := r.Header.Get("X-Forwarded-For") != ""
		if mode == Deadlocked && user {
			locked.Store(true)
		}
		if locked.Load() || mode == Hanging && user && asked.Add(1)%2 == 0 {
			<-r.Context().Done()
			return
		}
		h.ServeHTTP(w, r)
	})
}

// CountStarts counts the starts of a version in the file of AppStarts.
func CountStarts(t testing.TB, file, version string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	n := 0
	for l := range strings.Lines(string(b)) {
		if strings.TrimSpace(l) == version {
			n++
		}
	}
	return n
}

// Get asks for a page over a fresh connection; "" unless it is answered with
// 200.
func Get(url string) string {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(b)
}
