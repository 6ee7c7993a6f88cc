package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	places "github.com/towpath/towpath/internal/place"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
	"github.com/towpath/towpath/internal/towpathtest/peertest"
)

// fault is what is wrong with a place.
type fault int32

const (
	well fault = iota
	down
	truncated // it breaks off
	tampered  // it sends something else
	silent    // it sends nothing
	empty     // it has lost everything
)

// far is somebody else's registry, behind a network with faults.
type far struct {
	host  string
	fault atomic.Int32
	quiet atomic.Pointer[chan struct{}] // closed when it is silent no more
	reads atomic.Int32                  // of blobs
	files *peertest.Registry
}

func newFar(t *testing.T) *far {
	t.Helper()
	f := &far{files: peertest.Start(t, peertest.Distribution())}
	to, err := url.Parse(f.files.URL)
	must(t, 0, err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(proxy, w, r) }))
	t.Cleanup(srv.Close)
	f.host = strings.TrimPrefix(srv.URL, "http://")
	return f
}

func (f *far) serve(proxy http.Handler, w http.ResponseWriter, r *http.Request) {
	reading := r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
	if reading {
		f.reads.Add(1)
	}
	switch fault := fault(f.fault.Load()); {
	case fault == down:
		http.Error(w, "down", http.StatusServiceUnavailable)
	case fault == empty && strings.Contains(r.URL.Path, "/blobs/") && r.Method != http.MethodPost:
		http.NotFound(w, r)
	case fault == silent && reading:
		select {
		case <-r.Context().Done():
		case <-*f.quiet.Load(): // nobody is left waiting for good
			panic(http.ErrAbortHandler)
		}
	case (fault == truncated || fault == tampered) && reading:
		got := httptest.NewRecorder()
		proxy.ServeHTTP(got, r)
		b := got.Body.Bytes()
		w.Header().Set("Content-Length", got.Header().Get("Content-Length"))
		if fault == truncated {
			_, _ = w.Write(b[:len(b)/2])
			panic(http.ErrAbortHandler)
		}
		b[len(b)/2] ^= 1
		_, _ = w.Write(b)
	default:
		proxy.ServeHTTP(w, r)
	}
}

func (f *far) set(t *testing.T, to fault) {
	t.Helper()
	quiet := make(chan struct{})
	f.quiet.Store(&quiet)
	f.fault.Store(int32(to))
	t.Cleanup(func() { f.fault.Store(int32(well)); close(quiet) })
}

// live has the releases of the project live in a registry.
func (h *harness) live(host string, keep time.Duration) {
	h.t.Helper()
	_, err := h.svc.Replication.Add(context.Background(), towpath.System(), towpath.ReplicationRule{
		Project: shop, Name: "home", To: host + "/shop", PlainHTTP: true, Place: &towpath.PlaceRule{Keep: keep},
	})
	must(h.t, 0, err)
}

// keeper is the care for places at another time.
func (h *harness) keeper(when time.Time) *places.Keeper { return h.keeperAs(when, time.Minute, nil) }

// keeperAs is [harness.keeper] with another patience, and logins.
func (h *harness) keeperAs(when time.Time, stall time.Duration, login func(context.Context, string) (replicate.Login, error)) *places.Keeper {
	h.t.Helper()
	local, err := blob.NewDisk(blob.DiskConfig{Dir: filepath.Join(h.s.cfg.Data, "blobs")})
	must(h.t, 0, err)
	svc := places.New(places.Config{
		Now: func() time.Time { return when }, Stall: stall, Attempts: 2, Backoff: reconcile.Backoff{Base: time.Millisecond},
		Connect: func(r towpath.ReplicationRule) (places.Registry, error) {
			return replicate.NewRemote(replicate.RemoteConfig{Repository: r.To, PlainHTTP: r.PlainHTTP, Login: login})
		},
	}, store.For[places.Tx](h.s.store), local)
	releases := h.laterReleases(when)
	return places.NewKeeper(svc, inUse{releases}, releases)
}

// layer is the layer of a release that was published as something.
func layer(what string) towpath.Digest { return towpath.DigestOf([]byte("files of " + what)) }

// here reports whether the folder of the server has a blob.
func (h *harness) here(d towpath.Digest) bool {
	_, err := os.Stat(filepath.Join(h.s.cfg.Data, "blobs", "sha256", d.Hex()[:2], d.Hex()))
	return err == nil
}

func content(r io.ReadCloser, _ int64, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}

