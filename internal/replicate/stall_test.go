package replicate_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

// TestRemote_Stalls: a registry that takes a request and then says nothing is
// one that does not answer. One that is slow and goes on is not hurried.
func TestRemote_Stalls(t *testing.T) {
	content := []byte("0123456789")
	d := v1.Descriptor{MediaType: "application/octet-stream", Size: int64(len(content))}
	d.Digest = digest.FromBytes(content)
	until := func(ctx context.Context, pause time.Duration) error {
		select {
		case <-time.After(pause):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	answer := func(req *http.Request, body io.Reader) *http.Response {
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Content-Length": {"10"}}, ContentLength: d.Size,
			Body: io.NopCloser(body), Request: req,
		}
	}
	for _, c := range []struct {
		name   string
		answer func(req *http.Request) (*http.Response, error)
		stalls bool
	}{
		{"it never answers", func(req *http.Request) (*http.Response, error) {
			return nil, until(req.Context(), time.Hour)
		}, true},
		{"it breaks off without a word", func(req *http.Request) (*http.Response, error) {
			return answer(req, &dripping{ctx: req.Context(), content: content[:5], pause: until, last: time.Hour}), nil
		}, true},
		{"it is slow", func(req *http.Request) (*http.Response, error) {
			return answer(req, &dripping{ctx: req.Context(), content: content, pause: until}), until(req.Context(), 50*time.Second)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := must(replicate.NewRemote(replicate.RemoteConfig{
					Repository: "localhost:5000/shop", PlainHTTP: true, Answer: time.Minute, Stall: time.Minute, Transport: roundTrip(c.answer),
				}))(t)
				began := time.Now()
				got, err := replicate.ReadBlob(t.Context(), r, d, 100)
				switch took := time.Since(began); {
				case c.stalls && (towpath.KindOf(err) != towpath.KindUnavailable || took > 10*time.Minute):
					t.Errorf("after %s: %v", took, err)
				case !c.stalls && (err != nil || !bytes.Equal(got, content) || took < 5*time.Minute):
					t.Errorf("after %s: %q, %v", took, got, err)
				}
			})
		})
	}
	t.Run("a question is not waited for as long as a blob, nor again and again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			r := must(replicate.NewRemote(replicate.RemoteConfig{
				Repository: "localhost:5000/shop", PlainHTTP: true,
				Transport: roundTrip(func(req *http.Request) (*http.Response, error) { asked++; return nil, until(req.Context(), time.Hour) }),
			}))(t)
			began := time.Now()
			_, err := r.Resolve(t.Context(), replicate.Config{}, "1.4.0")
			if took := time.Since(began); towpath.KindOf(err) != towpath.KindUnavailable || asked != 2 || took > 65*time.Second {
				t.Errorf("asked %d times in %s: %v", asked, took, err)
			}
		})
	})
	t.Run("people are told what is waited for, once it is long", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			var mu sync.Mutex
			var said []string
			waits := func(w replicate.Wait) {
				mu.Lock()
				defer mu.Unlock()
				said = append(said, w.String())
			}
			r := must(replicate.NewRemote(replicate.RemoteConfig{
				Repository: "localhost:5000/shop", PlainHTTP: true, Waits: waits,
				Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
					asked++
					wait, resp := 9*time.Second, answer(req, strings.NewReader(""))
					resp.Header = http.Header{"Docker-Content-Digest": {string(d.Digest)}, "Content-Type": {v1.MediaTypeImageManifest}}
					switch asked {
					case 1:
						resp.StatusCode, resp.Header = http.StatusServiceUnavailable, http.Header{"Retry-After": {"30"}}
					case 2:
						wait = 25 * time.Second
					}
					return resp, until(req.Context(), wait)
				}),
			}))(t)
			for range 2 {
				if _, err := r.Resolve(t.Context(), replicate.Config{Waits: waits}, "1.4.0"); err != nil {
					t.Fatal(err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			want := []string{
				"the registry answered 503 (localhost:5000); attempt 2 of 6 follows in 30s",
				"localhost:5000 has said nothing for 10s; a request is given up after 30s of that",
			}
			if !slices.Equal(said, want) {
				t.Errorf("said %q, want %q", said, want)
			}
		})
	})
	t.Run("it takes half of a blob", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := must(replicate.NewRemote(replicate.RemoteConfig{
				Repository: "localhost:5000/shop", PlainHTTP: true, Stall: time.Minute,
				Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
					if req.Method == http.MethodPost {
						resp := answer(req, strings.NewReader(""))
						resp.StatusCode, resp.Header = http.StatusAccepted, http.Header{"Location": {"/v2/shop/blobs/uploads/1"}}
						return resp, nil
					}
					if _, err := io.ReadFull(req.Body, make([]byte, 5)); err != nil {
						return nil, err
					}
					return nil, until(req.Context(), time.Hour)
				}),
			}))(t)
			began := time.Now()
			err := r.PutBlob(t.Context(), d, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
			if took := time.Since(began); towpath.KindOf(err) != towpath.KindUnavailable || took > 10*time.Minute {
				t.Errorf("after %s: %v", took, err)
			}
		})
	})
}

// TestRemote_AnswersEarly: what a client reads of a request that is answered makes
// nobody wait.
func TestRemote_AnswersEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := v1.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromString("0123456789"), Size: 10}
		var body io.Reader
		r := must(replicate.NewRemote(replicate.RemoteConfig{
			Repository: "localhost:5000/shop", PlainHTTP: true,
			Waits: func(w replicate.Wait) { t.Errorf("said: %s", w) },
			Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
				resp := &http.Response{StatusCode: http.StatusAccepted, Header: http.Header{"Location": {"/v2/shop/blobs/uploads/1"}}, Body: http.NoBody, Request: req}
				if req.Method == http.MethodPut {
					resp.StatusCode, body = http.StatusForbidden, req.Body
				}
				return resp, nil
			}),
		}))(t)
		err := r.PutBlob(t.Context(), d, func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("0123456789")), nil })
		if towpath.KindOf(err) != towpath.KindForbidden {
			t.Errorf("got %v", err)
		}
		if n, err := body.Read(make([]byte, 5)); err == nil {
			t.Errorf("%d bytes were read of what is over", n)
		}
		time.Sleep(time.Minute)
	})
}

// roundTrip is a registry that is a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// dripping sends a byte every 50 seconds.
type dripping struct {
	ctx     context.Context
	content []byte
	pause   func(context.Context, time.Duration) error
	last    time.Duration // before it ends
}

func (d *dripping) Read(p []byte) (int, error) {
	if len(d.content) == 0 {
		if err := d.pause(d.ctx, d.last); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	if err := d.pause(d.ctx, 50*time.Second); err != nil {
		return 0, err
	}
	p[0], d.content = d.content[0], d.content[1:]
	return 1, nil
}
