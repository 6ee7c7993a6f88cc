package server

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/evidence"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

// flags are the events that environments were flagged with, oldest first, once
// nothing is left to look at.
func (h *harness) flags() (out []towpath.Event) {
	h.t.Helper()
	h.until("all was looked at, and numbered", func() bool {
		n := 0
		err := h.s.db.QueryRow(h.t.Context(), `SELECT COUNT(*) FROM work WHERE kind = 'findings'`).Scan(&n)
		report, verr := h.svc.Audit.Verify(h.t.Context(), h.ana, "")
		return must(h.t, 0, err) == 0 && n == 0 && must(h.t, report, verr).Unsequenced == 0
	})
	all, err := h.svc.Audit.Events(h.t.Context(), h.ana, ledger.Filter{Project: shop, Action: "environment.flagged"})
	for _, e := range must(h.t, all, err) {
		out = append(out, e.Event)
	}
	return out
}

// TestServer_ANewFindingFlagsWhatRuns: each environment that runs a release is told
// once of what a scanner finds in it later, also without a rule about scans.
func TestServer_ANewFindingFlagsWhatRuns(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		rel := h.registryAs("rel", towpath.RoleViewer, towpath.RoleReleaser)
		scans := h.newScanner()
		found := func(id string, s towpath.Severity) towpath.ScanFinding {
			return towpath.ScanFinding{ID: id, Severity: s, In: "openssl 3.0"}
		}
		attach := func(release towpath.Digest, bundle []byte, note int64) {
			h.attaches(rel, release, evidence.TypeScan, bundle, time.Unix(note, 0))
		}
		h.publish("0.9.0", "before")
		h.runs("dev", "0.9.0")
		must(t, 0, h.svc.Promotions.Hold(t.Context(), h.ana, shop, "dev", "until it was scanned"))
		one := h.publish("1.0.0", "one")
		known := found("CVE-1", towpath.SeverityCritical)
		attach(one.Release, scans.report(one.Release, time.Time{}, known), 1)
		must(t, 0, h.svc.Promotions.Unhold(t.Context(), h.ana, shop, "dev", ""))
		h.runs("dev", "1.0.0")
		h.runs("staging", "1.0.0")
		for _, e := range []towpath.EnvironmentName{"dev", "staging"} {
			if st := h.status(e); len(st.Findings) != 1 || st.Findings[0] != "Trivy found CVE-1 (critical) in openssl 3.0." {
				t.Errorf("%s shows %q", e, st.Findings)
			}
		}
		if all := h.flags(); len(all) != 0 {
			t.Errorf("what was known on the way in is news: %+v", all)
		}
		report := scans.report(one.Release, time.Time{}, known, found("CVE-2", towpath.SeverityHigh), found("CVE-3", towpath.SeverityMedium))
		attach(one.Release, report, 2)
		says := "scanners found something new in what runs: 1 high (CVE-2)"
		all := h.flags()
		if len(all) != 2 || all[0].Environment == all[1].Environment {
			t.Fatalf("recorded %+v", all)
		}
		for _, ev := range all {
			if ev.Reason != says || ev.Release != one.Release || ev.Actor != "towpath" || !strings.Contains(string(ev.Data), `"severities":{"high":1}`) {
				t.Errorf("recorded %+v", ev)
			}
			if st := h.status(ev.Environment); len(st.Findings) != 2 {
				t.Errorf("%s shows %q", ev.Environment, st.Findings)
			}
		}
		t.Run("once", func(t *testing.T) {
			attach(one.Release, report, 3)
			attach(one.Release, otherBytes(report), 4)
			attach(one.Release, scans.report(one.Release, time.Now(), known, found("CVE-2", towpath.SeverityHigh)), 5)
			attach(one.Release, scans.by("Grype", one.Release, time.Now(), known), 6)
			if all := h.flags(); len(all) != 2 {
				t.Errorf("recorded %+v", all[2:])
			}
		})
		t.Run("by whom the environment trusts", func(t *testing.T) {
			stranger, _ := signingKey(t)
			attach(one.Release, scanner{h, stranger}.report(one.Release, time.Now(), found("CVE-8", towpath.SeverityCritical)), 7)
			if all := h.flags(); len(all) != 2 {
				t.Errorf("recorded %+v", all[2:])
			}
		})
		t.Run("and again of what comes later", func(t *testing.T) {
			attach(one.Release, scans.report(one.Release, time.Now(), known, found("CVE-9", towpath.SeverityUnknown)), 8)
			all := h.flags()
			if len(all) != 4 || !strings.HasSuffix(all[3].Reason, "1 unknown (CVE-9)") {
				t.Errorf("recorded %+v", all)
			}
		})
	})
}

