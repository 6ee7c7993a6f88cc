package ocidist_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/http/ocidist"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/towpath"
)

const idle = 400 * time.Millisecond

// slow is a registry that takes its time.
type slow struct {
	ocidist.Registry
	content []byte
	came    chan error // how the body of an Append ended
}

func (slow) Finish(ctx context.Context, _ towpath.Actor, _ towpath.RepositoryName, _ registry.UploadID, _ towpath.Digest, _ registry.Span, body io.Reader) error {
	if _, err := io.Copy(io.Discard, body); err != nil {
		return err
	}
	select { // many pieces are put together
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * idle):
		return nil
	}
}

func (s slow) Append(_ context.Context, _ towpath.Actor, r towpath.RepositoryName, id registry.UploadID, _ registry.Span, body io.Reader) (registry.Upload, error) {
	_, err := io.Copy(io.Discard, body)
	s.came <- err
	return registry.Upload{ID: id, Repository: r}, err
}

func (s slow) Blob(context.Context, towpath.Actor, towpath.RepositoryName, towpath.Digest) (int64, error) {
	return int64(len(s.content)), nil
}

func (s slow) OpenBlob(ctx context.Context, _ towpath.Digest) (io.ReadCloser, error) {
	return io.NopCloser(io.MultiReader(bytes.NewReader(s.content[:1<<20]), &pause{ctx: ctx}, bytes.NewReader(s.content[1<<20:]))), nil
}

// pause is a disk that is slow once.
type pause struct{ ctx context.Context }

func (p *pause) Read([]byte) (int, error) {
	select {
	case <-p.ctx.Done():
		return 0, p.ctx.Err()
	case <-time.After(5 * idle):
		return 0, io.EOF
	}
}

type anybody struct{}

func (anybody) Authenticate(context.Context, string) (towpath.Actor, error) {
	return towpath.Actor{Account: "ana", Token: "t"}, nil
}

func TestPace(t *testing.T) {
	s := slow{content: bytes.Repeat([]byte("x"), 2<<20), came: make(chan error, 1)}
	server := httptest.NewServer(ocidist.New(ocidist.Config{Now: time.Now, Idle: idle}, s, anybody{}))
	t.Cleanup(server.Close)
	ask := func(method, path, body string) (int, int64, error) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer x")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, 0, err
		}
		defer res.Body.Close()
		n, err := io.Copy(io.Discard, res.Body)
		return res.StatusCode, n, err
	}
	d := string(towpath.DigestOf(nil))
	for _, body := range []string{"", "the last piece"} {
		t.Run(fmt.Sprintf("work after a body of %d bytes may take longer than the silence of a client", len(body)), func(t *testing.T) {
			if status, _, err := ask("PUT", "/v2/shop/blobs/uploads/x?digest="+d, body); status != 201 || err != nil {
				t.Errorf("got %d, %v", status, err)
			}
		})
	}
	t.Run("so may a pull from a slow disk", func(t *testing.T) {
		if status, n, err := ask("GET", "/v2/shop/blobs/"+d, ""); status != 200 || n != 2<<20 || err != nil {
			t.Errorf("got %d with %d bytes, %v", status, n, err)
		}
	})
	t.Run("so may a pull whose request has a body", func(t *testing.T) {
		if status, n, err := ask("GET", "/v2/shop/blobs/"+d, "that nobody reads"); status != 200 || n != 2<<20 || err != nil {
			t.Errorf("got %d with %d bytes, %v", status, n, err)
		}
	})
	// hang begins a request on a connection of its own and sends no more. It returns
	// what comes until the server hangs up.
	hang := func(t *testing.T, request string) string {
		t.Helper()
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(75 * idle)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, request)
		got, err := io.ReadAll(conn)
		if err != nil {
			t.Errorf("it is waited for: %v", err)
		}
		return string(got)
	}
	t.Run("a client that sends nothing more is not waited for", func(t *testing.T) {
		got := hang(t, "PATCH /v2/shop/blobs/uploads/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 1000\r\n\r\nbegun")
		if err := <-s.came; err == nil {
			t.Error("the body ended as if it was whole")
		}
		if !strings.HasPrefix(got, "HTTP/1.1 ") {
			t.Errorf("it got %q", got)
		}
	})
	t.Run("nor one without a token", func(t *testing.T) {
		got := hang(t, "PATCH /v2/shop/blobs/uploads/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 401 ") {
			t.Errorf("it got %q", got)
		}
	})
	t.Run("nor one that pulls and announces a body", func(t *testing.T) {
		got := hang(t, "GET /v2/shop/blobs/"+d+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 1000\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("it got %.100q", got)
		}
	})
}

// What nobody wants of a body is not waited for: either would be for much longer than
// the test waits.
func TestPace_OfABodyThatNobodyReads(t *testing.T) {
	server := httptest.NewServer(ocidist.New(ocidist.Config{Now: time.Now, Idle: time.Hour}, slow{}, anybody{}))
	t.Cleanup(server.Close)
	for name, request := range map[string]string{
		"a body that is offered": "Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n",
		"a large one":            "Content-Length: 1000000000\r\n\r\n" + strings.Repeat("x", 512<<10),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(75 * idle)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(conn, "PATCH /v2/shop/blobs/uploads/x HTTP/1.1\r\nHost: x\r\n"+request)
			r := bufio.NewReader(conn)
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if res.StatusCode != 401 || !res.Close {
				t.Errorf("got %d, and the connection ends: %t", res.StatusCode, res.Close)
			}
			// What is sent all the same is no request.
			fmt.Fprint(conn, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				t.Error(err)
			}
			if more, _ := io.ReadAll(r); len(more) > 0 { // how it ends is the server's affair
				t.Errorf("got %q", more)
			}
		})
	}
}
