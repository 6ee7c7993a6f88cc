package replicate_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/app/server"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

// ownServer is a server of ours with a project, as somebody who releases.
func ownServer(t testing.TB) func(name string) *replicate.Remote {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := must(server.New(ctx, server.Config{Data: t.TempDir(), Listen: "127.0.0.1:0", Version: "test", Log: slog.New(slog.DiscardHandler)}))(t)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	must(0, s.Register(ctx, "shop", ""))(t)
	made := must(s.Account(ctx, "rea", nil, []towpath.Role{towpath.RoleReleaser, towpath.RoleViewer}, time.Hour))(t)
	return func(name string) *replicate.Remote {
		return must(replicate.NewRemote(replicate.RemoteConfig{
			Repository: strings.TrimPrefix(s.URL(), "http://") + "/" + name, PlainHTTP: true,
			Login: func(context.Context, string) (replicate.Login, error) {
				return replicate.Login{User: "rea", Password: made.Secret}, nil
			},
		}))(t)
	}
}

// registries are the kinds of registries that are copied to.
func registries(t *testing.T, f func(t *testing.T, ours bool, repository func(name string) *replicate.Remote)) {
	t.Run("ours", func(t *testing.T) { f(t, true, ownServer(t)) })
	t.Run("with an API of referrers", func(t *testing.T) { f(t, false, newForeign(t, true, nil).repository) })
	t.Run("without one", func(t *testing.T) { f(t, false, newForeign(t, false, nil).repository) })
}

func TestCopy_ToAnyRegistryAndBack(t *testing.T) {
	registries(t, func(t *testing.T, ours bool, repository func(string) *replicate.Remote) {
		s := story(t)
		g := s.graph(t)
		first := must(replicate.Copy(t.Context(), s, repository("shop/a"), g, quick()))(t)
		if first.Manifests != (replicate.Count{Copied: 7}) || first.Blobs != (replicate.Count{Copied: len(g.Blobs())}) || first.Bytes < 200_000 {
			t.Errorf("got %+v", first)
		}
		t.Run("what is there is not sent again", func(t *testing.T) {
			second := must(replicate.Copy(t.Context(), s, repository("shop/a"), g, quick()))(t)
			if second != (replicate.Result{Manifests: replicate.Count{Present: 7}, Blobs: replicate.Count{Present: len(g.Blobs())}}) {
				t.Errorf("got %+v", second)
			}
		})
		t.Run("read from there it is the same, byte by byte", func(t *testing.T) {
			from := repository("shop/a")
			back := must(replicate.Walk(t.Context(), from, s.root, quick()))(t)
			dir := t.TempDir()
			a, b := export(t, dir, "a.tar", s, g), export(t, dir, "b.tar", from, back)
			if !bytes.Equal(must(os.ReadFile(a))(t), must(os.ReadFile(b))(t)) {
				t.Error("they differ")
			}
		})
		t.Run("more that is about it is copied later, to what is there", func(t *testing.T) {
			s.manifest("application/vnd.example.promotion", &s.root, "it went well")
			got := must(replicate.Copy(t.Context(), s, repository("shop/a"), s.graph(t), quick()))(t)
			if got.Manifests != (replicate.Count{Copied: 1, Present: 7}) || got.Blobs.Copied != 1 {
				t.Errorf("got %+v", got)
			}
		})
		t.Run("within the registry bytes stay where they are", func(t *testing.T) {
			from := repository("shop/a")
			got := must(replicate.Copy(t.Context(), from, repository("shop/b"), s.graph(t), quick()))(t)
			// The other registry has one set of blobs for all its repositories.
			if got.Mounted != got.Blobs.Copied || got.Mounted+got.Blobs.Present != len(s.graph(t).Blobs()) || got.Bytes > 10_000 || (ours && got.Mounted == 0) {
				t.Errorf("got %+v", got)
			}
		})
	})
}

// TestCopy_Arbitrary: any graph arrives whole at a registry without an API of
// referrers, and comes back with the same bytes.
func TestCopy_Arbitrary(t *testing.T) {
	f := newForeign(t, false, nil)
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		s := arbitrary(t)
		there := f.repository(fmt.Sprintf("shop/%d", n))
		must(replicate.Copy(context.Background(), s, there, s.graph(t), quick()))(t)
		back := must(replicate.Walk(context.Background(), there, s.root, quick()))(t)
		here := caseFolder(t, dir, n)
		a, b := export(t, here, "a.tar", s, s.graph(t)), export(t, here, "b.tar", there, back)
		if !bytes.Equal(must(os.ReadFile(a))(t), must(os.ReadFile(b))(t)) {
			t.Fatal("they differ")
		}
	})
}

