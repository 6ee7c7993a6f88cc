package server

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/towpath"
)

// TestServer_RetentionGivesUpNothingElse: a release that was made by hand names as
// its layers what another project can't do without. When it is given up, all of that
// stays.
func TestServer_RetentionGivesUpNothingElse(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := t.Context()
		ours := h.publish("1.0.0", "one")
		h.runs("staging", "1.0.0")
		manifest := must3(readBlob(ctx, h, ours.Release))(t)
		_, err := h.svc.Releases.Publish(ctx, h.ana, release.PublishRequest{
			Project: shop, Manifest: manifest, Provenance: statement(ours.Release, "1.0.0"), Commit: ours.Commit,
			Ref: ours.Ref, Version: ours.Version, Evidence: []towpath.Digest{h.attached(manifest, `{"bomFormat":"CycloneDX"}`)},
		})
		must(t, 0, err)
		h.until("how two promotions ended is attested", func() bool { return len(h.events("promotion.attested")) == 2 })
		had := map[towpath.Digest]int64{}
		must(t, 0, h.s.agents.blobs.Walk(ctx, func(i blob.Info) error { had[i.Digest] = i.Size; return nil }))

		must3(h.svc.Projects.Register(ctx, h.ana, "mal", ""))(t)
		h.project = "mal"
		blobs, r := h.encode("9.0.0", "nine")
		own := towpath.DigestOf(blobs[0])
		content := must3(oci.ParseContent(blobs[1]))(t)
		for d, size := range had {
			blobs = append(blobs, must3(readBlob(ctx, h, d))(t)) // which whoever may read it has
			c := content.Components[0]
			c.Name, c.Layer, c.Size = towpath.ComponentName(fmt.Sprintf("x%03d", len(blobs))), d, size
			content.Components = append(content.Components, c)
		}
		content.Environments = nil // it runs nowhere
		enc, err := oci.Encode(content)
		must(t, 0, err)
		r.Manifest, r.Provenance = enc.Manifest, statement(enc.Digest, "9.0.0")
		bad := must2(t)(h.submit(append(blobs, enc.Content), r))

		out, err := h.laterReleases(time.Now().AddDate(5, 0, 0)).Collect(ctx, h.ana, "mal", false)
		must(t, 0, err)
		if !slices.Equal(out.Releases, []towpath.Digest{bad.Release.Digest}) || out.Blobs != 1 || out.Bytes != int64(len("files of nine")) {
			t.Errorf("given up: %+v", out)
		}
		for d := range had {
			if _, err := h.s.agents.blobs.Stat(ctx, d); err != nil {
				t.Errorf("%s is needed: %v", d, err)
			}
		}
		if _, err := h.s.agents.blobs.Stat(ctx, own); towpath.KindOf(err) != towpath.KindNotFound {
			t.Errorf("the only layer of its own: %v", err)
		}
	})
}

// TestServer_RetentionKeepsWhatIsPublishedAgain: whoever builds a release again whose
// layers were given up has it for as long as a new one.
func TestServer_RetentionKeepsWhatIsPublishedAgain(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		h.dev = towpath.PromotionManual // it runs nowhere
		blobs, r := h.encode("1.0.0", "one")
		one := must2(t)(h.submit(blobs, r)).Release.Digest
		collects := func(days int, want ...towpath.Digest) {
			t.Helper()
			out, err := h.laterReleases(time.Now().AddDate(0, 0, days)).Collect(t.Context(), h.ana, shop, false)
			if err != nil || !slices.Equal(out.Releases, want) {
				t.Errorf("after %d days %v is given up, want %v: %v", days, out.Releases, want, err)
			}
		}
		collects(29)
		collects(31, one)
		for _, version := range []string{"1.0.0", "1.0.1"} { // the same once more, and under another version
			h.deposit(blobs)
			r.Version, r.Provenance = version, statement(one, version)
			must2(t)(h.laterReleases(time.Now().AddDate(0, 0, 32)).Publish(t.Context(), h.ana, r))
			collects(33)
			collects(61)
			collects(63, one)
		}
		first, err := h.svc.Releases.Get(t.Context(), h.ana, shop, string(one))
		if must(t, 0, err); time.Since(first.Published) > time.Hour || first.Published.After(time.Now()) {
			t.Errorf("it was published first at %v", first.Published) // which gates go by
		}
	})
}