func TestPlace(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := t.Context()
		f := newFar(t)
		h.publish("1.0.0", "one") // before there is a place: it moves too
		h.runs("staging", "1.0.0")
		f.fault.Store(int32(down))
		h.live(f.host, 0)
		h.publish("1.1.0", "two")
		h.reason("dev", "1.1.0", towpath.GateReplicated, "home")
		f.fault.Store(int32(well))
		h.runs("staging", "1.1.0")
		h.publish("1.2.0", "three")
		h.runs("staging", "1.2.0")
		h.publish("1.3.0", "four")
		h.runs("staging", "1.3.0")
		h.until("all are there", func() bool { st := h.copies("home"); return st.Whole == 4 && len(st.Behind) == 0 })
		if h.here(layer("one")) == false {
			t.Fatal("a layer went before its time")
		}
		later := time.Now().Add(time.Hour)

		t.Run("what is fresh stays, whatever the rule says", func(t *testing.T) {
			out, err := h.keeper(time.Now()).LetGo(ctx)
			if err != nil || out.Layers != 0 {
				t.Errorf("%+v, %v", out, err)
			}
		})
		t.Run("a place that is down loses nothing here", func(t *testing.T) {
			f.set(t, down)
			if out, err := h.keeper(later).LetGo(ctx); towpath.KindOf(err) != towpath.KindUnavailable || out.Layers != 0 {
				t.Errorf("%+v, %v", out, err)
			}
		})
		t.Run("what a place has lost is copied there again, and stays here until then", func(t *testing.T) {
			f.set(t, empty)
			out, err := h.keeper(later).LetGo(ctx)
			if err != nil || out.Layers != 0 || out.Lost == 0 || !h.here(layer("one")) {
				t.Errorf("%+v, %v", out, err)
			}
			f.fault.Store(int32(well))
			must(t, 0, h.s.store.Update(ctx, func(ctx context.Context, tx *store.Tx) error { // its care is an hour ahead
				return tx.WakeReplications(ctx, shop, time.Now())
			}))
			h.until("all are there again", func() bool { st := h.copies("home"); return st.Whole == 4 && len(st.Behind) == 0 })
		})
		manifests := 0
		must(t, 0, h.s.agents.blobs.Walk(ctx, func(blob.Info) error { manifests++; return nil }))

		t.Run("what nothing needs goes, and what runs or would be gone back to stays", func(t *testing.T) {
			out, err := h.keeper(later).LetGo(ctx)
			must(t, 0, err)
			if h.here(layer("one")) || out.Layers == 0 || out.Lost != 0 {
				t.Errorf("one is here: %v, %+v", h.here(layer("one")), out)
			}
			for _, what := range []string{"three", "four"} {
				if !h.here(layer(what)) {
					t.Errorf("%s is not here", what)
				}
			}
			left := 0
			must(t, 0, h.s.agents.blobs.Walk(ctx, func(blob.Info) error { left++; return nil }))
			if left != manifests-out.Layers {
				t.Errorf("%d blobs were %d, and %d layers went", left, manifests, out.Layers)
			}
		})
		t.Run("scrub, garbage and usage know where it is", func(t *testing.T) {
			when := later.AddDate(1, 0, 0)
			k := h.keeper(when)
			reg := registry.New(registry.Config{Now: func() time.Time { return when }, Away: k.Service}, store.For[registry.Tx](h.s.store), k.Service, nil,
				protection{h.laterReleases(when)}, h.laterReleases(when))
			for _, read := range []bool{false, true} {
				found, err := reg.Scrub(ctx, towpath.System(), registry.ScrubRequest{Places: read})
				must(t, 0, err)
				if len(found.Findings) != 0 || found.Away.Blobs == 0 || found.Checked.Blobs == 0 {
					t.Errorf("%+v", found)
				}
			}
			if h.here(layer("one")) {
				t.Error("a scrub fills the store")
			}
			for fault, want := range map[fault]registry.Harm{empty: registry.Missing, down: registry.Unreadable, tampered: registry.Damaged} {
				f.fault.Store(int32(fault))
				found, err := reg.Scrub(ctx, towpath.System(), registry.ScrubRequest{Places: true})
				f.fault.Store(int32(well))
				must(t, 0, err)
				if len(found.Findings) == 0 || found.Findings[0].Harm != want {
					t.Errorf("%d: %+v, want %s", fault, found.Findings, want)
				}
			}
			usage, err := reg.Usage(ctx, towpath.System(), "")
			must(t, 0, err)
			if usage.Away == nil || usage.Away.Blobs == 0 || usage.Store.Blobs == 0 {
				t.Errorf("%+v", usage)
			}
		})
		t.Run("with the place down what is here works, and the rest says what to do", func(t *testing.T) {
			for fault, stall := range map[fault]time.Duration{down: time.Minute, truncated: time.Minute, silent: 300 * time.Millisecond} {
				f.set(t, fault)
				k := h.keeperAs(later, stall, nil)
				if got, err := content(k.Open(ctx, layer("four"))); err != nil || got != "files of four" {
					t.Errorf("%q, %v", got, err)
				}
				_, err := content(k.Open(ctx, layer("one")))
				message, _ := towpath.PublicMessage(err)
				if towpath.KindOf(err) != towpath.KindUnavailable || !strings.Contains(message, "home") {
					t.Errorf("%d: %v", fault, err)
				}
			}
			f.set(t, tampered)
			if got, err := content(h.keeper(later).Open(ctx, layer("one"))); towpath.KindOf(err) != towpath.KindInternal || got != "" {
				t.Errorf("%q, %v", got, err)
			}
			if h.here(layer("one")) {
				t.Error("what is wrong was kept")
			}
		})
		t.Run("agents and clients of the registry read it as ever", func(t *testing.T) {
			f.fault.Store(int32(well))
			c := h.registryAs("rita", towpath.RoleViewer)
			_, m := pull(c, "1.0.0")
			if !h.here(towpath.Digest(m.Layers[0].Digest)) {
				t.Error("what was read is not kept")
			}
			before := f.reads.Load()
			if got, err := content(h.s.agents.blobs.Open(ctx, layer("one"))); err != nil || got != "files of one" {
				t.Errorf("%q, %v", got, err)
			}
			if f.reads.Load() != before {
				t.Error("it was read from its place twice")
			}
		})
		t.Run("who publishes the same layer again brings it, and needs no place for that", func(t *testing.T) {
			_, err := h.keeper(later).LetGo(ctx)
			must(t, 0, err)
			f.set(t, down)
			if _, err := h.svc.Releases.HasBlob(ctx, h.ana, shop, layer("one")); towpath.KindOf(err) != towpath.KindNotFound {
				t.Errorf("%v", err)
			}
			must(t, 0, h.svc.Releases.PutBlob(ctx, h.ana, shop, layer("one"), bytes.NewReader([]byte("files of one"))))
		})
		t.Run("a project has one place", func(t *testing.T) {
			_, err := h.svc.Replication.Add(ctx, towpath.System(), towpath.ReplicationRule{
				Project: shop, Name: "second", To: f.host + "/other", PlainHTTP: true, Place: &towpath.PlaceRule{},
			})
			if towpath.KindOf(err) != towpath.KindConflict {
				t.Errorf("%v", err)
			}
		})
		t.Run("ending it brings everything back first", func(t *testing.T) {
			_, err := h.keeper(later).LetGo(ctx)
			must(t, 0, err)
			if h.here(layer("one")) {
				t.Fatal("nothing is away")
			}
			f.fault.Store(int32(down))
			must(t, 0, h.svc.Replication.Remove(ctx, towpath.System(), shop, "home", false))
			h.until("it says why it does not end", func() bool { return h.copies("home").Place.Error != "" })
			if out, err := h.keeper(later).LetGo(ctx); err != nil || out.Layers != 0 {
				t.Errorf("it lets go while it ends: %+v, %v", out, err)
			}
			f.fault.Store(int32(well))
			h.until("it has ended", func() bool {
				all, err := h.svc.Replication.List(ctx, h.ana, shop)
				must(t, 0, err)
				return len(all) == 0
			})
			f.files.Stop()
			for _, what := range []string{"one", "two", "three", "four"} {
				if !h.here(layer(what)) {
					t.Errorf("%s is not here", what)
				}
			}
		})
	})
}