// TestCopy_TroubledRegistry: whatever goes wrong for a while is tried again.
func TestCopy_TroubledRegistry(t *testing.T) {
	for name, trouble := range map[string]func(w http.ResponseWriter){
		"503": func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"500": func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
		"429": func(w http.ResponseWriter) { w.WriteHeader(http.StatusTooManyRequests) },
		"a connection that breaks": func(w http.ResponseWriter) {
			if h, ok := w.(http.Hijacker); ok {
				c, _, _ := h.Hijack()
				c.Close()
			}
		},
		"an answer that breaks off": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write([]byte("{"))
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			f := newForeign(t, false, func(w http.ResponseWriter, _ *http.Request) bool {
				n.Add(1)
				bad := rand.N(4) == 0
				if bad {
					trouble(w)
				}
				return bad
			})
			cfg := quick()
			cfg.Attempts = 40
			s := story(t)
			got := must(replicate.Copy(t.Context(), s, f.repository("shop"), s.graph(t), cfg))(t)
			if got.Manifests.Copied == 0 || n.Load() < 50 {
				t.Errorf("got %+v in %d requests", got, n.Load())
			}
		})
	}
	t.Run("until it was tried enough", func(t *testing.T) {
		f := newForeign(t, false, func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusBadGateway)
			return true
		})
		s := story(t)
		_, err := replicate.Copy(t.Context(), s, f.repository("shop"), s.graph(t), quick())
		kindIs(t, err, towpath.KindUnavailable)
	})
	t.Run("a refusal is not tried again", func(t *testing.T) {
		var n atomic.Int64
		f := newForeign(t, false, func(w http.ResponseWriter, _ *http.Request) bool {
			n.Add(1)
			w.WriteHeader(http.StatusForbidden)
			return true
		})
		s := story(t)
		_, err := replicate.Copy(t.Context(), s, f.repository("shop"), s.graph(t), quick())
		kindIs(t, err, towpath.KindForbidden)
		if n.Load() != 1 {
			t.Errorf("%d requests", n.Load())
		}
	})
	t.Run("nobody is there", func(t *testing.T) {
		s := httptest.NewServer(http.NotFoundHandler())
		host := strings.TrimPrefix(s.URL, "http://")
		s.Close()
		st := story(t)
		_, err := replicate.Copy(t.Context(), st, foreign{t, host}.repository("shop"), st.graph(t), quick())
		kindIs(t, err, towpath.KindUnavailable)
	})
}

// TestCopy_WaitsAsItIsTold: a registry that says when to come back is heard.
func TestCopy_WaitsAsItIsTold(t *testing.T) {
	var told, came time.Time
	var once sync.Once
	f := newForeign(t, true, func(w http.ResponseWriter, _ *http.Request) (bad bool) {
		once.Do(func() {
			bad, told = true, time.Now()
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		})
		if !bad && came.IsZero() {
			came = time.Now()
		}
		return bad
	})
	s := newShelf(t)
	s.root = s.manifest("application/vnd.example", nil)
	must(replicate.Copy(t.Context(), s, f.repository("shop"), s.graph(t), quick()))(t)
	if waited := came.Sub(told); waited < time.Second {
		t.Errorf("it came back after %s", waited)
	}
}

// TestCopy_RepairsALostList: where lists of referrers lie under tags, somebody
// else's may take the place of ours. A copy ends with everything of its own
// listed, or says what is not.
func TestCopy_RepairsALostList(t *testing.T) {
	s := story(t)
	var lose atomic.Int64
	lose.Store(2)
	f := newForeign(t, false, func(w http.ResponseWriter, r *http.Request) bool {
		// Somebody else's list takes the place of ours: the push is acknowledged.
		list := r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/sha256-")
		if !list || lose.Add(-1) < 0 {
			return false
		}
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Docker-Content-Digest", digest.FromBytes(b).String())
		w.WriteHeader(http.StatusCreated)
		return true
	})
	got := must(replicate.Copy(t.Context(), s, f.repository("shop"), s.graph(t), quick()))(t)
	if got.Manifests.Copied <= 7 {
		t.Errorf("nothing was repaired: %+v", got)
	}
	if lost := must(replicate.Verify(t.Context(), f.repository("shop"), s.graph(t), quick()))(t); len(lost) != 0 {
		t.Errorf("lost: %+v", lost)
	}
	t.Run("and says what stays lost", func(t *testing.T) {
		lose.Store(1 << 30)
		s.manifest("application/vnd.example.late", &s.root, "late")
		_, err := replicate.Copy(t.Context(), s, f.repository("shop"), s.graph(t), quick())
		kindIs(t, err, towpath.KindConflict)
		if err == nil || !strings.Contains(err.Error(), "not listed as being about") {
			t.Errorf("got %v", err)
		}
	})
}

