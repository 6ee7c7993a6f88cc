package server

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/promote"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/faultdb"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
)

// fact is something that somebody was told, after a number of actions of the
// disk. It must be true on whatever is left of the disk from then on.
type fact struct {
	at    int
	what  string
	holds func(h *harness) bool
}

// TestServer_PowerCut carries a release to prod and back on a database whose
// disk forgets what was not synced, and cuts the power at moments of the way:
// what anybody was told is still true, the ledger verifies against the
// checkpoint that a client kept, and what was under way goes on.
func TestServer_PowerCut(t *testing.T) {
	data := t.TempDir()
	disk, err := faultdb.Watch(data)
	must(t, 0, err)
	repo := gittest.New(t)
	h := startHarness(t, Config{Data: data}, repo)
	ctx := context.Background()
	h.introduce()
	began := disk.Now()
	facts := tell(h, disk)
	ended := disk.Now()
	h.stop()

	rng := rand.New(rand.NewPCG(20, 26))
	moments := []int{began, ended}
	for _, f := range facts {
		moments = append(moments, f.at)
	}
	for range 30 {
		moments = append(moments, began+rng.IntN(ended-began))
	}
	slices.Sort(moments)
	for i, n := range slices.Compact(moments) {
		var surprise *rand.Rand
		if i%2 == 1 {
			surprise = rng
		}
		left := cut(t, data, disk, n, surprise)
		h := openHarness(t, Config{Data: left}, repo)
		for _, f := range facts {
			if f.at <= n && !f.holds(h) {
				t.Errorf("after %d of %d actions it is not true any more: %s", n, ended, f.what)
			}
		}
		// As a server does first of all: what was numbered may not be signed yet.
		_, err := h.s.ledger.Sequencer().RunOnce(ctx)
		must(t, 0, err)
		report, err := h.svc.Audit.Verify(ctx, h.ana, "")
		if err != nil || !report.OK {
			t.Errorf("after %d actions the ledger is bad: %+v %v", n, report, err)
		}
		again := i%8 == 3
		if again {
			rewind(h)
		}
		must(t, 0, h.s.Close())
		if again {
			goesOn(t, startHarness(t, Config{Data: left}, repo))
		}
	}
}

// tell lives through the story and notes what people are told.
func tell(h *harness, disk *faultdb.Disk) (facts []fact) {
	ctx := context.Background()
	told := func(what string, holds func(h *harness) bool) { facts = append(facts, fact{disk.Now(), what, holds}) }
	checkpoint := func() {
		h.t.Helper()
		c, _, err := h.svc.Audit.Checkpoint(ctx, h.ana)
		must(h.t, 0, err)
		told("the ledger goes on from the checkpoint that was kept", func(h *harness) bool {
			r, err := h.svc.Audit.Verify(ctx, h.ana, c)
			return err == nil && r.OK
		})
	}
	up := func(version, what string) {
		h.t.Helper()
		h.publish(version, what)
		told(version+" is published", func(h *harness) bool { return h.released(version) })
		h.runs("dev", version)
		told(version+" ran in dev", func(h *harness) bool { return h.ran("dev", version) })
		h.runs("staging", version)
		checkpoint()
		p := h.promotion("prod", version, towpath.PromotionWaiting)
		_, err := h.svc.Promotions.Approve(ctx, h.ben, p.ID, true, "")
		must(h.t, 0, err)
		told(version+" was approved by ben", func(h *harness) bool {
			p, err := h.svc.Promotions.Get(ctx, h.ana, p.ID)
			return err == nil && len(p.Approvals) == 1 && p.Approvals[0].By == "ben"
		})
		h.runs("prod", version)
		told(version+" ran in prod", func(h *harness) bool { return h.ran("prod", version) })
		checkpoint()
	}
	up("1.0.0", "one")
	up("1.1.0", "two")
	r, err := h.svc.Deploys.Rollback(ctx, h.ana, deploy.RollbackRequest{Project: shop, Environment: "prod", Reason: "slow"})
	must(h.t, 0, err)
	told("a rollback of prod was asked for", func(h *harness) bool {
		d, err := h.svc.Deploys.Get(ctx, h.ana, r.Deployment.ID)
		return err == nil && d.Version == "1.0.0" && h.status("prod").Hold != nil
	})
	h.runs("prod", "1.0.0")
	told("prod runs 1.0.0 again", func(h *harness) bool { return h.status("prod").Version == "1.0.0" })
	checkpoint()
	return facts
}