// The place may be a server of ours, where nobody reads without a login.
func TestPlace_OnAServerOfOurs(t *testing.T) {
	ctx := t.Context()
	theirs := newHarness(t)
	made, err := theirs.s.Account(ctx, "keeper", nil, []towpath.Role{towpath.RoleViewer, towpath.RoleReleaser}, time.Hour)
	must(t, 0, err)
	host := strings.TrimPrefix(theirs.s.URL(), "http://")
	auth := filepath.Join(t.TempDir(), "auth.json")
	must(t, 0, os.WriteFile(auth, fmt.Appendf(nil, `{"auths": {%q: {"auth": %q}}}`, host,
		base64.StdEncoding.EncodeToString([]byte("keeper:"+made.Secret))), 0o600))
	h := startHarness(t, Config{Data: folder(t), RegistryAuth: auth}, gittest.New(t))
	h.introduce()
	h.live(host, 0)
	for i, what := range []string{"one", "two", "three"} {
		version := fmt.Sprintf("1.%d.0", i)
		h.publish(version, what)
		h.runs("staging", version)
	}
	h.until("all are there", func() bool { st := h.copies("home"); return st.Whole == 3 && len(st.Behind) == 0 })
	logins, err := replicate.DockerLogins(auth)
	must(t, 0, err)
	k := h.keeperAs(time.Now().Add(time.Hour), time.Minute, logins)
	out, err := k.LetGo(ctx)
	if err != nil || out.Layers != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	for _, what := range []string{"one", "two", "three"} {
		if got, err := content(h.s.agents.blobs.Open(ctx, layer(what))); err != nil || got != "files of "+what {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
}
