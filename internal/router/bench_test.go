package router

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
)

// peer is a proxy that is measured: a process of its own.
type peer struct {
	name    string
	address string
	pid     int
	rates   []float64         // requests per second, by round
	costs   []float64         // processor time of a request, in microseconds, by round
	took    [][]time.Duration // by round
}

// BenchmarkRouter asks the router, a plain [httputil.ReverseProxy] and nginx, if
// it is installed, in turns: each round the same requests to the same instance,
// so that what else the machine does falls on all of them. A run is a round.
func BenchmarkRouter(b *testing.B) {
	const clients, requests = 16, 4000
	instance := startProgram(b, "bench-instance")
	peers := []*peer{startRouter(b, instance.address), startProgram(b, "bench-plain", instance.address)}
	if p := startNginx(b, instance.address); p != nil {
		peers = append(peers, p)
	}
	for _, p := range peers {
		p.round(b, clients, requests/4) // to open connections
	}
	for _, p := range peers {
		p.rates, p.costs, p.took = nil, nil, nil
	}
	for b.Loop() {
		for _, p := range peers {
			p.round(b, clients, requests)
		}
	}
	plain := peers[1]
	for _, p := range peers {
		b.ReportMetric(median(p.rates), p.name+"-req/s")
		b.ReportMetric(median(p.costs), p.name+"-cpu-µs/req")
		b.ReportMetric(p.p99(), p.name+"-p99-ms")
	}
	var ratios []float64
	for i := range plain.rates {
		ratios = append(ratios, peers[0].rates[i]/plain.rates[i])
	}
	b.ReportMetric(median(ratios), "router/plain")
	b.ReportMetric(0, "ns/op")
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// p99 is the median of the rounds' own, in milliseconds: one bad round says more
// of the machine than of the proxy.
func (p *peer) p99() float64 {
	var out []float64
	for _, took := range p.took {
		slices.Sort(took)
		out = append(out, took[len(took)*99/100].Seconds()*1000)
	}
	return median(out)
}

// round sends requests over connections that are kept. The client does as little
// as it can: it shares the processors with what it measures.
func (p *peer) round(b *testing.B, clients, requests int) {
	var wg sync.WaitGroup
	took := make([][]time.Duration, clients)
	cpu, began := p.cpu(b), time.Now()
	for i := range clients {
		wg.Go(func() {
			conn, err := net.Dial("tcp", p.address)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			r := bufio.NewReader(conn)
			for range requests / clients {
				start := time.Now()
				if err := roundTrip(conn, r); err != nil {
					b.Errorf("%s: %v", p.name, err)
					return
				}
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	wg.Wait()
	p.rates = append(p.rates, float64(requests)/time.Since(began).Seconds())
	p.costs = append(p.costs, float64((p.cpu(b)-cpu).Microseconds())/float64(requests))
	p.took = append(p.took, slices.Concat(took...))
}

// benchBody is what the instance answers.
var benchBody = bytes.Repeat([]byte("x"), 1024)

func roundTrip(conn net.Conn, r *bufio.Reader) error {
	if _, err := io.WriteString(conn, "GET /some/path?of=a&request HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"); err != nil {
		return err
	}
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answered %s", status)
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == 2 {
			_, err = r.Discard(len(benchBody))
			return err
		}
	}
}

// cpu is the processor time of the peer and its children.
func (p *peer) cpu(b *testing.B) time.Duration {
	var all time.Duration
	for _, pid := range append(children(p.pid), p.pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			b.Fatal(err)
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		for _, f := range fields[11:13] {
			n, err := strconv.Atoi(f)
			if err != nil {
				b.Fatal(err)
			}
			all += time.Duration(n) * 10 * time.Millisecond // Linux counts in hundredths
		}
	}
	return all
}

func children(pid int) (out []int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, f := range strings.Fields(string(text)) {
		if n, err := strconv.Atoi(f); err == nil {
			out = append(out, n)
		}
	}
	return out
}

func startRouter(b *testing.B, instance string) *peer {
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	c := newClientOf(b, b.TempDir(), exe)
	st, err := c.Apply(b.Context(), to(1, "rev_1", route.Instance{ID: "instance", Address: instance}))
	if err != nil {
		b.Fatal(err)
	}
	r, _ := st.Find(name)
	return &peer{name: "router", address: r.Listeners[0].Address, pid: st.PID}
}

// startProgram starts this test's binary as one of its other programs, which
// say their address first.
func startProgram(b *testing.B, args ...string) *peer {
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(b.Context()), exe, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // as the router has it: Linux shares processors among sessions
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return &peer{name: strings.TrimPrefix(args[0], "bench-"), address: strings.TrimSpace(address), pid: cmd.Process.Pid}
}

// benchMain is the other programs: the instance and the plain proxy.
func benchMain(args []string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(benchBody) })
	if args[0] == "bench-plain" {
		to, err := url.Parse("http://" + args[1])
		if err != nil {
			return err
		}
		h = &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to); r.SetXForwarded() },
			Transport: &http.Transport{MaxIdleConnsPerHost: backendIdleHost}, // with the default of 2 it would connect all the time
		}
	}
	fmt.Fprintln(os.Stdout, ln.Addr())
	return (&http.Server{Handler: h}).Serve(ln)
}

const nginxConfig = `daemon off; pid %[1]s/pid; error_log stderr; worker_processes 2; user root;
events { worker_connections 512; }
http {
  access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  upstream instance { server %[2]s; keepalive 64; }
  server {
    listen %[3]s;
    location / { proxy_pass http://instance; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }
  }
}`

// startNginx is nil where none is installed.
func startNginx(b *testing.B, instance string) *peer {
	exe, err := exec.LookPath("nginx")
	if err != nil {
		if exe, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			b.Log("nginx is not installed, and not measured")
			return nil
		}
	}
	address := dead(b).Address // free a moment ago
	dir := b.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConfig, dir, instance, address), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(b.Context()), exe, "-c", conf, "-p", dir)
	cmd.Stderr, cmd.SysProcAttr = os.Stderr, &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	p := &peer{name: "nginx", address: address, pid: cmd.Process.Pid}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return p
		}
		<-tick.C
	}
	b.Fatal("nginx does not come up")
	return nil
}
