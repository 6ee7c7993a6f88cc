package replicate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	digest "github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"

	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

// fatalist is what helpers need of a test, also of one of rapid's.
type fatalist interface {
	Helper()
	Fatal(...any)
}

// must is the result of what has to succeed: must(f())(t).
func must[T any](v T, err error) func(fatalist) T {
	return func(t fatalist) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// shelf is a source in memory.
type shelf struct {
	content map[digest.Digest][]byte
	about   map[digest.Digest][]v1.Descriptor
	root    v1.Descriptor
	report  v1.Descriptor // of a story
	t       fatalist
}

func newShelf(t fatalist) *shelf {
	return &shelf{t: t, content: map[digest.Digest][]byte{}, about: map[digest.Digest][]v1.Descriptor{}}
}

func (s *shelf) Manifest(_ context.Context, d v1.Descriptor) ([]byte, error) {
	return s.content[d.Digest], nil
}

func (s *shelf) Blob(_ context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(s.content[d.Digest])), nil
}

func (s *shelf) Referrers(_ context.Context, d v1.Descriptor) ([]v1.Descriptor, error) {
	return s.about[d.Digest], nil
}

func (s *shelf) put(mediaType string, b []byte) v1.Descriptor {
	d := v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	s.content[d.Digest] = b
	return d
}

func (s *shelf) add(mediaType string, doc any, subject *v1.Descriptor) v1.Descriptor {
	s.t.Helper()
	d := s.put(mediaType, must(json.Marshal(doc))(s.t))
	if subject != nil {
		s.about[subject.Digest] = append(s.about[subject.Digest], d)
	}
	return d
}

// manifest adds an artifact with blobs, about a subject or nothing.
func (s *shelf) manifest(kind string, subject *v1.Descriptor, blobs ...string) v1.Descriptor {
	s.t.Helper()
	m := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, ArtifactType: kind,
		Config: s.put(v1.MediaTypeEmptyJSON, []byte("{}")), Subject: subject, Layers: []v1.Descriptor{},
	}
	for _, b := range blobs {
		m.Layers = append(m.Layers, s.put("application/vnd.example.layer", []byte(b)))
	}
	return s.add(m.MediaType, m, subject)
}

// index adds an index of manifests, about a subject or nothing.
func (s *shelf) index(kind string, subject *v1.Descriptor, of ...v1.Descriptor) v1.Descriptor {
	s.t.Helper()
	return s.add(v1.MediaTypeImageIndex, v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, ArtifactType: kind, Manifests: of, Subject: subject,
	}, subject)
}

func (s *shelf) graph(t fatalist) *replicate.Graph {
	t.Helper()
	return must(replicate.Walk(context.Background(), s, s.root, quick()))(t)
}

// story is a release with a bill, a signature about each of the two, an index
// of reports, and what is about one of these.
func story(t fatalist) *shelf {
	t.Helper()
	s := newShelf(t)
	s.root = s.manifest("application/vnd.example.release", nil, strings.Repeat("program ", 30_000), "settings", "")
	bill := s.manifest("application/vnd.example.bill", &s.root, "a bill")
	s.manifest("application/vnd.example.signature", &bill, "signed bill")
	s.manifest("application/vnd.example.signature", &s.root, "signed release")
	report := s.manifest("application/vnd.example.report", nil, "a report", "settings")
	s.manifest("application/vnd.example.signature", &report, "signed report")
	s.index("application/vnd.example.reports", &s.root, report)
	s.report = report
	return s
}

// arbitrary draws a graph.
func arbitrary(t *rapid.T) *shelf {
	s := newShelf(t)
	all := []v1.Descriptor{}
	blob := rapid.SampledFrom([]string{"", "a", "b", "c", strings.Repeat("long ", 2000)})
	for i := range rapid.IntRange(1, 12).Draw(t, "manifests") {
		var subject *v1.Descriptor
		if i > 0 {
			subject = &all[rapid.IntRange(0, i-1).Draw(t, "subject")]
		}
		kind := "application/vnd.example." + rapid.SampledFrom([]string{"x", "y"}).Draw(t, "kind")
		if i > 0 && rapid.Bool().Draw(t, "index") {
			part := s.manifest(kind, nil, blob.Draw(t, "part"))
			all = append(all, s.index(kind, subject, part))
			continue
		}
		all = append(all, s.manifest(kind, subject, rapid.SliceOfN(blob, 0, 3).Draw(t, "blobs")...))
	}
	s.root = all[0]
	return s
}

// quick is how tests wait.
func quick() replicate.Config {
	return replicate.Config{Backoff: reconcile.Backoff{Base: time.Millisecond, Cap: 2 * time.Millisecond}}
}

// foreign is a registry that is not ours.
type foreign struct {
	t    testing.TB
	host string
}

// newForeign runs a registry of another maker, with the API of referrers or
// without. before sees each request, and may answer it.
func newForeign(t testing.TB, referrers bool, before func(http.ResponseWriter, *http.Request) bool) foreign {
	t.Helper()
	h := registry.New(registry.WithReferrersSupport(referrers), registry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before == nil || !before(w, r) {
			h.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return foreign{t, strings.TrimPrefix(s.URL, "http://")}
}

func (f foreign) repository(name string) *replicate.Remote {
	f.t.Helper()
	return must(replicate.NewRemote(replicate.RemoteConfig{Repository: f.host + "/" + name, PlainHTTP: true}))(f.t)
}

// export writes a graph into an archive and gives its path.
func export(t fatalist, dir, name string, src replicate.Source, g *replicate.Graph, names ...string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	must(replicate.Export(context.Background(), src, g, names, path, quick()))(t)
	return path
}

func open(t testing.TB, path string) *replicate.Layout {
	t.Helper()
	l := must(replicate.OpenLayout(t.Context(), path, replicate.Limits{}))(t)
	t.Cleanup(func() { l.Close() })
	return l
}

func kindIs(t testing.TB, err error, want towpath.Kind) {
	t.Helper()
	if towpath.KindOf(err) != want {
		t.Errorf("got %v (%s), want %s", err, towpath.KindOf(err), want)
	}
}

func specsVersion() specs.Versioned { return specs.Versioned{SchemaVersion: 2} }

// caseFolder makes a folder for one case of a property.
func caseFolder(t fatalist, dir string, n int) string {
	t.Helper()
	here := filepath.Join(dir, strconv.Itoa(n))
	must(0, os.Mkdir(here, 0o755))(t)
	return here
}
