package s3test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
)

// Fault stands between clients and the store; next is the store.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Break has every request go through a fault; nil heals.
func (s *Server) Break(f Fault) {
	if f == nil {
		s.fault.Store(nil)
		return
	}
	s.fault.Store(&f)
}

// Times lets a fault happen to the first n requests that it is about.
func Times(n int64, about func(*http.Request) bool, f Fault) Fault {
	var left atomic.Int64
	left.Store(n)
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if about(r) && left.Add(-1) >= 0 {
			f(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// Answer refuses a request with a status and a code of the S3 API.
func Answer(status int, code string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<?xml version=\"1.0\"?>\n<Error><Code>%s</Code><Message>a test says so</Message></Error>", code)
	}
}

// LoseAnswer does what is asked and says that it failed.
func LoseAnswer(w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	Answer(http.StatusInternalServerError, "InternalError")(w, r, next)
}

// CutRequest breaks the connection after n bytes of the request's body.
func CutRequest(n int64) Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = r.Body.Read(make([]byte, n)) // the rest never arrives
		panic(http.ErrAbortHandler)
	}
}

// CutAnswer breaks the connection after n bytes of the answer's body.
func CutAnswer(n int) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&cutWriter{ResponseWriter: w, left: n}, r)
	}
}

type cutWriter struct {
	http.ResponseWriter
	left int
}

func (c *cutWriter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p[:min(c.left, len(p))])
	if c.left -= n; c.left == 0 && err == nil {
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// Flip changes a bit of the request's body on its way.
func Flip(w http.ResponseWriter, r *http.Request, next http.Handler) {
	r.Body = &flipper{ReadCloser: r.Body}
	next.ServeHTTP(w, r)
}

type flipper struct {
	ReadCloser interface {
		Read([]byte) (int, error)
		Close() error
	}
	done bool
}

func (f *flipper) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if n > 0 && !f.done {
		p[0] ^= 1
		f.done = true
	}
	return n, err
}

func (f *flipper) Close() error { return f.ReadCloser.Close() }