// TestVerify_Damage has a registry answer other bytes than it was given.
func TestVerify_Damage(t *testing.T) {
	var bad atomic.Value
	bad.Store("")
	f := newForeign(t, true, func(w http.ResponseWriter, r *http.Request) bool {
		hit := r.Method == http.MethodGet && bad.Load() != "" && strings.HasSuffix(r.URL.Path, bad.Load().(string))
		if hit {
			_, _ = w.Write([]byte("something else"))
		}
		return hit
	})
	s := story(t)
	g := s.graph(t)
	must(replicate.Copy(t.Context(), s, f.repository("shop"), g, quick()))(t)
	for _, d := range append(g.Blobs(), g.Nodes[0].Descriptor, g.Nodes[3].Descriptor) {
		bad.Store(string(d.Digest))
		lost := must(replicate.Verify(t.Context(), f.repository("shop"), g, quick()))(t)
		if len(lost) != 1 || lost[0].Digest != d.Digest {
			t.Errorf("%s: got %+v", d.Digest, lost)
		}
		_, err := replicate.Copy(t.Context(), s, f.repository("shop"), g, quick())
		if kindIs(t, err, towpath.KindConflict); err != nil && !strings.Contains(err.Error(), string(d.Digest)) {
			t.Errorf("%v does not name %s", err, d.Digest)
		}
	}
}

// TestCopy_DamagedSource: what is damaged at the source never arrives, and no
// manifest that names it does.
func TestCopy_DamagedSource(t *testing.T) {
	for _, b := range story(t).graph(t).Blobs() {
		s := story(t)
		g := s.graph(t)
		there := newForeign(t, true, nil).repository("shop")
		s.content[b.Digest] = append(slices.Clone(s.content[b.Digest]), 'x')
		_, err := replicate.Copy(t.Context(), s, there, g, quick())
		if kindIs(t, err, towpath.KindInvalid); err != nil && !strings.Contains(err.Error(), string(b.Digest)) {
			t.Errorf("%v does not name %s", err, b.Digest)
		}
		for _, n := range g.Nodes {
			has := must(there.HasManifest(t.Context(), n.Descriptor))(t)
			if has && slices.ContainsFunc(n.Blobs, func(x v1.Descriptor) bool { return x.Digest == b.Digest }) {
				t.Errorf("%s is there without %s", n.Digest, b.Digest)
			}
		}
	}
}

// TestCopy_WhereNothingMounts: a registry that begins an upload when it is asked
// to mount gets the bytes in that.
func TestCopy_WhereNothingMounts(t *testing.T) {
	for _, answer := range []int{http.StatusAccepted, http.StatusForbidden} {
		var asked, begun atomic.Int64
		f := newForeign(t, true, func(w http.ResponseWriter, r *http.Request) bool {
			mount := r.URL.Query().Get("mount") != ""
			switch {
			case r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/two/blobs/"):
				w.WriteHeader(http.StatusNotFound) // its repositories share blobs otherwise
				return true
			case mount && answer == http.StatusForbidden:
				asked.Add(1)
				w.WriteHeader(answer)
				return true
			case mount:
				asked.Add(1)
				r.URL.RawQuery = "" // an ordinary upload
			}
			if r.Method == http.MethodPost {
				begun.Add(1)
			}
			return false
		})
		s := story(t)
		must(replicate.Copy(t.Context(), s, f.repository("one"), s.graph(t), quick()))(t)
		begun.Store(0)
		got := must(replicate.Copy(t.Context(), f.repository("one"), f.repository("two"), s.graph(t), quick()))(t)
		if n := len(s.graph(t).Blobs()); int(asked.Load()) != n || got.Mounted != 0 || got.Blobs.Copied != n || int(begun.Load()) != n {
			t.Errorf("%d: asked %d times, %d uploads: %+v", answer, asked.Load(), begun.Load(), got)
		}
	}
}
