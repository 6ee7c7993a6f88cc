package server

import (
	"testing"

	"github.com/towpath/towpath/internal/towpath"
)

// done waits until no work of a kind is left.
func (h *harness) done(kind string) {
	h.t.Helper()
	h.until("no "+kind+" is to be done", func() bool {
		n := 0
		must(h.t, 0, h.s.db.QueryRow(h.t.Context(), `SELECT COUNT(*) FROM work WHERE kind = $1`, kind).Scan(&n))
		return n == 0
	})
}

// TestServer_MaterialsAreNotMixedUp: a project's quarantine of a material lifts none
// of every project whose name begins in the same way.
func TestServer_MaterialsAreNotMixedUp(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		h.materials = `[{"name":"left pad"}]`
		x := h.publish("1.0.0", "one")
		must3(h.svc.Releases.QuarantineMaterial(t.Context(), h.ana, "", "left pad", "CVE-2026-1"))(t)
		h.untilQuarantined(x, "CVE-2026-1")
		must3(h.svc.Releases.QuarantineMaterial(t.Context(), operator(shop), shop, "left", "x"))(t)
		h.done("material")
		if why := h.quarantined(x); why == "" {
			t.Error("it is lifted")
		}
		_, err := h.svc.Releases.Unquarantine(t.Context(), operator(shop), shop, "1.0.0", "x")
		refused(t, "lifted by the project", err, towpath.KindForbidden)
		must(t, 0, h.svc.Releases.UnquarantineMaterial(t.Context(), h.ana, "", "left pad", "it was not"))
		h.until("it is lifted by its name", func() bool { return h.quarantined(x) == "" })
	})
}
