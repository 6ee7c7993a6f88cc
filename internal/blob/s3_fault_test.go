package blob_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/s3test"
)

// noise is content of a size that no part of it is like another.
func noise(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size)}).Read(b) // it never fails
	return b
}

func method(m string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == m }
}

func anyRequest(*http.Request) bool { return true }

// lastStep is of an upload in parts.
func lastStep(r *http.Request) bool { return r.Method == "POST" && r.URL.Query().Has("uploadId") }

func hinted(t *testing.T, err error, want towpath.Kind) {
	t.Helper()
	var e *towpath.Error
	if !errors.As(err, &e) || e.Kind != want || e.Hint == "" {
		t.Errorf("got %v, want an error of kind %s with a hint", err, want)
	}
}

func holds(t *testing.T, s blob.Store, content []byte) {
	t.Helper()
	got, err := blob.ReadAll(t.Context(), s, towpath.DigestOf(content), 1<<30)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("the store has %d bytes, %v; want %d", len(got), err, len(content))
	}
}

func lacks(t *testing.T, s blob.Store, d towpath.Digest) {
	t.Helper()
	if i, err := s.Stat(t.Context(), d); towpath.KindOf(err) != towpath.KindNotFound {
		t.Fatalf("the store has %v, %v", i, err)
	}
}

// parts has an upload in parts where there is more than one.
func parts(c *blob.S3Config) { c.PartSize = 5 << 20 }

// TestS3_faults: whatever happens to a request or two, the store does what it
// was asked.
func TestS3_faults(t *testing.T) {
	server := s3test.Start(t)
	small, large := noise(300_000), noise(12<<20)
	var lastSteps atomic.Int64
	faults := map[string]s3test.Fault{
		"two requests are cut off":         s3test.Times(2, func(r *http.Request) bool { return r.ContentLength > 0 }, s3test.CutRequest(10_000)),
		"two requests are changed":         s3test.Times(2, method("PUT"), s3test.Flip),
		"two answers are cut off":          s3test.Times(2, method("GET"), s3test.CutAnswer(20_000)),
		"the service is asked too much":    s3test.Times(3, anyRequest, s3test.Answer(http.StatusServiceUnavailable, "SlowDown")),
		"two puts are done and called bad": s3test.Times(2, method("PUT"), s3test.LoseAnswer),
		"posts are done and called bad":    s3test.Times(2, method("POST"), s3test.LoseAnswer),
		"a last step is done and called bad, and its upload is forgotten then": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			switch {
			case !lastStep(r):
				next.ServeHTTP(w, r)
			case lastSteps.Add(1) == 1:
				s3test.LoseAnswer(w, r, next)
			default:
				s3test.Answer(http.StatusNotFound, "NoSuchUpload")(w, r, next)
			}
		},
		"a last step fails twice after the answer began": s3test.Times(2, lastStep, s3test.Answer(http.StatusOK, "InternalError")),
		"a last step waits twice after the answer began": s3test.Times(2, lastStep, s3test.Answer(http.StatusOK, "SlowDown")),
		"a last step is done, and called bad after the answer began": s3test.Times(1, lastStep, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(httptest.NewRecorder(), r)
			s3test.Answer(http.StatusOK, "InternalError")(w, r, next)
		}),
		"deletes are done and called bad": s3test.Times(2, method("DELETE"), s3test.LoseAnswer),
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			s, _ := newS3(t, server, "", parts)
			server.Break(fault)
			defer server.Break(nil)
			for _, content := range [][]byte{small, large} {
				d := towpath.DigestOf(content)
				if _, _, err := s.Put(t.Context(), d, bytes.NewReader(content), 1<<30); err != nil {
					t.Fatal(err)
				}
				holds(t, s, content)
				if err := s.Touch(t.Context(), d, time.Now()); err != nil {
					t.Fatal(err)
				}
				n := 0
				if err := s.Walk(t.Context(), func(blob.Info) error { n++; return nil }); err != nil || n != 1 {
					t.Fatalf("there are %d, %v", n, err)
				}
				if err := s.Delete(t.Context(), d); err != nil {
					t.Fatal(err)
				}
				lacks(t, s, d)
			}
		})
	}
}