// TestServer_FindingsByTheRule: an environment with a rule about scans is flagged
// by that, and its exceptions hold.
func TestServer_FindingsByTheRule(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		rel := h.registryAs("rel", towpath.RoleViewer, towpath.RoleReleaser)
		scans := h.newScanner()
		h.staging = towpath.PromotionManual
		h.gates = towpath.GateRules{Scan: &towpath.ScanRule{
			Severity:   towpath.SeverityMedium,
			Exceptions: []towpath.ScanException{{ID: "CVE-2", Reason: "not reached", Until: "2999-01-01"}},
		}}
		one := h.publish("1.0.0", "one")
		h.attaches(rel, one.Release, evidence.TypeScan, scans.report(one.Release, time.Time{}), time.Unix(1, 0))
		h.runs("dev", "1.0.0")
		report := scans.report(one.Release, time.Now(),
			towpath.ScanFinding{ID: "CVE-2", Severity: towpath.SeverityCritical}, towpath.ScanFinding{ID: "CVE-3", Severity: towpath.SeverityMedium})
		h.attaches(rel, one.Release, evidence.TypeScan, report, time.Unix(2, 0))
		if all := h.flags(); len(all) != 1 || !strings.HasSuffix(all[0].Reason, ": 1 medium (CVE-3)") {
			t.Errorf("recorded %+v", all)
		}
		if st := h.status("dev"); len(st.Findings) != 1 || !strings.Contains(st.Findings[0], "CVE-3") {
			t.Errorf("it shows %q", st.Findings)
		}
	})
}

// TestServer_SaysThatAScanIsDue: what runs is held against the age that the rules
// of its environment take, and against that there is a scan at all.
func TestServer_SaysThatAScanIsDue(t *testing.T) {
	onEach(t, func(t *testing.T, h *harness) {
		rel := h.registryAs("rel", towpath.RoleViewer, towpath.RoleReleaser)
		scans := h.newScanner()
		one := h.publish("1.0.0", "one")
		h.runs("dev", "1.0.0")
		if st := h.status("dev"); len(st.Rescans) != 0 {
			t.Errorf("without a rule it says %q", st.Rescans)
		}
		must(t, 0, h.s.store.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			env, err := tx.LockEnvironment(ctx, shop, "dev")
			if err != nil {
				return err
			}
			env.Rules.Gates.Scan = &towpath.ScanRule{Severity: towpath.SeverityHigh, MaxAge: 7 * 24 * time.Hour}
			return tx.SaveEnvironment(ctx, env)
		}))
		if st := h.status("dev"); len(st.Rescans) != 1 || st.Rescans[0] != "1.0.0 was never scanned by any scanner, with a key that counts." {
			t.Errorf("it says %q", st.Rescans)
		}
		h.attaches(rel, one.Release, evidence.TypeScan, scans.report(one.Release, time.Now().Add(-9*24*time.Hour)), time.Unix(1, 0))
		if st := h.status("dev"); len(st.Rescans) != 1 || !strings.HasPrefix(st.Rescans[0], "The last scan of 1.0.0 by Trivy is 9 days old (") {
			t.Errorf("it says %q", st.Rescans)
		}
		h.attaches(rel, one.Release, evidence.TypeScan, scans.report(one.Release, time.Now()), time.Unix(2, 0))
		if st := h.status("dev"); len(st.Rescans) != 0 {
			t.Errorf("of a fresh scan it says %q", st.Rescans)
		}
	})
}

// TestServer_ANewFindingFlagsWhatIsComing: an environment that is being given a
// release is told as well.
func TestServer_ANewFindingFlagsWhatIsComing(t *testing.T) {
	h := newHarness(t)
	rel := h.registryAs("rel", towpath.RoleViewer, towpath.RoleReleaser)
	newCanary(t, h)
	scans := h.newScanner()
	x := h.publish("1.1.0", "two")
	h.counting()
	report := scans.report(x.Release, time.Time{}, towpath.ScanFinding{ID: "CVE-2", Severity: towpath.SeverityHigh})
	h.attaches(rel, x.Release, evidence.TypeScan, report, time.Unix(1, 0))
	if all := h.flags(); len(all) != 1 || all[0].Environment != "dev" || all[0].Release != x.Release {
		t.Errorf("recorded %+v", all)
	}
}
