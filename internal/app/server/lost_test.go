package server

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/towpath"
)

// TestServer_LostLayerIsNotDeployed: a promotion waits for a layer that the server has
// lost, says so, and goes on when it is there again.
func TestServer_LostLayerIsNotDeployed(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		ctx := context.Background()
		h.staging = towpath.PromotionManual
		h.publish("1.0.0", "one")
		h.runs("dev", "1.0.0")
		layer := []byte("files of one")
		must(t, 0, h.s.agents.blobs.Delete(ctx, towpath.DigestOf(layer)))

		_, _, err := h.s.agents.OpenBlob(ctx, h.ana, towpath.DigestOf(layer)) // what runs there
		if _, hint := towpath.PublicMessage(err); towpath.KindOf(err) != towpath.KindNotFound || !strings.Contains(hint, "--repair-from RULE fetches it from a copy") {
			t.Errorf("an agent that asks for it hears %v, hint: %s", err, hint)
		}
		_, err = h.svc.Promotions.Request(ctx, h.ana, promote.Request{Project: shop, Release: "1.0.0", Environment: "staging"})
		must(t, 0, err)
		p := h.promotion("staging", "1.0.0", towpath.PromotionWaiting)
		i := slices.IndexFunc(p.Verdicts, func(v towpath.Verdict) bool { return v.Gate == towpath.GatePlan })
		if v := p.Verdicts[i]; v.Outcome != towpath.Wait || !strings.Contains(p.Reason, "the server has lost the layer of api ("+string(towpath.DigestOf(layer))+") of 1.0.0") ||
			!strings.Contains(v.Hint, "towpath release build --ref "+string(p.Commit)) {
			t.Errorf("it waits for %s (%s), hint: %s", p.Reason, v.Outcome, v.Hint)
		}

		must(t, 0, h.svc.Releases.PutBlob(ctx, h.ana, shop, towpath.DigestOf(layer), bytes.NewReader(layer)))
		_, err = h.svc.Promotions.PostCheck(ctx, h.ana, promote.CheckRequest{Project: shop, Release: "1.0.0", Key: "look again", State: towpath.CheckSuccess})
		must(t, 0, err)
		h.runs("staging", "1.0.0")
	})
}

// TestReleases_Lost: what is lost is what an environment needs and is not there, or
// is there and damaged.
func TestReleases_Lost(t *testing.T) {
	ctx := context.Background()
	h := newHarness(t)
	c := h.publish("1.0.0", "one")
	manifest := must3(readBlob(ctx, h, c.Release))(t)
	m, err := oci.ParseManifest(manifest)
	must(t, 0, err)
	layer := towpath.DigestOf([]byte("files of one"))
	lost := func(e towpath.EnvironmentName) (names []string) {
		t.Helper()
		parts, err := h.svc.Releases.(*release.Service).Lost(ctx, shop, c.Release, e)
		must(t, 0, err)
		for _, p := range parts {
			names = append(names, p.What+" "+string(p.Digest))
		}
		return names
	}
	is := func(e towpath.EnvironmentName, want ...string) {
		t.Helper()
		if got := lost(e); !slices.Equal(got, want) {
			t.Errorf("%s lacks %q, want %q", e, got, want)
		}
	}
	is("dev")
	must(t, 0, h.s.agents.blobs.Delete(ctx, layer))
	is("dev", "the layer of api "+string(layer))
	is("elsewhere") // which has no component
	must(t, 0, h.s.agents.blobs.Delete(ctx, m.Config.Digest))
	is("dev", "the content "+string(m.Config.Digest), "the layer of api "+string(layer)) // the content was read before
	must(t, 0, h.s.agents.blobs.Delete(ctx, c.Release))
	is("dev", "the manifest "+string(c.Release), "the layer of api "+string(layer))
}