// TestS3_brokenForGood: what does not work is said with a kind and a hint, is
// not taken for damage, and leaves nothing under the digest.
func TestS3_brokenForGood(t *testing.T) {
	server := s3test.Start(t)
	small, large := noise(300_000), noise(12<<20)
	s, cfg := newS3(t, server, "", func(c *blob.S3Config) { parts(c); c.Tries = 2 })
	there, _, err := s.Put(t.Context(), "", bytes.NewReader([]byte("there")), 100)
	if err != nil {
		t.Fatal(err)
	}
	cut := func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
	for name, tt := range map[string]struct {
		fault s3test.Fault
		want  towpath.Kind
	}{
		"nobody answers":         {cut, towpath.KindUnavailable},
		"it is asked too much":   {s3test.Answer(503, "SlowDown"), towpath.KindUnavailable},
		"it fails":               {s3test.Answer(500, "InternalError"), towpath.KindUnavailable},
		"it is full":             {s3test.Answer(507, "InsufficientStorage"), towpath.KindExhausted},
		"the quota is used up":   {s3test.Answer(403, "QuotaExceeded"), towpath.KindExhausted},
		"the bucket is gone":     {s3test.Answer(404, "NoSuchBucket"), towpath.KindUnavailable},
		"it denies access":       {s3test.Answer(403, "AccessDenied"), towpath.KindUnavailable},
		"the key is unknown":     {s3test.Answer(403, "InvalidAccessKeyId"), towpath.KindUnavailable},
		"the clock is wrong":     {s3test.Answer(403, "RequestTimeTooSkewed"), towpath.KindUnavailable},
		"the region is wrong":    {s3test.Answer(400, "AuthorizationHeaderMalformed"), towpath.KindUnavailable},
		"the bucket is moved":    {s3test.Answer(301, "PermanentRedirect"), towpath.KindUnavailable},
		"it says what is unsaid": {s3test.Answer(418, "ImATeapot"), towpath.KindUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			server.Break(s3test.Times(1<<40, func(r *http.Request) bool { return r.Method != "HEAD" }, tt.fault)) // the answer to HEAD has no code
			defer server.Break(nil)
			for _, content := range [][]byte{small, large} {
				_, _, err := s.Put(t.Context(), "", bytes.NewReader(content), 1<<30)
				hinted(t, err, tt.want)
			}
			_, _, err := s.Open(t.Context(), there)
			hinted(t, err, tt.want)
			hinted(t, s.Touch(t.Context(), there, time.Now()), tt.want)
			hinted(t, s.Delete(t.Context(), there), tt.want)
			hinted(t, s.Walk(t.Context(), func(blob.Info) error { return nil }), tt.want)
			_, err = s.Sweep(t.Context(), time.Now())
			hinted(t, err, tt.want)
			server.Break(nil)
			lacks(t, s, towpath.DigestOf(small))
			lacks(t, s, towpath.DigestOf(large))
			holds(t, s, []byte("there"))
		})
	}
	t.Run("the last part never arrives", func(t *testing.T) {
		server.Break(s3test.Times(1<<40, func(r *http.Request) bool { return r.URL.Query().Get("partNumber") == "3" }, s3test.CutRequest(10_000)))
		defer server.Break(nil)
		_, _, err := s.Put(t.Context(), "", bytes.NewReader(large), 1<<30)
		hinted(t, err, towpath.KindUnavailable)
		lacks(t, s, towpath.DigestOf(large))
		if left := uploads(t, server, cfg); left != 0 {
			t.Errorf("%d uploads are left", left)
		}
	})
	t.Run("an answer breaks off at the same byte again and again", func(t *testing.T) {
		if _, _, err := s.Put(t.Context(), "", bytes.NewReader(small), 1<<30); err != nil {
			t.Fatal(err)
		}
		once := s3test.Times(1, method("GET"), s3test.CutAnswer(20_000))
		server.Break(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Header.Get("Range") != "" {
				s3test.CutAnswer(0)(w, r, next)
				return
			}
			once(w, r, next)
		})
		defer server.Break(nil)
		_, err := blob.ReadAll(t.Context(), s, towpath.DigestOf(small), 1<<30)
		hinted(t, err, towpath.KindUnavailable)
		server.Break(nil)
		holds(t, s, small) // it was not taken for damaged
	})
	t.Run("bytes are changed on their way in", func(t *testing.T) {
		server.Break(s3test.Times(1<<40, method("PUT"), s3test.Flip))
		defer server.Break(nil)
		for _, content := range [][]byte{noise(5000), large} {
			_, _, err := s.Put(t.Context(), "", bytes.NewReader(content), 1<<30)
			hinted(t, err, towpath.KindUnavailable)
			lacks(t, s, towpath.DigestOf(content))
		}
	})
}

// meanwhile does something once, before a request goes on.
func meanwhile(about func(*http.Request) bool, do func()) s3test.Fault {
	return s3test.Times(1, about, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		do()
		next.ServeHTTP(w, r)
	})
}

