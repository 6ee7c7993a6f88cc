package server

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// laterRegistry is the use case of the registry at another time.
func (h *harness) laterRegistry(releases *release.Service, when time.Time) *registry.Service {
	staging, err := blob.NewStaging(blob.DiskConfig{Dir: filepath.Join(h.s.cfg.Data, "uploads")})
	must(h.t, 0, err)
	return registry.New(registry.Config{Now: func() time.Time { return when }}, store.For[registry.Tx](h.s.store), h.s.agents.blobs, staging,
		protection{releases}, releases)
}

// Years later, everything that a release needs and all that was said about it
// is still there, and what nobody published is not.
func TestServer_CollectsNothingThatAReleaseNeeds(t *testing.T) {
	onEach(t, collectsNothingThatAReleaseNeeds)
}

func collectsNothingThatAReleaseNeeds(t *testing.T, h *harness) {
	ctx := context.Background()
	c1 := h.publish("1.0.0", "one")
	h.runs("staging", "1.0.0")
	bill := h.attached(must3(readBlob(ctx, h, c1.Release))(t), `{"bomFormat":"CycloneDX"}`)
	_, err := h.svc.Releases.Publish(ctx, h.ana, release.PublishRequest{
		Project: shop, Manifest: must3(readBlob(ctx, h, c1.Release))(t), Provenance: statement(c1.Release, "1.0.0"), Commit: c1.Commit,
		Ref: c1.Ref, Version: c1.Version, Evidence: []towpath.Digest{bill},
	})
	must(t, 0, err)
	h.until("how two promotions ended is attested", func() bool { return len(h.events("promotion.attested")) == 2 })
	lost := []byte("uploaded, and never published")
	must(t, 0, h.svc.Releases.PutBlob(ctx, h.ana, shop, towpath.DigestOf(lost), bytes.NewReader(lost)))
	had := map[towpath.Digest]bool{}
	must(t, 0, h.s.agents.blobs.Walk(ctx, func(i blob.Info) error { had[i.Digest] = true; return nil }))

	when := time.Now().AddDate(1, 0, 0)
	releases := h.laterReleases(when)
	later := h.laterRegistry(releases, when)
	out, err := later.CollectGarbage(ctx, towpath.System(), registry.Garbage{UntaggedAge: time.Hour})
	must(t, 0, err)
	delete(had, towpath.DigestOf(lost))
	must(t, 0, h.s.agents.blobs.Walk(ctx, func(i blob.Info) error {
		if !had[i.Digest] {
			t.Errorf("%s is still there", i.Digest)
		}
		delete(had, i.Digest)
		return nil
	}))
	for d := range had {
		t.Errorf("%s was given up, and is needed", d)
	}
	if out.Deleted.Blobs != 1 || len(out.Projects) != 1 || out.Projects[0] != (registry.GivenUp{Project: shop, Unused: 1}) {
		t.Errorf("collected %+v", out)
	}
	found, err := later.Scrub(ctx, towpath.System(), registry.ScrubRequest{})
	must(t, 0, err)
	if len(found.Findings) != 0 || found.Checked.Blobs < 10 {
		t.Errorf("scrub: %+v", found)
	}
}

// A builder that is told that a blob is there does not bring it.
func TestServer_KeepsWhatABuilderAskedFor(t *testing.T) { keepsWhatABuilderAskedFor(t, newHarness(t)) }

func keepsWhatABuilderAskedFor(t *testing.T, h *harness) {
	ctx := context.Background()
	content := []byte("half of a release that is being built")
	d := towpath.DigestOf(content)
	must(t, 0, h.svc.Releases.PutBlob(ctx, h.ana, shop, d, bytes.NewReader(content)))
	put, err := h.s.agents.blobs.Stat(ctx, d)
	must(t, 0, err)
	asked := put
	for end := time.Now().Add(10 * time.Second); !asked.Written.After(put.Written); { // the clock of the disk ticks slowly
		if time.Now().After(end) {
			t.Fatal("asking for it does not make it young")
		}
		_, err := h.svc.Releases.HasBlob(ctx, h.ana, shop, d)
		must(t, 0, err)
		asked, err = h.s.agents.blobs.Stat(ctx, d)
		must(t, 0, err)
	}
	when := put.Written.Add(24*time.Hour + 1) // a day after it was put, not after it was asked for
	releases := h.laterReleases(when)
	_, err = h.laterRegistry(releases, when).CollectGarbage(ctx, towpath.System(), registry.Garbage{})
	must(t, 0, err)
	if _, err := h.s.agents.blobs.Stat(ctx, d); err != nil {
		t.Errorf("it was given up: %v", err)
	}
	t.Run("and so late that it would be given up, it is the project's for another day", func(t *testing.T) {
		_, err := h.laterReleases(when.Add(22*time.Hour)).HasBlob(ctx, h.ana, shop, d)
		must(t, 0, err)
		when := when.Add(25 * time.Hour)
		releases := h.laterReleases(when)
		_, err = h.laterRegistry(releases, when).CollectGarbage(ctx, towpath.System(), registry.Garbage{})
		must(t, 0, err)
		if _, err := releases.HasBlob(ctx, h.ana, shop, d); err != nil {
			t.Errorf("it was given up: %v", err)
		}
	})
}
