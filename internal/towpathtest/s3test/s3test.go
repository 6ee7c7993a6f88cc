// Package s3test gives tests a real S3-compatible object store: the Versity
// gateway over a folder, built once from its module, and before it a proxy on
// loopback that tests can make misbehave. It must not know what is stored.
//
// Start reading at [Start]; faults.go has what goes wrong on networks.
package s3test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/towpath/towpath/internal/towpathtest/gotool"
)

// Version is the gateway that tests are held against.
const Version = "v1.8.0"

// The only account of the store.
const (
	AccessKey = "towpath"
	SecretKey = "not-a-secret"
)

// Region is what the store says where it is.
const Region = "us-east-1"

// Server is a running store.
type Server struct {
	URL    string // of the proxy
	Host   string // and its host and port
	dir    string
	client *minio.Client
	fault  atomic.Pointer[Fault]
}

// keeper runs the gateway for as long as its standard input is open, that is as
// long as the test process lives however it dies.
const keeper = `
"$@" </dev/null &
pid=$!
read -r _
kill $pid
wait $pid
`

// Start starts a store that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	bin := gotool.Find(t, "versitygw", "github.com/versity/versitygw/cmd/versitygw", Version)
	dir := t.TempDir()
	s := &Server{dir: filepath.Join(dir, "buckets")}
	socket := "@towpath-s3-" + rand.Text() // in no file system, where its path might be too long
	if err := errors.Join(os.Mkdir(s.dir, 0o700), os.Mkdir(filepath.Join(dir, "meta"), 0o700)); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "/bin/sh", "-c", keeper, "keeper", bin, "--quiet",
		"--port", socket, "--access", AccessKey, "--secret", SecretKey, "--region", Region,
		"posix", "--sidecar", filepath.Join(dir, "meta"), s.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C must not reach the keeper
	cmd.Stdout, cmd.Stderr, cmd.Dir = &log, &log, dir
	life, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = life.Close()
		_ = cmd.Wait() // it was told to end
		if t.Failed() && log.Len() > 0 {
			t.Logf("the object store said:\n%s", log.String())
		}
	})
	s.serve(t, socket)
	s.await(t, socket)
	if s.client, err = minio.New(s.Host, &minio.Options{Creds: s.Credentials(), Region: Region}); err != nil {
		t.Fatal(err)
	}
	return s
}

// serve starts the proxy before the gateway's socket.
func (s *Server) serve(t testing.TB, socket string) {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		DisableCompression: true, DisableKeepAlives: true, // as the gateway has it
	}
	forward := &httputil.ReverseProxy{
		Transport:    transport,
		Rewrite:      func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", r.In.Host },
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := s.fault.Load(); f != nil {
			(*f)(w, r, forward)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	s.URL, s.Host = proxy.URL, strings.TrimPrefix(proxy.URL, "http://")
}

// await returns when the gateway answers.
func (s *Server) await(t testing.TB, socket string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the object store did not start: %v", err)
		}
	}
}

// Credentials are those of the account.
func (s *Server) Credentials() *credentials.Credentials {
	return credentials.NewStaticV4(AccessKey, SecretKey, "")
}

// Bucket makes an empty bucket.
func (s *Server) Bucket(t testing.TB, name string) string {
	t.Helper()
	if err := s.client.MakeBucket(t.Context(), name, minio.MakeBucketOptions{Region: Region}); err != nil {
		t.Fatal(err)
	}
	return name
}

// Place is the s3:// URL of a bucket and a prefix, for towpath.
func (s *Server) Place(bucketAndPrefix string) string {
	return "s3://" + bucketAndPrefix + "?path-style=true&region=" + Region + "&endpoint=" + url.QueryEscape(s.URL)
}

// Path is the file that an object is in.
func (s *Server) Path(bucket, key string) string {
	return filepath.Join(s.dir, bucket, filepath.FromSlash(key))
}

// Client talks to the store as anybody else would.
func (s *Server) Client() *minio.Client { return s.client }