// TestS3_others: what another process does while this one looks.
func TestS3_others(t *testing.T) {
	server := s3test.Start(t)
	put := func(t *testing.T, s *blob.S3, content string) towpath.Digest {
		t.Helper()
		d, _, err := s.Put(t.Context(), "", strings.NewReader(content), 1<<20)
		if err != nil {
			t.Error(err)
		}
		return d
	}
	two := func(t *testing.T) (a, b *blob.S3, cfg blob.S3Config) {
		a, cfg = newS3(t, server, "", nil)
		b, _ = newS3(t, server, cfg.Bucket, nil)
		return a, b, cfg
	}
	t.Run("a blob that is touched while its age is looked at stays", func(t *testing.T) {
		a, b, _ := two(t)
		d := put(t, a, "needed")
		was, err := a.Stat(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		var looks atomic.Int64
		server.Break(meanwhile(func(r *http.Request) bool {
			return r.Method == "HEAD" && looks.Add(1) == 2 // the blob and its mark
		}, func() {
			for now := was; !now.Written.After(was.Written); { // its clock goes by seconds
				if err := b.Touch(t.Context(), d, time.Now()); err != nil {
					t.Error(err)
				}
				if now, err = b.Stat(t.Context(), d); err != nil {
					t.Error(err)
					return
				}
			}
		}))
		defer server.Break(nil)
		if done, err := a.DeleteOlder(t.Context(), d, was.Written.Add(1)); done || err != nil {
			t.Fatalf("deleted = %v, %v", done, err)
		}
		holds(t, b, []byte("needed"))
	})
	t.Run("who touches a blob while it is deleted is told", func(t *testing.T) {
		a, _, cfg := two(t)
		d := put(t, a, "given up")
		server.Break(meanwhile(method("HEAD"), func() { // the other has removed the mark before
			if err := server.Client().RemoveObject(t.Context(), cfg.Bucket, keyOf(cfg.Prefix, d), minio.RemoveObjectOptions{}); err != nil {
				t.Error(err)
			}
		}))
		defer server.Break(nil)
		if err := a.Touch(t.Context(), d, time.Now()); towpath.KindOf(err) != towpath.KindNotFound {
			t.Fatalf("got %v", err)
		}
		if _, err := os.Stat(server.Path(cfg.Bucket, keyOf(cfg.Prefix, d)+".used")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("its mark stays: %v", err)
		}
	})
	t.Run("a blob that is deleted leaves no mark", func(t *testing.T) {
		a, _, cfg := two(t)
		for _, remove := range []func(d towpath.Digest) error{
			func(d towpath.Digest) error { return a.Delete(t.Context(), d) },
			func(d towpath.Digest) error {
				_, err := a.DeleteOlder(t.Context(), d, time.Now().Add(time.Hour))
				return err
			},
		} {
			d := put(t, a, "touched")
			if err := errors.Join(a.Touch(t.Context(), d, time.Now()), remove(d)); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"", ".used"} {
				if _, err := os.Stat(server.Path(cfg.Bucket, keyOf(cfg.Prefix, d)+name)); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the blob or its mark (%q) stays: %v", name, err)
				}
			}
		}
	})
	t.Run("a blob that is healed while it is put aside stays", func(t *testing.T) {
		a, b, cfg := two(t)
		d := put(t, a, "fragile")
		_, err := server.Client().PutObject(t.Context(), cfg.Bucket, keyOf(cfg.Prefix, d), strings.NewReader("wrong"), 5, minio.PutObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		server.Break(meanwhile(method("DELETE"), func() { put(t, b, "fragile") }))
		defer server.Break(nil)
		_, err = blob.ReadAll(t.Context(), a, d, 1<<20)
		if towpath.KindOf(err) != towpath.KindInternal {
			t.Fatalf("the damaged copy was read: %v", err)
		}
		holds(t, a, []byte("fragile"))
		if b, err := os.ReadFile(server.Path(cfg.Bucket, keyOf(cfg.Prefix+"/corrupt", d))); err != nil || string(b) != "wrong" {
			t.Errorf("aside is %q, %v", b, err)
		}
	})
	t.Run("two contents of a blob are not mixed when a connection breaks", func(t *testing.T) {
		a, b, cfg := two(t)
		content := noise(300_000)
		d := put(t, a, string(content))
		var gets atomic.Int64
		server.Break(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Method != "GET" {
				next.ServeHTTP(w, r)
				return
			}
			switch gets.Add(1) {
			case 1:
				s3test.CutAnswer(20_000)(w, r, next)
			case 2:
				wrong := strings.Repeat("x", len(content))
				_, err := server.Client().PutObject(t.Context(), cfg.Bucket, keyOf(cfg.Prefix, d), strings.NewReader(wrong), int64(len(wrong)), minio.PutObjectOptions{})
				if err != nil {
					t.Error(err)
				}
			}
			next.ServeHTTP(w, r)
		})
		defer server.Break(nil)
		_, err := blob.ReadAll(t.Context(), a, d, 1<<20)
		hinted(t, err, towpath.KindUnavailable)
		_, err = blob.ReadAll(t.Context(), b, d, 1<<20)
		hinted(t, err, towpath.KindInternal)
		lacks(t, a, d)
	})
}