func (h *harness) released(version string) bool {
	l, err := h.svc.Releases.List(context.Background(), h.ana, shop, release.Page{})
	must(h.t, 0, err)
	return slices.ContainsFunc(l.Items, func(s release.Summary) bool { return s.Version == version })
}

// ran reports whether a version was deployed to an environment.
func (h *harness) ran(e towpath.EnvironmentName, version string) bool {
	l, err := h.svc.Deploys.List(context.Background(), h.ana, deploy.Filter{Project: shop, Environment: e})
	must(h.t, 0, err)
	return slices.ContainsFunc(l.Items, func(d towpath.Deployment) bool {
		return d.Version == version && d.Phase == towpath.DeploymentSucceeded
	})
}

// cut makes a data folder of what is left: the database after the cut, and the
// rest, which was synced before the database named it (TestDisk_crash).
func cut(t *testing.T, data string, disk *faultdb.Disk, n int, rng *rand.Rand) string {
	t.Helper()
	left := t.TempDir()
	must(t, 0, os.CopyFS(filepath.Join(left, "blobs"), os.DirFS(filepath.Join(data, "blobs"))))
	for _, name := range []string{"ledger.key", "blobs.id"} {
		b, err := os.ReadFile(filepath.Join(data, name))
		must(t, 0, err)
		must(t, 0, os.WriteFile(filepath.Join(left, name), b, 0o600))
	}
	must(t, 0, disk.Cut(left, n, rng))
	db, err := sqldb.Open(t.Context(), filepath.Join(left, "towpath.db"))
	must(t, 0, err)
	defer db.Close()
	var whole string
	if err := db.QueryRow(t.Context(), `PRAGMA integrity_check`).Scan(&whole); err != nil || whole != "ok" {
		t.Fatalf("after %d actions the database is not whole: %s %v", n, whole, err)
	}
	return left
}

// goesOn waits until nothing is under way but what waits for people.
func goesOn(t *testing.T, h *harness) {
	t.Helper()
	h.until("nothing is under way", func() bool {
		l, err := h.svc.Promotions.List(context.Background(), h.ana, promote.Filter{Project: shop, Open: true})
		must(t, 0, err)
		for _, p := range l.Items {
			if p.Phase != towpath.PromotionWaiting || p.Environment != "prod" || len(p.Approvals) > 0 {
				return false
			}
		}
		st, err := h.svc.Inventory.Status(context.Background(), h.ana, shop, "")
		must(t, 0, err)
		for _, s := range st {
			if s.Deployment != nil || s.Branch != nil && s.Branch.Pending != "" {
				return false
			}
		}
		r, err := h.svc.Audit.Verify(context.Background(), h.ana, "")
		must(t, 0, err)
		return r.OK && r.Unsequenced == 0
	})
	h.stop()
}

// rewind takes the repository's refs back to where the database says that they
// are: the power of both went at once.
func rewind(h *harness) {
	st, err := h.svc.Inventory.Status(context.Background(), h.ana, shop, "")
	must(h.t, 0, err)
	for _, s := range st {
		refs := []string{"refs/towpath/env/" + string(s.Environment)}
		if s.Branch != nil {
			refs = append(refs, "refs/heads/"+s.Branch.Name)
		}
		for _, ref := range refs {
			if s.Commit == "" {
				h.repo.Git("update-ref", "-d", ref)
			} else {
				h.repo.Git("update-ref", ref, string(s.Commit))
			}
		}
	}
}
