package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/mirror"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/replication"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// stalling is a registry that takes every request and answers none.
func stalling(t *testing.T) (host string) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// Copies to places that say nothing leave workers for what goes on here.
func TestServer_CopiesHoldUpNothing(t *testing.T) {
	h := newHarness(t)
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		asked.Add(1)
		<-r.Context().Done()
	}))
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	for i := range 12 {
		must(t, 0, h.copyTo(&elsewhere{host: fmt.Sprint(strings.TrimPrefix(srv.URL, "http://"), "/", i)}, towpath.ReplicationName(fmt.Sprint("eu-", i)), ""))
	}
	h.publish("1.0.0", "one")
	h.until("all that copy are at it", func() bool { return asked.Load() >= carriers })
	h.publish("1.1.0", "two")
	h.runs("staging", "1.1.0")
}

// still is a server whose loops do not run, and its blobs.
func still(t *testing.T) (*harness, blob.Store) {
	t.Helper()
	dir := t.TempDir()
	h := openHarness(t, Config{Data: dir}, gittest.New(t))
	t.Cleanup(func() { _ = h.s.listener.Close(); _ = h.s.db.Close() })
	h.introduce()
	blobs, err := blob.NewDisk(blob.DiskConfig{Dir: filepath.Join(dir, "blobs")})
	return h, must(t, blobs, err)
}

func dial(repository string) (*replicate.Remote, error) {
	return replicate.NewRemote(replicate.RemoteConfig{Repository: repository, PlainHTTP: true})
}

// longest is generous to a machine that has much else to do, and nothing to one
// hour.
const longest = 300 * time.Millisecond

func TestReplication_OfAPlaceThatStalls(t *testing.T) {
	h, blobs := still(t)
	host := stalling(t)
	must(t, 0, h.copyTo(&elsewhere{host: host}, "eu", ""))
	h.publish("1.0.0", "one")
	copies := replication.New(replication.Config{
		Now: time.Now, Longest: longest, Said: nothingSaid{},
		Connect: func(r towpath.ReplicationRule) (replication.Target, error) { return dial(r.To) },
	}, store.For[replication.Tx](h.s.store), blobs)
	_, err := copies.Reconcile(t.Context(), "shop/eu", time.Now())
	if towpath.KindOf(err) != towpath.KindUnavailable || !strings.Contains(err.Error(), "took more than 300ms") {
		t.Errorf("got %v", err)
	}
	if st := h.copies("eu"); len(st.Behind) != 1 || st.Behind[0].Attempts != 1 || !strings.Contains(st.Behind[0].Error, "took more than 300ms") {
		t.Errorf("the rule says %+v", st)
	}
}

func TestMirror_OfASourceThatStalls(t *testing.T) {
	h, blobs := still(t)
	f := foreign{repository: stalling(t) + "/acme/redis", digest: towpath.DigestOf([]byte("redis"))}
	h.pins(f.material("redis:7"))
	h.mirrorFrom(f.repository)
	h.publish("1.0.0", "one")
	artifacts, ok := h.svc.Registry.(*registry.Service)
	if !ok {
		t.Fatal("the registry of the API is not that of the server")
	}
	mirrors := mirror.New(mirror.Config{
		Now: time.Now, Longest: longest,
		Connect: func(repository string, _ bool) (mirror.Registry, error) { return dial(repository) },
		Own:     func(r towpath.RepositoryName) mirror.Repository { return mirrored{artifacts, r} },
	}, store.For[mirror.Tx](h.s.store), blobs)
	_, err := mirrors.Reconcile(t.Context(), string(shop), time.Now())
	if towpath.KindOf(err) != towpath.KindUnavailable || !strings.Contains(err.Error(), "took more than 300ms") {
		t.Errorf("got %v", err)
	}
	if x, known := h.mirrored(f); !known || x.Attempts != 1 || !strings.Contains(x.Error, "took more than 300ms") {
		t.Errorf("the image is %+v", x)
	}
}
